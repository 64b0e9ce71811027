"""Operational builds of the official pipeline and the contexts that belong to them."""

from collections.abc import Iterable
from dataclasses import dataclass

from jwcal.core.errors import InvalidParameter, UnknownBuild


@dataclass(frozen=True, slots=True)
class Build:
    """A build: number, version of the official package, context."""

    name: str
    package_version: str
    context: str


KNOWN = (
    Build("11.0.1", "1.15.1", "jwst_1293.pmap"),
    Build("11.1.1", "1.16.1", "jwst_1303.pmap"),
    Build("11.2", "1.17.1", "jwst_1321.pmap"),
)


class BuildTable:
    """Builds by number and by context, the newest first; `more` adds to the known ones or replaces them by number."""

    def __init__(self, more: Iterable[Build] = ()) -> None:
        table = {build.name: build for build in (*KNOWN, *more)}
        for name in table:
            _numbers(name)
        self.builds = tuple(sorted(table.values(), key=lambda build: _numbers(build.name), reverse=True))

    def named(self, name: str) -> Build:
        """The build of a number; UnknownBuild where the table has none."""
        for build in self.builds:
            if build.name == name:
                return build
        raise UnknownBuild(
            f"there is no build {name!r}",
            remedy=f"choose one of {', '.join(build.name for build in self.builds)}, or add it to the configuration",
        )

    def of_context(self, context: str) -> Build:
        """The newest build that a context belongs to; UnknownBuild where it belongs to none."""
        for build in self.builds:
            if build.context == context:
                return build
        raise UnknownBuild(
            f"no build belongs to context {context!r}", remedy="name a context of the table of builds", context=context
        )

    def names(self, context: str) -> tuple[str, ...]:
        """All builds that a context belongs to."""
        return tuple(build.name for build in self.builds if build.context == context)


def _numbers(name: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in name.split("."))
    except ValueError:
        raise InvalidParameter(f"{name!r} is not the number of a build", remedy="write it like 11.2") from None

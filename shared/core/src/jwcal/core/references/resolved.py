"""References of one job that were resolved, and brought to this machine, before it began."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from jwcal.core.errors import MissingReference
from jwcal.core.metadata import Metadata


@dataclass(frozen=True, slots=True)
class WantedReferences:
    """What a job may need: best references of these types for an exposure with this header."""

    header: dict[str, str]
    """What CRDS chooses by; see `jwcal.core.references.best.selection_header`."""
    types: tuple[str, ...]


class ResolvedReferences(BaseModel):
    """A `ReferenceFinder` that asks nobody: all answers are known, all files are here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    context: str
    answers: dict[str, str]
    """By type: name of a file, ``N/A``, or ``NOT FOUND ...``."""
    files: dict[str, Path]
    """By name."""

    def default_context(self) -> str:
        """The context of the answers."""
        return self.context

    def recommendations(self, metadata: Metadata, types: Iterable[str], context: str) -> dict[str, str | None]:
        """The answers; they hold for the exposure that they were asked for, whose `metadata` these are."""
        self._check(context)
        wanted = sorted(set(types))
        if unknown := [name for name in wanted if name not in self.answers]:
            raise MissingReference(
                f"references of type {', '.join(unknown)} were not asked for when the job was prepared",
                file=metadata.source,
                remedy="the stage has to name every type that it uses",
                context=context,
            )
        return {name: self.answers[name] for name in wanted}

    def locate(self, name: str, context: str) -> Path:
        """Where a file lies."""
        self._check(context)
        if name not in self.files:
            raise MissingReference(
                f"{name} is not among the references that were brought for this job",
                remedy="the stage has to name every type that it uses",
                context=context,
            )
        return self.files[name]

    def _check(self, context: str) -> None:
        if context != self.context:
            raise MissingReference(
                f"the job was prepared for context {self.context}, not for {context}",
                remedy="choose the context with the run",
                context=context,
            )

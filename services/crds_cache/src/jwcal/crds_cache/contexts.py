"""Contexts that can be used, and the default one: chosen once, so that a run does not change its rules on the way."""

import asyncio
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass

from jwcal.core.errors import InvalidParameter, UnknownContext
from jwcal.core.references.builds import BuildTable
from jwcal.crds_cache.rules import Rules

DEFAULT_PAGE, LARGEST_PAGE = 100, 1000


@dataclass(frozen=True, slots=True)
class Context:
    """A context and what it is here."""

    name: str
    available: bool
    default: bool
    builds: tuple[str, ...]


class Contexts:
    """The contexts of cache and server; `pinned` is the default one, else that of the server at first need."""

    def __init__(self, rules: Rules, builds: BuildTable, pinned: str) -> None:
        self._rules = rules
        self._builds = builds
        self._default = pinned
        self._choosing = asyncio.Lock()

    async def resolve(self, name: str) -> str:
        """`name`, or the default context where it is empty."""
        if name or self._default:
            return name or self._default
        async with self._choosing:
            if not self._default:
                self._default = await self._rules.default_context()
        return self._default

    async def load_default(self) -> None:
        """Read the default context, as the first request for references would; its errors where it cannot be."""
        await self._rules.load(await self.resolve(""))

    async def get(self, name: str) -> Context:
        """A context; UnknownContext where neither cache nor server has it."""
        resolved = await self.resolve(name)
        local = await self._rules.local_contexts()
        if resolved not in local and resolved not in await self._rules.known_contexts():
            raise UnknownContext(
                f"there is no context {resolved!r}", remedy="name one that ListContexts lists", context=resolved
            )
        return await self._described(resolved, local)

    async def page(self, size: int, token: str) -> tuple[list[Context], str]:
        """Contexts, the newest first, from behind `token`; and the token of the next page, empty at the end."""
        if size < 0:
            raise InvalidParameter(f"page_size = {size}", remedy="give 0 for the default, or a positive number")
        wanted = min(size or DEFAULT_PAGE, LARGEST_PAGE)
        names = sorted(await self._rules.known_contexts(), key=_age)
        if token:
            last = _age(_opened(token))
            names = [name for name in names if _age(name) > last]
        local = await self._rules.local_contexts()
        found = [await self._described(name, local) for name in names[:wanted]]
        return found, _closed(found[-1].name) if len(names) > wanted else ""

    async def _described(self, name: str, local: tuple[str, ...]) -> Context:
        is_default = name == await self.resolve("")
        return Context(name, name in local, is_default, self._builds.names(name))


def _age(name: str) -> tuple[int, str]:
    serial = re.search(r"(\d+)\.pmap$", name)
    return (-int(serial[1]) if serial else 1, name)


def _closed(name: str) -> str:
    return urlsafe_b64encode(name.encode()).decode()


def _opened(token: str) -> str:
    try:
        return urlsafe_b64decode(token.encode()).decode()
    except (NotBase64, ValueError):
        raise InvalidParameter("the page token is not one of ours", remedy="give it as it was answered") from None

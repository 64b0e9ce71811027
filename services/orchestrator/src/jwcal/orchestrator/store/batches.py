"""Requests of one kind, done together: what comes while a transaction runs goes into the next one, as one.

A worker's request costs a dozen statements; for many workers they cost hardly more.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

_MOST_AT_ONCE = 64


class Batches(Generic[Asked, Answer]):
    """Answers requests in their order of arrival, by a function that does many at once."""

    def __init__(self, work: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer | Exception]]]) -> None:
        self._work = work
        self._asked: deque[tuple[Asked, asyncio.Future[Answer]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def run(self, asked: Asked) -> Answer:
        """The answer; an exception that is an answer is raised."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked.append((asked, answer))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await answer

    async def finish(self) -> None:
        """Wait until everything that was asked for is answered."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        try:
            while self._asked:
                some = [self._asked.popleft() for _ in range(min(_MOST_AT_ONCE, len(self._asked)))]
                await self._answer([one for one in some if not one[1].done()])  # not for who has gone
        finally:
            self._task = None

    async def _answer(self, some: Sequence[tuple[Asked, "asyncio.Future[Answer]"]]) -> None:
        if not some:
            return
        try:
            answers = await self._work([asked for asked, _ in some])
        except Exception as error:  # the boundary of the task: everyone in the transaction is told, or tried alone
            if len(some) > 1:
                for one in some:
                    await self._answer([one])
                return
            answers = [error]
        for (_, future), answer in zip(some, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

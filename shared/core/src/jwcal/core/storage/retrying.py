"""Trying again while a store is away."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from jwcal.core.errors import StorageError

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long and how often something is tried again that failed for a reason that passes."""

    seconds: float = 60.0
    """From the first failure, or from the first since the last progress."""
    first_delay: float = 0.1
    longest_delay: float = 5.0

    def delay(self, failures: int, chance: float) -> float:
        """Seconds before the next attempt: twice as long after each failure, between half and all of it."""
        return min(self.longest_delay, self.first_delay * 2.0 ** min(failures, 30)) * (0.5 + chance / 2)


@dataclass(frozen=True)
class Retrying:
    """Tries again by `Patience`; clock and chance are arguments."""

    patience: Patience = Patience()
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def __call__(self, attempt: Callable[[], Awaitable[T]], *, progress: Callable[[], int] = lambda: 0) -> T:
        """What `attempt` returns in the end; a retryable error is its last word only when patience is over.

        `progress` says how far the attempts have come: when it grows, patience begins anew.
        """
        failures, since, reached = 0, 0.0, progress()
        while True:
            try:
                return await attempt()
            except StorageError as error:
                if not error.retryable:
                    raise
                if failures == 0 or progress() > reached:
                    failures, since, reached = 0, self.clock(), progress()
                delay = self.patience.delay(failures, self.chance())
                if self.clock() + delay - since > self.patience.seconds:
                    raise
                failures += 1
                fields = {"failures": failures, "delay": round(delay, 3), "error": str(error)}
                logger.warning("store_retry", extra={"fields": fields})
            await self.sleep(delay)

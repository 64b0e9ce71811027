"""When something is tried again, how soon, and for how long."""

import asyncio
from dataclasses import dataclass, field

import pytest

from jwcal.core.errors import ObjectNotFound, StoreUnavailable
from jwcal.core.storage.retrying import Patience, Retrying


@dataclass
class Clock:
    """Time that passes only while somebody sleeps."""

    now: float = 100.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def retrying(clock: Clock, seconds: float = 60.0, chance: float = 1.0) -> Retrying:
    return Retrying(Patience(seconds=seconds), clock=clock, chance=lambda: chance, sleep=clock.sleep)


@dataclass
class Failing:
    """Raises `error` the first `times` times."""

    error: Exception
    times: int
    attempts: int = 0

    async def __call__(self) -> str:
        self.attempts += 1
        if self.attempts <= self.times:
            raise self.error
        return "done"


def test_delays_double_up_to_the_longest() -> None:
    clock = Clock()
    assert asyncio.run(retrying(clock)(Failing(StoreUnavailable("away"), 8))) == "done"
    assert clock.slept == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])


def test_chance_takes_up_to_half_of_a_delay() -> None:
    assert Patience().delay(0, 0.0) == pytest.approx(0.05)
    assert Patience().delay(1000, 0.0) == pytest.approx(2.5)


def test_what_cannot_pass_is_not_tried_again() -> None:
    failing = Failing(ObjectNotFound("absent"), 1)
    with pytest.raises(ObjectNotFound):
        asyncio.run(retrying(Clock())(failing))
    assert failing.attempts == 1


def test_patience_ends() -> None:
    clock = Clock()
    with pytest.raises(StoreUnavailable):
        asyncio.run(retrying(clock, seconds=20)(Failing(StoreUnavailable("away"), 1000)))
    assert 15 < clock.now - 100 <= 20


def test_without_patience_nothing_is_tried_again() -> None:
    failing = Failing(StoreUnavailable("away"), 1)
    with pytest.raises(StoreUnavailable):
        asyncio.run(retrying(Clock(), seconds=0)(failing))
    assert failing.attempts == 1


def test_patience_begins_anew_with_progress() -> None:
    clock, position = Clock(), 0

    async def attempt() -> None:
        nonlocal position
        clock.now += 15
        position += 1
        if position < 50:
            raise StoreUnavailable("away")

    asyncio.run(retrying(clock, seconds=20)(attempt, progress=lambda: position))
    assert clock.slept == pytest.approx([0.1] * 49)

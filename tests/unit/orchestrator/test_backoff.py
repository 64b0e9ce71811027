"""Attempts that failed together do not come back together."""

import random

from jwcal.orchestrator.store.leasing import full_jitter


def test_the_delay_is_spread_over_half_of_its_length() -> None:
    jitter = full_jitter(random.Random(1))
    factors = [jitter() for _ in range(1000)]
    assert 0.5 <= min(factors) < 0.55
    assert 0.95 < max(factors) <= 1.0

"""Scores against the truth."""

import numpy as np
import pytest

from jwcal.core.dqflags import DO_NOT_USE, JUMP_DET
from jwcal.observatory.ramps import HIT
from jwcal.observatory.truth import Truth, score_jumps, score_slopes


def _truth(shape: tuple[int, int] = (40, 40)) -> Truth:
    hits = np.zeros(2, HIT)
    hits["group"], hits["y"], hits["x"], hits["electrons"] = 3, (10, 30), (10, 30), 5000
    hits["visible"] = 1
    slope = np.random.default_rng(1).uniform(1, 50, shape).astype(np.float32)
    return Truth(
        electrons=2 * slope,
        slope=slope,
        cosmic_rays=hits,
        stars=np.zeros(0, [("x", "f8")]),
        events=np.zeros(0, [("kind", "U8")]),
        light_curve=np.ones(1),
        mode="test",
        seed=1,
        gain=2.0,
        read_noise=10.0,
        group_time=10.0,
    )


def test_honest_errors_have_unit_pull() -> None:
    truth = _truth((300, 300))
    error = np.full(truth.slope.shape, 0.5, np.float32)
    noise = np.random.default_rng(2).normal(0, 0.5, truth.slope.shape).astype(np.float32)
    score = score_slopes(truth.slope + noise + 0.2, error, np.zeros(truth.slope.shape, np.uint32), truth)
    assert score.bias == pytest.approx(0.2, abs=0.01)
    assert score.scatter == pytest.approx(0.5, abs=0.01)
    assert score.pull_width == pytest.approx(1.0, abs=0.02)


def test_bad_pixels_are_not_judged() -> None:
    truth = _truth()
    slope, dq = truth.slope.copy(), np.zeros(truth.slope.shape, np.uint32)
    slope[:20], dq[:20] = 1e6, DO_NOT_USE
    score = score_slopes(slope, np.ones_like(slope), dq, truth)
    assert score.pixels == 20 * 40
    assert score.bias == 0


def test_found_and_missed_hits_and_false_alarms_are_counted() -> None:
    groupdq = np.zeros((1, 6, 40, 40), np.uint8)
    groupdq[0, 3, 10, 10] = JUMP_DET
    groupdq[0, 2, 20, 20] = JUMP_DET
    score = score_jumps(groupdq, _truth())
    assert (score.hits, score.completeness) == (2, 0.5)
    assert score.false_alarm_rate * score.samples == pytest.approx(1)


def test_flags_beside_a_hit_are_no_false_alarms() -> None:
    groupdq = np.zeros((1, 6, 40, 40), np.uint8)
    groupdq[0, 3, 10, 9:12] = JUMP_DET
    assert score_jumps(groupdq, _truth()).false_alarm_rate == 0

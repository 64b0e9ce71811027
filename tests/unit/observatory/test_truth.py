"""Scores against the truth."""

import numpy as np
import pytest

from jwcal.core.dqflags import DO_NOT_USE, JUMP_DET
from jwcal.observatory.ramps import HIT
from jwcal.observatory.truth import Truth, score_jumps, score_ramps, score_slopes


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


def test_hits_are_counted_by_size() -> None:
    groupdq = np.zeros((1, 6, 40, 40), np.uint8)
    groupdq[0, 3, 10, 10] = JUMP_DET
    by_size = score_jumps(groupdq, _truth()).by_size
    assert [(hits, found) for _, _, hits, found in by_size if hits] == [(2, 1)]
    ((low, high, _, _),) = [size for size in by_size if size[2]]
    assert low < 5000 / np.hypot(np.sqrt(2) * 10, np.sqrt(1000)) <= high


def test_of_ramps_it_counts_whether_they_are_flagged_at_all() -> None:
    dq = np.zeros((1, 40, 40), np.uint32)
    dq[0, 10, 10] = dq[0, 20, 20] = JUMP_DET
    score = score_ramps(dq, np.zeros((1, 6, 40, 40), np.uint8), _truth())
    assert (score.hits, score.completeness) == (2, 0.5)
    assert score.false_alarm_rate * score.samples == pytest.approx(1)


def test_a_hit_in_a_group_that_nobody_uses_is_not_expected_to_be_found() -> None:
    groupdq = np.zeros((1, 6, 40, 40), np.uint8)
    groupdq[0, 3, 30, 30] = DO_NOT_USE
    dq = np.zeros((1, 40, 40), np.uint32)
    dq[0, 10, 10] = JUMP_DET
    assert score_ramps(dq, groupdq, _truth()).completeness == 1


def test_pixels_with_jumps_are_judged_apart() -> None:
    truth = _truth()
    slope, dq = truth.slope.copy(), np.zeros(truth.slope.shape, np.uint32)
    slope[:5], dq[:5] = slope[:5] + 3, JUMP_DET
    ones = np.ones_like(slope)
    assert score_slopes(slope, ones, dq, truth).bias == 0
    hit = score_slopes(slope, ones, dq, truth, with_jumps=True)
    assert (hit.pixels, hit.bias) == (5 * 40, pytest.approx(3, abs=1e-5))

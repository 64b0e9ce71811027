"""The detectors' behaviour, one effect at a time."""

import numpy as np
import pytest

from jwcal.observatory import interleaving, mid_infrared
from jwcal.observatory.cosmic_rays import Particles
from jwcal.observatory.detector import pixels, reference_pixels
from jwcal.observatory.modes import MODES
from jwcal.observatory.patterns import PATTERNS
from jwcal.observatory.ramps import _spill_inplace
from jwcal.observatory.randomness import one_over_f, stream


def test_dropped_frames_count_towards_an_integration() -> None:
    assert PATTERNS["SHALLOW4"].frames(3) == 3 * 4 + 2 * 1


def test_linearising_undoes_the_response() -> None:
    maps = pixels(MODES["nircam-tso"])
    linear = np.full(maps.gain.shape, 40000.0, np.float32)
    assert np.allclose(maps.linearised(maps.response(linear)), linear, atol=0.05)


def test_a_corner_subarray_shows_two_sides_of_reference_pixels() -> None:
    reference = reference_pixels(MODES["nircam-sw-sub"])
    assert reference[:4].all()
    assert reference[:, :4].all()
    assert not reference[4:, 4:].any()


def test_charge_above_the_ceiling_moves_to_the_neighbours() -> None:
    charge = np.zeros((7, 7), np.float32)
    charge[3, 3] = 150.0
    ceiling = np.full((7, 7), 100.0, np.float32)
    _spill_inplace(charge, ceiling, np.zeros((7, 7), bool))
    assert charge[3, 3] == 100
    assert charge[2, 3] == charge[4, 3] == charge[3, 2] == charge[3, 4] == pytest.approx(0.7 * 50 / 4)


def test_charge_does_not_spill_into_reference_pixels() -> None:
    charge = np.zeros((3, 3), np.float32)
    charge[1, 1] = 150.0
    reference = np.zeros((3, 3), bool)
    reference[:, 0] = True
    _spill_inplace(charge, np.full((3, 3), 100.0, np.float32), reference)
    assert not charge[reference].any()


@pytest.mark.parametrize("detector", ["NRS1", "NRS2"])
def test_interleaving_keeps_the_science_pixels(detector: str) -> None:
    image = np.arange(2048 * 2048, dtype=np.float32).reshape(2048, 2048)
    frame = interleaving.interleave(image, -1.0, detector)
    assert frame.shape == (3200, 2048)
    assert np.array_equal(interleaving.without_interleaved(frame, detector), image)


def test_an_output_starts_and_ends_with_eight_science_pixels() -> None:
    columns = interleaving.science_columns()[640:1280]
    assert columns[:8].all()
    assert not columns[8:12].any()
    assert columns[-8:].all()
    assert columns.sum() == 512


def test_the_reset_anomaly_fades() -> None:
    mode = MODES["miri-sub"]
    levels = [np.abs(mid_infrared.reset_anomaly(mode, 0, group)).max() for group in range(8)]
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] == 0


def test_interference_repeats_with_its_period() -> None:
    mode = MODES["miri-sub"]
    signal = mid_infrared.Interference(mode, 5, stream(1, "emi")).signal(0, 0)
    assert signal.shape == mode.shape
    assert np.array_equal(signal[:, 0], signal[:, 3])
    assert 5 < np.ptp(signal) < 25


def test_snowballs_are_recorded_with_their_place() -> None:
    mode = MODES["nircam-sw-sub"]
    particles = Particles(mode, stream(3, "particles"), 4)
    deposits = [particles.strike(frame, 0, frame) for frame in range(4)]
    assert len(particles.large) >= 1
    event = particles.large[0]
    deposit = deposits[event.group]
    at = (deposit.y == int(event.y)) & (deposit.x == int(event.x))
    assert deposit.electrons[at].max() > 1e5


def test_noise_falls_with_frequency() -> None:
    power = np.abs(np.fft.rfft(one_over_f(stream(1, "noise"), 4096, 1.0))) ** 2
    assert power[1:50].mean() > 10 * power[-1000:].mean()

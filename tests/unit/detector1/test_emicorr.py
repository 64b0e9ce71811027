"""Correction of MIRI's electromagnetic interference."""

from pathlib import Path
from typing import Any

import asdf
import numpy as np
import pytest

from jwcal.core.array_types import Float64
from jwcal.core.data import Ramp
from jwcal.core.metadata import Metadata
from jwcal.core.products.write import write_side_product
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import EmicorrReference
from jwcal.core.step import Skip
from jwcal.detector1.steps.emicorr import EmiCorrParameters, correct_interference

NY, NX = 64, 72
ROW, FRAME = 28, 8512
FREQUENCY = 218.52055
REPEATING = 1e5 / (FRAME / 16)
"""A frequency in Hz with 16 cycles to the frame."""
WAVE = 5 * np.sin(2 * np.pi * (np.arange(200) + 0.5) / 200) + 2 * np.cos(4 * np.pi * np.arange(200) / 200)


def interference(shape: tuple[int, int], frequency: float, start: float, reset: int = FRAME) -> Float64:
    """The wave as every pixel of ``(nints, ngroups)`` reads it."""
    nints, ngroups = shape
    period = 1e5 / frequency
    quads = np.arange(NY)[:, None] * ROW + np.arange(NX // 4)
    result = np.empty((nints, ngroups, NY, NX))
    for i, g in np.ndindex(shape):
        phase = ((quads + g * FRAME + i * (ngroups * FRAME + reset)) / period + start) % 1
        value = np.interp(phase, (np.arange(200) + 0.5) / 200, WAVE, period=1.0)
        result[i, g] = np.repeat(value, 4, axis=1)
    return result


def a_miri_ramp(shape: tuple[int, int] = (2, 12), **keywords: str) -> Ramp:
    """Straight ramps with noise of 2 DN."""
    rng = np.random.default_rng(1)
    slopes = rng.uniform(5, 50, (NY, NX))
    data = 8000 + slopes * np.arange(shape[1])[:, None, None] + rng.normal(0, 2, (*shape, NY, NX))
    names = {"readpatt": "FASTR1", "subarray": "SUB64", "instrument": "MIRI"} | keywords
    tree = {
        "instrument": {"name": names["instrument"], "detector": "MIRIMAGE"},
        "exposure": {"readpatt": names["readpatt"], "nsamples": 1},
        "subarray": {"name": names["subarray"], "xsize": NX, "xstart": 1},
    }
    return Ramp(
        data=data.astype(np.float32),
        groupdq=np.zeros(data.shape, np.uint8),
        pixeldq=np.zeros((NY, NX), np.uint32),
        metadata=Metadata(tree),
    )


def a_reference(frequencies: dict[str, float] | None = None, freqs: Any = None) -> EmicorrReference:
    """The wave at these frequencies, for SUB64."""
    frequencies = {"Hz218": FREQUENCY} if frequencies is None else frequencies
    case = {"rowclocks": ROW, "frameclocks": FRAME, "freqs": freqs or {"FAST": list(frequencies)}}
    return EmicorrReference(
        subarray_cases={"SUB64": case},
        frequencies={name: {"frequency": f, "phase_amplitudes": WAVE} for name, f in frequencies.items()},
        file="emicorr.asdf",
    )


def correct(ramp: Ramp, *references: EmicorrReference, **options: Any) -> Ramp:
    return correct_interference(ramp, EmiCorrParameters(**options), ReferenceSet.of(*references))


def remaining(ramp: Ramp, clean: Ramp) -> float:
    """Standard deviation of what differs from the clean ramp, apart from a constant of each pixel."""
    difference = ramp.data.astype(np.float64) - clean.data
    return float((difference - difference.mean(axis=1, keepdims=True)).std())


@pytest.mark.parametrize("start", [0.13, 0.5, 0.87])
def test_the_joint_fit_takes_a_wave_of_any_phase_and_amplitude(start: float) -> None:
    clean, ramp = a_miri_ramp(), a_miri_ramp()
    ramp.data += (0.6 * interference((2, 12), FREQUENCY, start)).astype(np.float32)
    assert remaining(ramp, clean) > 2
    assert remaining(correct(ramp, a_reference()), clean) < 0.1


def test_the_joint_fit_works_on_four_groups() -> None:
    clean, ramp = a_miri_ramp((2, 4)), a_miri_ramp((2, 4))
    ramp.data += interference((2, 4), FREQUENCY, 0.3).astype(np.float32)
    assert remaining(correct(ramp, a_reference()), clean) < 0.3


def test_integrations_can_have_phases_of_their_own() -> None:
    clean, ramp = a_miri_ramp(), a_miri_ramp()
    emi = interference((2, 12), FREQUENCY, 0.3)
    emi[1] = interference((1, 12), FREQUENCY, 0.9)[0]
    ramp.data += emi.astype(np.float32)
    assert remaining(correct(ramp, a_reference(), fit_ints_separately=True), clean) < 0.1


def test_without_reset_between_integrations_the_phase_runs_on() -> None:
    clean, ramp = a_miri_ramp(readpatt="FAST"), a_miri_ramp(readpatt="FAST")
    ramp.data += interference((2, 12), FREQUENCY, 0.3, reset=0).astype(np.float32)
    assert remaining(correct(ramp, a_reference()), clean) < 0.1


def test_flagged_pixels_take_no_part_in_the_fit() -> None:
    clean, ramp = a_miri_ramp(), a_miri_ramp()
    ramp.data += interference((2, 12), FREQUENCY, 0.3).astype(np.float32)
    bad = np.zeros((NY, NX), bool)
    bad[:, 20:40] = True
    ramp.data[:, 5, bad] += 30
    ramp.pixeldq[bad] = 1
    correct(ramp, a_reference())
    ramp.data[:, 5, bad] -= 30
    assert remaining(ramp, clean) < 0.1


def test_the_sequential_fit_matches_the_reference_to_the_data() -> None:
    clean, ramp = a_miri_ramp(), a_miri_ramp()
    ramp.data += (0.6 * interference((2, 12), FREQUENCY, 0.3)).astype(np.float32)
    assert remaining(correct(ramp, a_reference(), algorithm="sequential", use_n_cycles=None), clean) < 0.5


def test_without_scaling_the_reference_keeps_its_amplitude() -> None:
    clean, ramp = a_miri_ramp(), a_miri_ramp()
    ramp.data += (0.5 * interference((2, 12), FREQUENCY, 0.3)).astype(np.float32)
    before = remaining(ramp, clean)
    correct(ramp, a_reference(), algorithm="sequential", scale_reference=False)
    assert remaining(ramp, clean) == pytest.approx(before, rel=0.1)


def test_a_frequency_can_be_corrected_without_a_reference() -> None:
    clean, ramp = a_miri_ramp(), a_miri_ramp()
    ramp.data += interference((2, 12), FREQUENCY, 0.3).astype(np.float32)
    assert remaining(correct(ramp, onthefly_corr_freq=(FREQUENCY,), use_n_cycles=None), clean) < 0.6


def test_the_measured_wave_is_saved_as_a_reference(tmp_path: Path) -> None:
    ramp = a_miri_ramp()
    ramp.data += interference((2, 12), FREQUENCY, 0.3).astype(np.float32)
    correct(ramp, onthefly_corr_freq=(FREQUENCY,), nbins=100, save_intermediate_results=True)
    side = ramp.side_products["emi_ref_waves"]
    path = tmp_path / f"exposure_emi_ref_waves.{side.extension}"
    write_side_product(side, ramp.metadata, path)
    with asdf.open(path) as saved:
        wave = np.array(saved["frequencies"][repr(FREQUENCY)]["phase_amplitudes"])
        assert saved["subarray_cases"]["SUB64"]["rowclocks"] == ROW
    assert wave.shape == (100,)
    assert np.ptp(wave) == pytest.approx(np.ptp(WAVE), rel=0.2)


def test_a_wave_that_is_the_same_in_every_group_is_refused_with_its_reason() -> None:
    ramp = a_miri_ramp()
    ramp.data += interference((2, 12), REPEATING, 0.3).astype(np.float32)
    before = ramp.data.copy()
    with pytest.raises(Skip, match="same in every group") as skip:
        correct(ramp, a_reference({"Hz": REPEATING}))
    assert f"{REPEATING} Hz" in skip.value.reason
    np.testing.assert_array_equal(ramp.data, before)


def test_a_refused_frequency_leaves_the_others_to_be_corrected() -> None:
    clean, ramp = a_miri_ramp(), a_miri_ramp()
    ramp.data += interference((2, 12), FREQUENCY, 0.3).astype(np.float32)
    correct(ramp, a_reference({"same": REPEATING, "Hz218": FREQUENCY}))
    assert remaining(ramp, clean) < 0.1


def test_slow_patterns_have_frequencies_by_detector() -> None:
    ramp = a_miri_ramp(readpatt="SLOWR1")
    before = ramp.data.copy()
    correct(ramp, a_reference(freqs={"SLOW": {"MIRIMAGE": ["Hz218"]}}))
    assert (ramp.data != before).any()
    with pytest.raises(Skip, match="no correction for this subarray"):
        correct(ramp, a_reference(freqs={"SLOW": {"MIRIFULONG": ["Hz218"]}}))


@pytest.mark.parametrize(
    ("ramp", "reason"),
    [
        (a_miri_ramp(instrument="NIRCAM"), "only for MIRI"),
        (a_miri_ramp(readpatt="FASTGRPAVG"), "read pattern"),
        (a_miri_ramp((1, 2)), "too few"),
        (a_miri_ramp(subarray="SUB128"), "no correction for this subarray"),
    ],
)
def test_what_cannot_be_corrected_is_skipped_with_its_reason(ramp: Ramp, reason: str) -> None:
    with pytest.raises(Skip, match=reason):
        correct(ramp, a_reference())


def test_no_reference_skips_the_step() -> None:
    with pytest.raises(Skip, match="no emicorr reference"):
        correct(a_miri_ramp())


def test_frequencies_on_the_fly_need_known_clocks() -> None:
    with pytest.raises(Skip, match="no correction for this subarray"):
        correct(a_miri_ramp(subarray="SUBPRISM"), onthefly_corr_freq=(FREQUENCY,))

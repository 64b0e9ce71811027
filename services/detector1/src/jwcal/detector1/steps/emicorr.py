"""MIRI electromagnetic interference."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from pydantic import Field

from jwcal.core.array_types import Float64
from jwcal.core.data import Ramp, SideProduct
from jwcal.core.errors import InvalidReference
from jwcal.core.metadata import Metadata
from jwcal.core.references.load import decode
from jwcal.core.references.reference_set import ReferenceSet
from jwcal.core.references.types import EmicorrReference
from jwcal.core.step import ReadFile, Skip, StepParameters, step
from jwcal.detector1.interference import joint, sequential
from jwcal.detector1.interference.timing import SUBARRAY_CLOCKS, Readout, period_in_clocks

_READ_PATTERNS: Final = ("FAST", "FASTR1", "SLOW", "SLOWR1")
_MIN_GROUPS: Final = 3


class EmiCorrParameters(StepParameters):
    """Parameters of emicorr."""

    algorithm: Literal["sequential", "joint"] = "joint"
    """Fit lines and the wave together (three groups or more), or the wave to the residuals of lines (ten or more)."""
    nints_to_phase: int | None = Field(default=None, ge=1)
    """sequential: integrations that the wave is measured on; None counts them from `use_n_cycles`."""
    nbins: int | None = Field(default=None, ge=1)
    """sequential: bins of one cycle of the measured wave; None takes half the period in pixel clocks, at most 500."""
    scale_reference: bool = True
    """sequential: scale the reference wave to the amplitude of the measured one."""
    onthefly_corr_freq: tuple[float, ...] | None = None
    """Frequencies in Hz to correct with the waves measured in the exposure itself, without a reference file."""
    use_n_cycles: int | None = Field(default=3, ge=1)
    """sequential: measure the wave on so many of its cycles, in whole integrations; None takes all integrations."""
    fit_ints_separately: bool = False
    """joint: amplitude and phase for each integration instead of one for all."""
    user_supplied_reffile: ReadFile | None = None
    """Reference file to use; deprecated, override the emicorr reference instead."""
    save_intermediate_results: bool = False
    """Save the waves measured with `onthefly_corr_freq` as a reference file (suffix emi_ref_waves)."""
    skip: bool = True
    """Leave this step out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """What to correct: clocks of the subarray, and the waves by name."""

    row_clocks: int
    frame_clocks: int
    frequencies: dict[str, float]
    waves: dict[str, Float64]


@step("emicorr", params=EmiCorrParameters, references=(EmicorrReference,), official="jwst.emicorr.EmiCorrStep")
def correct_interference(ramp: Ramp, params: EmiCorrParameters, refs: ReferenceSet) -> Ramp:
    r"""Remove waves of electromagnetic interference (10 Hz, 218 Hz, 390 Hz ...) from MIRI ramps, in DN.

    The wave is known by the phase at which each pixel is read, from the clocks (10 microseconds) of rows, frames and
    resets.  Frequencies are corrected one after the other.

    *joint*: pixels have ramps :math:`y_g = a + b g + c\,w(\phi + g\,\Delta\phi)`, with *w* the wave of the reference.
    Chi squared is minimised over a and b of each pixel, over the amplitude c, and over 500 phases, refined by a
    parabola.  Only the sums of good pixels in bins of the phase enter: those without flags that vary less than twice
    the median.  Without a reference the sequential fit is taken.

    *sequential*: a line and a fixed pattern are taken from each pixel's ramp, what is left is averaged over the four
    outputs and over phase bins (clipped means).  The reference wave is shifted to the best correlation with that, and
    scaled to it; without a reference (`onthefly_corr_freq`) the measured wave itself is subtracted.

    A frequency whose period divides the time of a frame reads the same phase in every group.  It then adds a constant
    to each ramp and leaves rates as they are, and its amplitude in the joint fit is 0 / 0: the official step subtracts
    hundreds of DN there.  Such a frequency is left out (when lines absorb all but a millionth of the wave's power),
    and the step is skipped if none is left.

    Kept from the official step: an integration's chi squared is taken at the trial phase that follows its own; the
    parabola is not unwrapped at phase 0; one sample that is no number makes the joint fit undefined, and nothing is
    subtracted; the last column of full frames is placed 2^32 clocks too late in the sequential fit; phase 0 is in no
    bin; the saved waves name the read pattern in full, as no reference does.

    Skipped for fewer than three groups and for subarrays and read patterns that the reference does not have.
    Source: JWST User Documentation, "MIRI Electromagnetic Interference"; Brandt (joint fit), Bergeron (sequential).
    """
    if ramp.metadata.instrument != "MIRI":
        raise Skip("only for MIRI")
    pattern = str(ramp.metadata.require("exposure.readpatt")).upper()
    if pattern not in _READ_PATTERNS:
        raise Skip(f"not for read pattern {pattern}")
    reference = None if params.onthefly_corr_freq is not None else _reference(params, refs)
    if ramp.ngroups < _MIN_GROUPS:
        raise Skip(f"{ramp.ngroups} groups are too few")
    case = _built_in_case(ramp, params.onthefly_corr_freq or ()) if reference is None else _case(ramp, reference)
    if case is None or not case.frequencies:
        raise Skip("no correction for this subarray and read pattern")
    readout = Readout.of(
        rows=ramp.data.shape[-2],
        row_clocks=case.row_clocks,
        frame_clocks=case.frame_clocks,
        samples=int(ramp.metadata.require_number("exposure.nsamples", positive=True)),
        read_pattern=pattern,
        last_column=int(
            ramp.metadata.require_number("subarray.xsize") / 4 + ramp.metadata.require_number("subarray.xstart") - 1
        ),
    )
    if params.algorithm == "joint" and reference is not None:
        _correct_jointly(ramp, case, readout, separately=params.fit_ints_separately)
        return ramp
    measured = _correct_sequentially(ramp, case, readout, params)
    if params.save_intermediate_results and reference is None:
        ramp.side_products["emi_ref_waves"] = _side_product(ramp, case, measured)
    return ramp


def _reference(params: EmiCorrParameters, refs: ReferenceSet) -> EmicorrReference:
    if params.user_supplied_reffile is not None:
        return decode(Path(params.user_supplied_reffile), EmicorrReference, None)
    reference = refs.get(EmicorrReference)
    if reference is None:
        raise Skip("no emicorr reference")
    return reference


def _case(ramp: Ramp, reference: EmicorrReference) -> _Case | None:
    """The reference's entry for this subarray and read pattern."""
    speed = "SLOW" if "SLOW" in str(ramp.metadata.require("exposure.readpatt")).upper() else "FAST"
    subarray = str(ramp.metadata.require("subarray.name"))
    entry = reference.subarray_cases.get(f"{subarray}_{speed}" if "FULL" in subarray else subarray)
    names = None if entry is None else entry["freqs"].get(speed)
    if names is not None and speed == "SLOW":
        names = names.get(ramp.metadata.detector)
    if entry is None or names is None:
        return None
    missing = [name for name in names if name not in reference.frequencies]
    if missing:
        raise InvalidReference(f"it has no frequency {missing[0]}", file=reference.file, remedy="override it")
    return _Case(
        row_clocks=int(entry["rowclocks"]),
        frame_clocks=int(entry["frameclocks"]),
        frequencies={name: float(reference.frequencies[name]["frequency"]) for name in names},
        waves={name: np.array(reference.frequencies[name]["phase_amplitudes"], np.float64) for name in names},
    )


def _built_in_case(ramp: Ramp, frequencies: tuple[float, ...]) -> _Case | None:
    """Known clocks of this subarray for frequencies without a wave."""
    subarray = str(ramp.metadata.require("subarray.name"))
    if subarray == "FULL":
        subarray += "_SLOW" if "SLOW" in str(ramp.metadata.require("exposure.readpatt")).upper() else "_FAST"
    clocks = SUBARRAY_CLOCKS.get(subarray)
    if clocks is None:
        return None
    named = {repr(frequency): frequency for frequency in frequencies}
    return _Case(row_clocks=clocks[0], frame_clocks=clocks[1], frequencies=named, waves={})


def _correct_jointly(ramp: Ramp, case: _Case, readout: Readout, *, separately: bool) -> None:
    refused = []
    for name, frequency in case.frequencies.items():
        model = joint.JointModel(case.waves[name], frequency, readout)
        fit = joint.fit_wave(joint.fold(ramp, model), model, separately=separately)
        if fit is None:
            refused.append(f"{frequency} Hz")
        else:
            joint.subtract(ramp, model, fit)
    if len(refused) == len(case.frequencies):
        raise Skip(f"the same in every group, which rates do not feel: {', '.join(refused)}")


def _correct_sequentially(ramp: Ramp, case: _Case, readout: Readout, params: EmiCorrParameters) -> dict[str, Float64]:
    """Correct every frequency; returns the waves as measured."""
    measured = {}
    for name, frequency in case.frequencies.items():
        integrations = sequential.integrations_to_phase(
            ramp.nints,
            ramp.ngroups,
            frequency,
            case.frame_clocks,
            asked=params.nints_to_phase,
            cycles=params.use_n_cycles,
        )
        wave = sequential.measure_wave(ramp, readout, frequency, integrations, params.nbins)
        period = period_in_clocks(frequency)
        if name in case.waves:
            table = sequential.match_reference(wave, case.waves[name], period, scale=params.scale_reference)
        else:
            table = sequential.resample(wave, period)
        sequential.subtract(ramp, readout, frequency, table)
        measured[name] = wave
    return measured


def _side_product(ramp: Ramp, case: _Case, waves: dict[str, Float64]) -> SideProduct:
    """The measured waves as a reference file."""
    pattern = str(ramp.metadata.require("exposure.readpatt")).upper()
    names = list(case.frequencies)
    freqs: dict[str, Any] = {pattern: names if "FAST" in pattern else {ramp.metadata.detector: names}}
    return SideProduct(
        model="EmiModel",
        arrays={
            "frequencies": {
                name: {"frequency": frequency, "phase_amplitudes": waves[name]}
                for name, frequency in case.frequencies.items()
            },
            "subarray_cases": {
                str(ramp.metadata.require("subarray.name")): {
                    "rowclocks": case.row_clocks,
                    "frameclocks": case.frame_clocks,
                    "freqs": freqs,
                }
            },
        },
        metadata=Metadata(
            {
                "reftype": "emicorr",
                "author": "jwcal",
                "description": "EMI correction file",
                "pedigree": "GROUND",
                "useafter": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            }
        ),
        extension="asdf",
    )

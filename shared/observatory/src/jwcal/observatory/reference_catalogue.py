"""Which reference files exist, under what names, and what CRDS matches them by.

The catalogue covers every mode and never depends on what was made so far: all worlds share one set of mappings, and
files are made when a mode first needs them.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

from jwcal.observatory.mode import Mode
from jwcal.observatory.modes import MODES

DETECTOR, SUBARRAY = "META.INSTRUMENT.DETECTOR", "META.SUBARRAY.NAME"
READPATT, TYPE = "META.EXPOSURE.READPATT", "META.EXPOSURE.TYPE"
FILTER, PUPIL = "META.INSTRUMENT.FILTER", "META.INSTRUMENT.PUPIL"
GRATING, BAND = "META.INSTRUMENT.GRATING", "META.INSTRUMENT.BAND"

Keys = tuple[str, ...]

_SITE: Keys = (DETECTOR, SUBARRAY)
_TIMED: Keys = (DETECTOR, READPATT, SUBARRAY)

_SHARED: dict[str, Keys] = {
    "mask": _SITE,
    "saturation": _SITE,
    "ipc": _SITE,
    "linearity": _SITE,
    "dark": _TIMED,
    "gain": _SITE,
    "readnoise": _TIMED,
}
_NEAR: dict[str, Keys] = _SHARED | {"superbias": _TIMED, "sirskernel": ()}

PARKEYS: dict[str, dict[str, Keys]] = {
    "NIRCAM": _NEAR | {"dark": (TYPE, *_SITE), "flat": (DETECTOR, FILTER, PUPIL, SUBARRAY)},
    "NIRISS": _NEAR | {"flat": (DETECTOR, FILTER, PUPIL, SUBARRAY)},
    "NIRSPEC": _NEAR
    | {
        "mask": _TIMED,
        "saturation": _TIMED,
        "refpix": (DETECTOR, READPATT),
        "pictureframe": (DETECTOR, TYPE, READPATT),
    },
    "MIRI": _SHARED
    | {
        "reset": _TIMED,
        "rscd": (DETECTOR,),
        "emicorr": (),
        "flat": (DETECTOR, FILTER, BAND, SUBARRAY),
    },
    "FGS": {"mask": _SITE, "gain": _SITE, "readnoise": _SITE, "flat": _SITE},
}
"""Reference types of each instrument and the keywords their rules match."""

EXTENSIONS = {"emicorr": "asdf", "sirskernel": "asdf"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One reference file."""

    instrument: str
    reftype: str
    match: tuple[str, ...]
    file: str
    mode: Mode
    """The mode whose pixels it describes."""


def selection(mode: Mode, key: str) -> str:
    """A mode's value of a matched keyword, ``N/A`` where it has none."""
    values = {
        DETECTOR: mode.detector.name,
        SUBARRAY: mode.subarray,
        READPATT: mode.readpatt,
        TYPE: mode.exposure_type,
        FILTER: mode.filter,
        PUPIL: mode.pupil,
        GRATING: mode.grating,
        BAND: mode.band,
    }
    return values[key] or "N/A"


def _applies(mode: Mode, reftype: str) -> bool:
    if reftype == "refpix":
        return mode.is_irs2
    if reftype == "pictureframe":
        return mode.is_full and not mode.is_irs2
    if reftype == "ipc":
        return mode.stripes is None or mode.stripes.superstripes == 0
    return True


def _described(mode: Mode, reftype: str) -> Mode:
    """The mode whose frames a reference has: full frames are cut to stripes, but for the dark."""
    return mode if reftype == "dark" else mode.whole_detector


@lru_cache(maxsize=1)
def catalogue() -> tuple[Entry, ...]:
    """Every reference file."""
    entries: list[Entry] = []
    for instrument, types in PARKEYS.items():
        for reftype, keys in types.items():
            seen: set[tuple[str, ...]] = set()
            made: dict[tuple[str, ...], Entry] = {}
            for mode in MODES.values():
                match = tuple(selection(mode, key) for key in keys)
                if mode.instrument != instrument or match in seen or not _applies(mode, reftype):
                    continue
                seen.add(match)
                described = _described(mode, reftype)
                frame = tuple(selection(described, key) for key in keys)
                extension = EXTENSIONS.get(reftype, "fits")
                name = f"jwst_{instrument.lower()}_{reftype}_{len(made) + 1:04d}.{extension}"
                made.setdefault(frame, Entry(instrument, reftype, match, name, described))
                entries.append(replace(made[frame], match=match))
    return tuple(entries)


def entries_of(mode: Mode) -> list[Entry]:
    """The reference files a mode needs."""
    return [
        entry
        for entry in catalogue()
        if entry.instrument == mode.instrument
        and _applies(mode, entry.reftype)
        and entry.match == tuple(selection(mode, key) for key in PARKEYS[mode.instrument][entry.reftype])
    ]

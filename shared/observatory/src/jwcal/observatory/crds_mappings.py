"""CRDS mappings in their own syntax, and the configuration of a cache that has no server.

Contexts: ``jwst_0001.pmap`` holds no parameter references (the code's defaults apply), ``jwst_0002.pmap`` adds those of
operations.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jwcal.core.references.contents import offline_configuration
from jwcal.observatory.files import replaced
from jwcal.observatory.modes import MODES
from jwcal.observatory.reference_catalogue import PARKEYS, TYPE, catalogue, selection
from jwcal.observatory.step_parameters import OPERATIONS, PARAMETER_TYPES, parameter_file

CODE_DEFAULTS, WITH_PARAMETERS = "jwst_0001.pmap", "jwst_0002.pmap"
USE_AFTER = "2022-01-01 00:00:00"
_DATE = ("META.OBSERVATION.DATE", "META.OBSERVATION.TIME")

NOT_APPLICABLE = (
    "APCORR",
    "AREA",
    "ABVEGAOFFSET",
    "BARSHADOW",
    "BKG",
    "CAMERA",
    "CHROMCORR",
    "COLLIMATOR",
    "CUBEPAR",
    "DFLAT",
    "DISPERSER",
    "DISTORTION",
    "DRIZPARS",
    "EMICORR",
    "EXTRACT1D",
    "FFLAT",
    "FILTEROFFSET",
    "FLAT",
    "FORE",
    "FPA",
    "FRINGE",
    "FRINGEFREQ",
    "IFUFORE",
    "IFUPOST",
    "IFUSLICER",
    "IPC",
    "LASTFRAME",
    "LINEARITY",
    "SATURATION",
    "DARK",
    "MRSPTCORR",
    "MRSXARTCORR",
    "MSA",
    "MSAOPER",
    "NRM",
    "OTE",
    "PASTASOSS",
    "PATHLOSS",
    "PERSAT",
    "PHOTOM",
    "PICTUREFRAME",
    "PSF",
    "PSFMASK",
    "REFPIX",
    "REGIONS",
    "RESET",
    "RESOL",
    "RSCD",
    "SFLAT",
    "SIRSKERNEL",
    "SPECKERNEL",
    "SPECPROFILE",
    "SPECTRACE",
    "SPECWCS",
    "STRAYMASK",
    "SUPERBIAS",
    "THROUGHPUT",
    "TRAPDENSITY",
    "TRAPPARS",
    "TSOPHOT",
    "V2V3",
    "WAVECORR",
    "WAVELENGTHRANGE",
    "WAVEMAP",
    "WCSREGIONS",
    "WFSSBKG",
)
"""Types that steps may ask for; those an instrument has are given their rules over this."""


def write_mappings(crds: Path) -> None:
    """Write both contexts and the cache's configuration, unless they are there already."""
    contexts = {1: CODE_DEFAULTS, 2: WITH_PARAMETERS}
    texts: dict[str, str] = {}
    rules = {key: _reference_rules(*key, texts) for key in _kinds()}
    parameters = {key: _parameter_rules(*key, texts) for key in OPERATIONS}
    for serial, context in contexts.items():
        instruments = {}
        for instrument in PARKEYS:
            table = dict.fromkeys((*NOT_APPLICABLE, *(f"PARS-{name.upper()}" for name in PARAMETER_TYPES)), "N/A")
            table |= {kind.upper(): name for (owner, kind), name in rules.items() if owner == instrument}
            if serial == 2:
                table |= {
                    f"PARS-{kind.upper()}": name for (owner, kind), name in parameters.items() if owner == instrument
                }
            name = f"jwst_{instrument.lower()}_{serial:04d}.imap"
            texts[name] = _mapping(
                name, {"instrument": instrument, "mapping": "INSTRUMENT", "parkey": ("REFTYPE",)}, _plain(table)
            )
            instruments[instrument] = name
        texts[context] = _mapping(
            context, {"mapping": "PIPELINE", "parkey": ("META.INSTRUMENT.NAME",)}, _plain(instruments)
        )
    for name, text in texts.items():
        _write(crds / "mappings" / "jwst" / name, text)
    for name, text in offline_configuration(CODE_DEFAULTS).items():
        _write(crds / "config" / "jwst" / name, text)


def _kinds() -> list[tuple[str, str]]:
    return [(instrument, kind) for instrument, kinds in PARKEYS.items() for kind in kinds]


def _reference_rules(instrument: str, reftype: str, texts: dict[str, str]) -> str:
    rules = {
        entry.match: entry.file for entry in catalogue() if (entry.instrument, entry.reftype) == (instrument, reftype)
    }
    if reftype in ("refpix", "pictureframe", "ipc"):
        rules |= {match: "N/A" for match in _rest(instrument, reftype) if match not in rules}
    return _rmap(instrument, reftype, PARKEYS[instrument][reftype], rules, texts)


def _rest(instrument: str, reftype: str) -> list[tuple[str, ...]]:
    """What the modes would match of a type that only some need."""
    return [
        tuple(selection(mode, key) for key in PARKEYS[instrument][reftype])
        for mode in MODES.values()
        if mode.instrument == instrument
    ]


def _parameter_rules(instrument: str, kind: str, texts: dict[str, str]) -> str:
    rules: dict[tuple[str, ...], str] = {
        (exposure_type,): "N/A" if values is None else parameter_file(instrument, kind, exposure_type)
        for exposure_type, values in OPERATIONS[instrument, kind].items()
    }
    return _rmap(instrument, f"pars-{kind}", (TYPE,), rules, texts)


def _rmap(
    instrument: str, kind: str, keys: tuple[str, ...], rules: Mapping[tuple[str, ...], str], texts: dict[str, str]
) -> str:
    header: dict[str, Any] = {"filekind": kind.upper(), "instrument": instrument, "mapping": "REFERENCE"}
    if keys:
        header |= {"classes": ("Match", "UseAfter"), "parkey": (keys, _DATE)}
        lines = ["Match({"]
        for match, file in sorted(rules.items()):
            key = match[0] if len(match) == 1 else match
            lines += [f"    {key!r} : UseAfter({{", f"        {USE_AFTER!r} : {file!r},", "    }),"]
    else:
        header |= {"classes": ("UseAfter",), "parkey": (_DATE,)}
        lines = ["UseAfter({", f"    {USE_AFTER!r} : {rules[()]!r},"]
    name = f"jwst_{instrument.lower()}_{kind}_0001.rmap"
    texts[name] = _mapping(name, header, "\n".join([*lines, "})"]))
    return name


def _plain(table: Mapping[str, str]) -> str:
    return "\n".join(["{", *(f"    {key!r} : {value!r}," for key, value in sorted(table.items())), "}"])


def _mapping(name: str, header: Mapping[str, Any], selector: str) -> str:
    """Text of a mapping, with the checksum that CRDS verifies: SHA-1 of all lines but its own."""
    values = {**header, "name": name, "observatory": "JWST", "derived_from": "jwcal synthetic observatory"}
    lines = [f"    {key!r} : {value!r}," for key, value in sorted(values.items())]
    plain = "\n".join(["header = {", *lines, "}", "", f"selector = {selector}", ""])
    checksum = f"    'sha1sum' : {hashlib.sha1(plain.encode()).hexdigest()!r},\n"
    return plain.replace("\n}\n", f"\n{checksum}}}\n", 1)


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        with replaced(path) as temporary:
            temporary.write_text(text)

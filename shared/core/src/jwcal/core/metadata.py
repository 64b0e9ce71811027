"""The metadata tree of a product: the official one, complete.

Paths are dotted and relative to ``meta`` (``exposure.ngroups`` is the official
``meta.exposure.ngroups``).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from jwcal.core.errors import InvalidKeyword, MissingKeyword

KEYWORDS: dict[str, str] = {
    "exposure.type": "EXP_TYPE",
    "exposure.readpatt": "READPATT",
    "exposure.nints": "NINTS",
    "exposure.ngroups": "NGROUPS",
    "exposure.nframes": "NFRAMES",
    "exposure.groupgap": "GROUPGAP",
    "exposure.frame_time": "TFRAME",
    "exposure.group_time": "TGROUP",
    "exposure.frame_divisor": "FRMDIVSR",
    "exposure.drop_frames1": "DRPFRMS1",
    "exposure.noutputs": "NOUTPUTS",
    "exposure.integration_start": "INTSTART",
    "exposure.integration_end": "INTEND",
    "instrument.name": "INSTRUME",
    "instrument.detector": "DETECTOR",
    "instrument.filter": "FILTER",
    "instrument.pupil": "PUPIL",
    "subarray.name": "SUBARRAY",
    "subarray.xstart": "SUBSTRT1",
    "subarray.ystart": "SUBSTRT2",
    "subarray.xsize": "SUBSIZE1",
    "subarray.ysize": "SUBSIZE2",
    "subarray.fastaxis": "FASTAXIS",
    "subarray.slowaxis": "SLOWAXIS",
    "subarray.multistripe_reads1": "MSTR_RD1",
    "subarray.multistripe_skips1": "MSTR_SK1",
    "subarray.multistripe_reads2": "MSTR_RD2",
    "subarray.multistripe_skips2": "MSTR_SK2",
    "subarray.repeat_stripe": "MSTR_RPT",
    "subarray.interleave_reads1": "MSTR_ILV",
    "subarray.superstripe_step": "SSTR_STP",
    "subarray.num_superstripe": "SSTR_NST",
    "observation.date": "DATE-OBS",
    "observation.time": "TIME-OBS",
}
"""FITS keywords of the paths that steps ask for by name, for error messages."""


class Metadata:
    """A nested tree with dotted access."""

    __slots__ = ("history", "source", "tree")

    def __init__(
        self, tree: Mapping[str, Any] | None = None, *, source: str | None = None, history: Sequence[str] = ()
    ) -> None:
        self.tree: dict[str, Any] = dict(tree or {})
        self.source = source
        """File the metadata came from, for error messages."""
        self.history = tuple(history)
        """HISTORY cards of the primary header, which belong to no path."""

    def get(self, path: str, default: Any = None) -> Any:
        """Value at `path`, or `default` where it is absent or None."""
        node: Any = self.tree
        for name in path.split("."):
            if not isinstance(node, Mapping) or name not in node:
                return default
            node = node[name]
        return default if node is None else node

    def require(self, path: str) -> Any:
        """Value at `path`; MissingKeyword where there is none."""
        value = self.get(path)
        if value is None:
            keyword = KEYWORDS.get(path, path)
            raise MissingKeyword(
                f"keyword {keyword} is missing",
                file=self.source,
                keyword=keyword,
                remedy=f"set {keyword} in the header",
            )
        return value

    def require_number(self, path: str, *, positive: bool = False) -> float:
        """A finite number at `path`; `positive` demands that it is above zero."""
        value = self.require(path)
        keyword = KEYWORDS.get(path, path)
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not math.isfinite(number) or (positive and number <= 0):
            raise InvalidKeyword(
                f"keyword {keyword} holds {value!r}",
                file=self.source,
                keyword=keyword,
                remedy=f"set {keyword} to a {'positive ' if positive else ''}number",
            )
        return number

    def set(self, path: str, value: Any) -> None:
        """Store `value` at `path`, making the nodes on the way."""
        *parents, last = path.split(".")
        node = self.tree
        for name in parents:
            node = node.setdefault(name, {})
        node[last] = value

    def discard(self, path: str) -> None:
        """Remove what stands at `path`, if anything."""
        *parents, last = path.split(".")
        node: Any = self.tree
        for name in parents:
            if not isinstance(node, dict) or name not in node:
                return
            node = node[name]
        if isinstance(node, dict):
            node.pop(last, None)

    def leaves(self) -> Iterator[tuple[str, Any]]:
        """Every (path, value), lists and scalars being leaves."""
        stack: list[tuple[str, Any]] = [("", self.tree)]
        while stack:
            prefix, node = stack.pop()
            if isinstance(node, Mapping):
                stack.extend((f"{prefix}.{name}" if prefix else str(name), child) for name, child in node.items())
            else:
                yield prefix, node

    def copy(self) -> "Metadata":
        """An independent copy."""
        return Metadata(deepcopy(self.tree), source=self.source, history=self.history)

    @property
    def instrument(self) -> str:
        """NIRCAM, NIRISS, NIRSPEC, MIRI or FGS."""
        return str(self.require("instrument.name")).upper()

    @property
    def detector(self) -> str:
        """Detector name, such as NRCA1 or MIRIMAGE."""
        return str(self.require("instrument.detector")).upper()

    @property
    def exposure_type(self) -> str:
        """EXP_TYPE, such as NRC_IMAGE."""
        return str(self.require("exposure.type")).upper()

    @property
    def is_irs2(self) -> bool:
        """Whether the exposure uses NIRSpec's interleaved reference pixel readout."""
        return "IRS2" in str(self.get("exposure.readpatt", ""))

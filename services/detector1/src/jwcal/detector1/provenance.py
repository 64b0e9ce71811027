"""What is written into every product about how it was made."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from jwcal.core.events import StepRecord
from jwcal.core.metadata import Metadata

_PACKAGES = ("numpy", "numba", "scipy", "astropy", "stdatamodels", "crds")


def stamp(metadata: Metadata, *, context: str) -> None:
    """Record software and context: CAL_VER, CAL_VCS, CRDS_VER, CRDS_CTX."""
    metadata.set("calibration_software_version", f"jwcal {version('jwcal-detector1')}")
    metadata.set("calibration_software_revision", "RELEASE")
    metadata.set("ref_file.crds.sw_version", version("crds"))
    metadata.set("ref_file.crds.context_used", context)


def log(plan: str, official: str, records: Sequence[StepRecord], overrides: Mapping[str, str]) -> dict[str, Any]:
    """The processing record kept in the product's ASDF tree under ``cal_logs``: one JSON line for each step."""
    head = {
        "jwcal": version("jwcal-detector1"),
        "plan": plan,
        "versions": {name: version(name) for name in _PACKAGES},
        "overrides": dict(overrides),
    }
    lines = [json.dumps(head)]
    lines += [
        json.dumps(
            {
                "step": record.name,
                "status": record.status,
                "reason": record.reason,
                "seconds": round(record.seconds, 4),
                "references": record.references,
                "parameters": record.parameters,
            }
        )
        for record in records
    ]
    return {official: lines}

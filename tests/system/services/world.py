"""What the services work on in these tests: small exposures, their references, and what undisturbed runs make."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from astropy.io import fits

from jwcal.detector1 import run
from jwcal.observatory import simulate
from tests.builders import use_crds

_MODE, _SIZE = "nircam-tso", {"ngroups": 4, "nints": 2}
"""64 x 64 pixels: a job takes a fifth of a second once its references are decoded."""
_NO_CONTENTS = ("DATE",)
"""Keywords that tell when a file was written."""


@dataclass(frozen=True)
class World:
    """Exposures and the contents of their products, by the products' names."""

    exposures: tuple[Path, ...]
    environment: Mapping[str, str]
    """Of services that shall find the references."""
    context: str
    expected: Mapping[str, str]

    def products_of(self, exposure: str) -> dict[str, str]:
        """Of the exposure with this root."""
        return {name: contents for name, contents in self.expected.items() if name.startswith(f"{exposure}_")}


def make_world(place: Path, *, exposures: int) -> World:
    """So many exposures, calibrated in this process."""
    made = []
    for number in range(1, exposures + 1):
        simulation = simulate(_MODE, place / str(number), seed=number, crds=place / "crds", **_SIZE)
        (file,) = simulation.exposures
        made.append(file.rename(file.with_name(file.name.replace("_00001_", f"_{number:05d}_"))))
    expected = {}
    with pytest.MonkeyPatch.context() as environment:
        use_crds(place / "crds", environment)
        for file in made:
            for product in run(file, output_dir=place / "expected", context=simulation.context).products:
                expected[product.name] = contents(product)
    offline = {"CRDS_PATH": str(place / "crds"), "CRDS_MODE": "local", "CRDS_READONLY_CACHE": "1"}
    offline |= {"NUMBA_NUM_THREADS": "1"}  # the exposures are small, and several workers share the machine
    return World(tuple(made), offline, simulation.context, expected)


def contents(product: Path) -> str:
    """SHA-256 of all that a product says: every keyword and pixel, but not when it was written.

    The ASDF extension repeats keywords and pixels, the time among them, and is left out.
    """
    digest = hashlib.sha256()
    with fits.open(product, memmap=False) as hdus:
        for hdu in hdus:
            if hdu.name == "ASDF":
                continue
            header = hdu.header.copy()
            for keyword in _NO_CONTENTS:
                header.remove(keyword, ignore_missing=True)
            digest.update(header.tostring().encode())
            if hdu.data is not None:
                digest.update(hdu.data.tobytes())
    return digest.hexdigest()

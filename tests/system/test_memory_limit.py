"""An exposure larger than the memory limit is calibrated below it, to the same bytes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from jwcal.observatory import Simulation, simulate
from tests.bench.exposures import repeat_integrations
from tests.parity.oracle import crds_environment

pytestmark = pytest.mark.slow

MIB = 1 << 20
LIMIT = 512 * MIB
"""The process alone, without an exposure, holds about 300 MiB."""
PROGRAM = """
import json, sys
from pathlib import Path
from jwcal.detector1 import run
file, out, limit, algorithm = sys.argv[1:]
Path("/proc/self/clear_refs").write_text("5")
run(file, output_dir=out, memory_limit=int(limit) or None, parameters={"ramp_fit": {"algorithm": algorithm}})
status = Path("/proc/self/status").read_text()
print(json.dumps(int(status.split("VmHWM:")[1].split()[0]) * 1024))
"""


def calibrate(exposure: Simulation, out: Path, *, limit: int, algorithm: str) -> int:
    """Run in a process of its own; its peak resident set in bytes."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(exposure.exposures[0]), str(out), str(limit), algorithm],
        env=crds_environment(exposure.crds, exposure.context),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(json.loads(done.stdout))


def planes(product: Path) -> dict[str, Any]:
    with fits.open(product) as hdus:
        return {hdu.name: np.array(hdu.data) for hdu in hdus if hdu.name not in ("PRIMARY", "ASDF")}


@pytest.fixture(scope="module")
def exposure(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    """110 integrations of 10 groups of 320 x 320 pixels: 430 MiB in single precision, 540 MiB with flags."""
    made = simulate("nircam-sw-sub", tmp_path_factory.mktemp("series"), seed=1, nints=5)
    repeat_integrations(made.exposures[0], 22)
    return made


@pytest.mark.parametrize("algorithm", ["OLS_C", "LIKELY"])
def test_a_series_larger_than_the_limit_stays_below_it(exposure: Simulation, tmp_path: Path, algorithm: str) -> None:
    free = calibrate(exposure, tmp_path / "free", limit=0, algorithm=algorithm)  # the first, which compiles kernels
    bounded = calibrate(exposure, tmp_path / "bounded", limit=LIMIT, algorithm=algorithm)
    assert free > LIMIT > bounded
    for suffix in ("rate", "rateints"):
        (a,), (b,) = ((tmp_path / where).glob(f"*_{suffix}.fits") for where in ("free", "bounded"))
        one, other = planes(a), planes(b)
        assert one.keys() == other.keys()
        for name, values in one.items():
            assert values.tobytes() == other[name].tobytes(), name

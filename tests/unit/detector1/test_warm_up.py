"""After the warm-up nothing is left to compile for an exposure."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jwcal.observatory import simulate
from tests.parity.oracle import crds_environment

pytestmark = pytest.mark.slow

PROGRAM = """
import gc, json, sys
from numba.core.dispatcher import Dispatcher
from jwcal.detector1 import run
from jwcal.detector1.warm_up import warm_up

def compiled():
    ours = [kernel for kernel in gc.get_objects() if isinstance(kernel, Dispatcher) and "jwcal" in kernel.__module__]
    return {f"{kernel.__module__}.{kernel.__name__}{signature}" for kernel in ours for signature in kernel.signatures}

warm_up()
warm = compiled()
run(sys.argv[1], output_dir=sys.argv[2])
print(json.dumps([len(warm), sorted(compiled() - warm)]))
"""


@pytest.mark.parametrize("mode", ["nircam-tso", "nirspec-irs2", "miri-sub"])
def test_an_exposure_needs_no_kernel_that_is_not_warm(mode: str, tmp_path: Path) -> None:
    size = {"ngroups": 6, "nints": 1 if mode == "nirspec-irs2" else 2}
    made = simulate(mode, tmp_path / "exposure", **size)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(made.exposures[0]), str(tmp_path / "out")],
        env=crds_environment(made.crds, made.context),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    warm, cold = json.loads(done.stdout)
    assert warm > 30
    assert cold == []

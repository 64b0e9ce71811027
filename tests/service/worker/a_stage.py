"""A small stage whose jobs do what their parameters say: succeed, fail, crash, take memory, wait for a file."""

import mmap
import os
import signal
import time
from pathlib import Path

from jwcal.core.errors import InvalidData
from jwcal.core.worker.work import Made, Phase, Plan, Product, Step, Tell, Work


class AStage:
    """Copies its inputs."""

    name = "detector1"

    def plans(self) -> tuple[Plan, ...]:
        return (Plan(name="COPY", official="none", steps=()),)

    def wanted_references(self, work: Work) -> None:
        del work

    def warm_up(self) -> None:
        if os.environ.get("A_STAGE") == "broken":
            raise SystemExit(3)

    def process(self, work: Work, tell: Tell) -> Made:
        deeds = work.parameters.get("copy", {})
        print("this is printed")
        tell(Phase(name="read", steps_done=0, steps_total=1))
        if deeds.get("fail"):
            raise InvalidData("the pixels are upside down", file=work.inputs[0].path, remedy="turn them")
        if deeds.get("bug"):
            raise RuntimeError("a secret in a message")
        if deeds.get("signal"):
            os.kill(os.getpid(), getattr(signal, deeds["signal"]))
        if deeds.get("exit"):
            os._exit(deeds["exit"])
        hoard: bytearray | mmap.mmap = bytearray(deeds.get("bytes", 0))
        hoard[::4096] = b"x" * len(hoard[::4096])
        if deeds.get("mapped"):
            hoard = _mapped(work.output_dir / "scratch", deeds["mapped"])
        if deeds.get("started"):
            Path(deeds["started"]).write_text(str(os.getpid()))
        time.sleep(deeds.get("seconds", 0))
        while deeds.get("until") and not Path(deeds["until"]).exists():
            time.sleep(0.01)
        step = Step(
            name="copy",
            status="COMPLETE",
            seconds=0.1,
            references=_contents(work.overrides) if deeds.get("tell_overrides") else {},
            index=0,
            total=1,
            parameters=deeds,
        )
        tell(step)
        products = []
        for file in work.inputs:
            path = work.output_dir / file.path.name.replace("uncal", "rate")
            path.write_bytes(file.path.read_bytes())
            products.append(Product(path=path, kind="rate"))
        return Made(products=tuple(products), steps=(step,), plan="COPY", context=work.context, seconds={"steps": 0.1})


def _mapped(path: Path, size: int) -> mmap.mmap:
    """A file of this size, all of it mapped and touched, as scratch files of large exposures are."""
    with path.open("w+b") as file:
        file.truncate(size)
        mapping = mmap.mmap(file.fileno(), size)
    mapping[::4096] = b"x" * len(range(0, size, 4096))
    path.unlink()
    return mapping


def _contents(overrides: dict[str, str]) -> dict[str, str]:
    return {kind: path if path == "N/A" else Path(path).read_text() for kind, path in overrides.items()}


STAGE = AStage()

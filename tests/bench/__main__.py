"""Measure speed, memory, scaling and truth beside the official package, and write BENCHMARKS.md.

Every measurement is kept in .work/bench/results with what it depends on, so that a run that was stopped goes on where
it was, and the page is made of whatever is there.
"""

import argparse
import sys

from tests.parity import oracle

from . import memory, page, plots, scaling, speed, truth
from .measuring import ROOT, WORK, Store


def main() -> int:
    """Measure what is missing and write the page; 1 where a measurement failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], metavar="WORD", help="measurements with one of these words")
    parser.add_argument("--again", action="store_true", help="measure anew what is kept")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page")
    chosen = parser.parse_args()
    if not chosen.page and not oracle.available():
        raise SystemExit(oracle.MISSING)
    WORK.mkdir(parents=True, exist_ok=True)
    store = Store(again=chosen.again, only=chosen.only, only_read=chosen.page)
    for part in (speed, memory, truth, scaling):
        part.measure(store)
        page.write(store, ROOT / "BENCHMARKS.md")
    plots.draw_scaling(store, ROOT / "docs" / "scaling.png")
    for name in store.failed:
        print(f"failed: {name}", file=sys.stderr)
    return 1 if store.failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Which job each of several workers is given."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jwcal.orchestrator.store.claiming import Quotas, Seeker, choose


def a_queue(*rows: tuple[str, str, str]) -> list[dict[str, Any]]:
    return [{"id": job, "program": program, "affinity": affinity} for job, program, affinity in rows]


def test_the_first_in_turn_goes_to_the_first_who_asks() -> None:
    queue = a_queue(("a", "", ""), ("b", "", ""), ("c", "", ""))
    assert choose({7: Seeker(), 3: Seeker()}, queue, Quotas(), window=1) == {7: "a", 3: "b"}


def test_held_references_decide_within_the_window_alone() -> None:
    queue = a_queue(("a", "", "x"), ("b", "", "y"), ("c", "", "z"))
    assert choose({1: Seeker(("y",))}, queue, Quotas(), window=2) == {1: "b"}
    assert choose({1: Seeker(("z",))}, queue, Quotas(), window=2) == {1: "a"}


def test_a_program_at_its_quota_is_passed_over() -> None:
    queue = a_queue(("a", "p", ""), ("b", "p", ""), ("c", "q", ""), ("d", "", ""))
    seekers = {number: Seeker() for number in range(4)}
    assert choose(seekers, queue, Quotas({"p": 1}, otherwise=None), window=1) == {0: "a", 1: "c", 2: "d"}
    assert choose(seekers, queue, Quotas({"p": 0}, otherwise=0), window=1) == {0: "d"}


programs = st.sampled_from(["", "p", "q"])


@given(
    queue=st.lists(st.tuples(programs, st.sampled_from(["x", "y"])), max_size=20),
    liked=st.lists(st.sets(st.sampled_from(["x", "y"])), max_size=10),
    left=st.dictionaries(st.sampled_from(["p", "q"]), st.integers(0, 3)),
    window=st.integers(1, 8),
)
def test_no_job_is_chosen_twice_and_no_quota_is_passed(
    queue: list[tuple[str, str]], liked: list[set[str]], left: dict[str, int], window: int
) -> None:
    rows = a_queue(*((f"j{place}", *row) for place, row in enumerate(queue)))
    program_of = {row["id"]: row["program"] for row in rows}
    seekers = {number: Seeker(some) for number, some in enumerate(liked)}
    chosen = choose(seekers, rows, Quotas(dict(left), None), window=window)
    assert len(set(chosen.values())) == len(chosen)
    counts = {program: [program_of[job] for job in chosen.values()].count(program) for program in ("p", "q")}
    assert all(counts[program] <= limit for program, limit in left.items())
    free = sum(program not in left for program, _ in queue) + sum(
        min(limit, [program for program, _ in queue].count(program)) for program, limit in left.items()
    )
    assert len(chosen) == min(len(seekers), free)  # nobody goes without while there is one

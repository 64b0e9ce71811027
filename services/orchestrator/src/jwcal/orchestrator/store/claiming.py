"""Whose turn it is: jobs given to workers, for many workers in one transaction.

Jobs are chosen from what the queue looks like, then locked; of those that another replica was faster with, others are
chosen in their place.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import RowMapping, bindparam, func, insert, or_, select, update

from jwcal.orchestrator.model import Stage, State
from jwcal.orchestrator.store.port import Demand
from jwcal.orchestrator.store.tables import affinities, is_queued, is_running, jobs, workers
from jwcal.orchestrator.store.transaction import Transaction

_KNOWN = (
    update(workers)
    .where(workers.c.name.in_(bindparam("names", expanding=True)))
    .values(last_seen=bindparam("now"))
    .returning(workers.c.name, workers.c.stage, workers.c.code_version, workers.c.draining)
)
_REQUESTED = select(jobs).where(
    is_running,
    jobs.c.worker.in_(bindparam("names", expanding=True)),
    jobs.c.lease_request.in_(bindparam("requests", expanding=True)),
)
_HEAD = (
    select(jobs.c.id, jobs.c.program, jobs.c.affinity)
    .where(
        jobs.c.stage == bindparam("stage"),
        is_queued,
        or_(jobs.c.not_before.is_(None), jobs.c.not_before <= bindparam("now")),
    )
    .order_by(jobs.c.rank, jobs.c.id)
    .limit(bindparam("number"))
)
_CLAIM = (
    select(jobs)
    .where(jobs.c.id.in_(bindparam("ids", expanding=True)), is_queued)
    .order_by(jobs.c.id)
    .with_for_update(skip_locked=True)
)
_MOST_AFFINITIES = 20
_MOST_REFERENCES = 300  # of one worker that are looked at
_MOST_ROUNDS = 8
_PROGRAMS_LOCK = 0x6A777063  # of PostgreSQL: counting a program's running jobs and adding one must not be interleaved


def take(transaction: Transaction, demands: Sequence[Demand]) -> list[RowMapping | None]:
    """Lease to each worker the job whose turn it is; the rows as they are then."""
    first = {_which(demand, i): i for i, demand in reversed(list(enumerate(demands)))}
    given = _given_before(transaction, demands, first)
    draining = _greet(transaction, demands)
    unserved = [i for i in sorted(first.values()) if i not in given and demands[i].worker not in draining]
    fresh = _claim(transaction, {i: demands[i] for i in unserved}) if unserved else {}
    moves = []
    for i, row in sorted(fresh.items()):
        values = {
            "attempt": row["attempt"] + 1,
            "token": row["token"] + 1,
            "outcome": None,
            "worker": demands[i].worker,
            "lease_request": demands[i].request_id or None,
            "lease_expires": transaction.now + transaction.policy.lease_duration,
            "start_time": transaction.now,
            "progress": None,
            "not_before": None,
        }
        moves.append((row, values))
    transaction.move_all(moves, State.RUNNING)
    leased = {row["id"]: row for row in transaction.lock_all([row["id"] for row in fresh.values()])}
    given |= {i: leased[row["id"]] for i, row in fresh.items()}
    return [given.get(first[_which(demand, i)]) for i, demand in enumerate(demands)]


def _which(demand: Demand, number: int) -> tuple[str, str | int]:
    """What makes two demands one: that it is the same request again."""
    return demand.worker, demand.request_id or number


@dataclass(slots=True)
class Seeker:
    """A worker that seeks a job: whose references it holds (affinities), the best first."""

    liked: Collection[str] = ()


@dataclass(slots=True)
class Quotas:
    """How many more jobs programs may have running; those that are not named have no limit."""

    left: dict[str, int] = field(default_factory=dict)
    otherwise: int | None = None  # of programs with no running job

    def allows(self, program: str) -> bool:
        """Whether the program may have another."""
        return not program or self.left.get(program, self.otherwise) != 0

    def use(self, program: str) -> None:
        """It has another."""
        left = self.left.get(program, self.otherwise)
        if program and left is not None:
            self.left[program] = left - 1


def choose(
    seekers: Mapping[int, Seeker], queue: Sequence[Mapping[str, Any] | RowMapping], quotas: Quotas, *, window: int
) -> dict[int, str]:
    """Jobs for those who seek, by their numbers: the first in turn, or one nearby whose references are held."""
    left = list(queue)
    chosen: dict[int, str] = {}
    for number, seeker in seekers.items():
        head = [row for row in left[:window] if quotas.allows(row["program"])]
        if not head:
            head = [row for row in left if quotas.allows(row["program"])][:1]
        if not head:
            break
        best = next((row for row in head if row["affinity"] in seeker.liked), head[0])
        left.remove(best)
        quotas.use(best["program"])
        chosen[number] = best["id"]
    return chosen


def _given_before(
    transaction: Transaction, demands: Sequence[Demand], first: Mapping[tuple[str, str | int], int]
) -> dict[int, RowMapping]:
    """Leases that these very requests were given before, and whose answer was lost."""
    requests = {demand.request_id for demand in demands if demand.request_id}
    if not requests:
        return {}
    asked = {"names": sorted({demand.worker for demand in demands}), "requests": sorted(requests)}
    rows = transaction.connection.execute(_REQUESTED, asked).mappings()
    found = {(row["worker"], row["lease_request"]): row for row in rows}
    return {first[which]: row for which, row in found.items() if which in first}


def _greet(transaction: Transaction, demands: Sequence[Demand]) -> set[str]:
    """Note that workers were heard of; those that are asked to end."""
    seen = {demand.worker: {"stage": demand.stage.value, "code_version": demand.code_version} for demand in demands}
    return greet(transaction, seen)


def greet(transaction: Transaction, seen: Mapping[str, dict[str, str]]) -> set[str]:
    """Note that workers were heard of, with stage and version of their code; those that are asked to end."""
    connection, now = transaction.connection, transaction.now
    known = connection.execute(_KNOWN, {"names": sorted(seen), "now": now}).mappings()
    rows = {row["name"]: row for row in known}
    fresh = {"first_seen": now, "last_seen": now, "draining": False, "completed": 0, "failed": 0}
    if new := [{"name": name, **fresh, **seen[name]} for name in sorted(seen) if name not in rows]:
        connection.execute(insert(workers), new)
    for name, row in sorted(rows.items()):
        if any(row[column] != value for column, value in seen[name].items()):
            connection.execute(update(workers).where(workers.c.name == name).values(**seen[name]))
    return {name for name, row in rows.items() if row["draining"]}


def _claim(transaction: Transaction, demands: Mapping[int, Demand]) -> dict[int, RowMapping]:
    """Locked rows of jobs for these demands, as far as there are any."""
    liked = _liked(transaction, demands.values())
    quotas = _quotas(transaction)
    claimed: dict[int, RowMapping] = {}
    alike: dict[tuple[Stage, int], dict[int, Seeker]] = {}
    for number, demand in demands.items():
        seeker = Seeker(_best(liked, demand.held_references))
        alike.setdefault((demand.stage, demand.memory), {})[number] = seeker
    for (stage, memory), seekers in sorted(alike.items()):
        claimed |= _claim_alike(transaction, stage, memory, seekers, quotas)
    return claimed


def _claim_alike(
    transaction: Transaction, stage: Stage, memory: int, seekers: Mapping[int, Seeker], quotas: Quotas
) -> dict[int, RowMapping]:
    window = transaction.policy.affinity_window if any(seeker.liked for seeker in seekers.values()) else 1
    claimed: dict[int, RowMapping] = {}
    tried: set[str] = set()
    for _ in range(_MOST_ROUNDS):
        left = {number: seeker for number, seeker in seekers.items() if number not in claimed}
        limit = len(left) + window
        queue = _head(transaction, stage, memory, quotas, tried, limit)
        chosen = choose(left, queue, quotas, window=window)
        rows: dict[str, RowMapping] = {}
        if chosen:
            locked = transaction.connection.execute(_CLAIM, {"ids": sorted(chosen.values())}).mappings()
            rows = {row["id"]: row for row in locked}
        claimed |= {number: rows[job] for number, job in chosen.items() if job in rows}
        tried |= set(chosen.values())
        if len(claimed) == len(seekers) or len(queue) < limit:
            break
    return claimed


def _head(
    transaction: Transaction, stage: Stage, memory: int, quotas: Quotas, without: Collection[str], limit: int
) -> Sequence[RowMapping]:
    """The head of a stage's queue, as far as it matters."""
    query = _HEAD
    if memory:
        query = query.where(jobs.c.memory <= memory)
    if full := sorted(program for program, left in quotas.left.items() if left <= 0):
        query = query.where(jobs.c.program.not_in(full))
    if without:
        query = query.where(jobs.c.id.not_in(sorted(without)))
    asked = {"stage": stage.value, "now": transaction.now, "number": limit}
    return transaction.connection.execute(query, asked).mappings().all()


def _liked(transaction: Transaction, demands: Iterable[Demand]) -> dict[str, list[str]]:
    """Affinities by the references that jobs of theirs used."""
    held = {name for demand in demands for name in sorted(demand.held_references)[:_MOST_REFERENCES]}
    if not held:
        return {}
    query = select(affinities.c.reference, affinities.c.affinity).where(affinities.c.reference.in_(sorted(held)))
    found: dict[str, list[str]] = {}
    for reference, affinity in transaction.connection.execute(query):
        found.setdefault(reference, []).append(affinity)
    return found


def _best(liked: Mapping[str, Sequence[str]], held: Collection[str]) -> tuple[str, ...]:
    """Affinities of which the most references are held."""
    counts = Counter(affinity for name in held for affinity in liked.get(name, ()))
    return tuple(affinity for affinity, _ in counts.most_common(_MOST_AFFINITIES))


def _quotas(transaction: Transaction) -> Quotas:
    policy = transaction.policy
    if not policy.program_quota and not any(policy.program_quotas.values()):
        return Quotas()
    if transaction.connection.dialect.name == "postgresql":
        transaction.connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_PROGRAMS_LOCK})")
    query = select(jobs.c.program, func.count().label("number")).where(is_running).group_by(jobs.c.program)
    running = {row.program: row.number for row in transaction.connection.execute(query)}
    limits = {program: policy.program_quotas.get(program, policy.program_quota) for program in running}
    limits |= policy.program_quotas
    left = {program: max(0, limit - running.get(program, 0)) for program, limit in limits.items() if limit}
    return Quotas(left, policy.program_quota or None)

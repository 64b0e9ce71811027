"""What the page says of the services: made by ``make bench-services`` and ``make bench-queue``."""

from collections.abc import Mapping, Sequence
from typing import Any

from .measuring import Result, Store

SERVICES, QUEUE = "services", "queue"
"""Names of the results."""
_CALLS = ("LeaseJob", "CompleteJob", "GetRun", "GetJob", "ListRuns", "ListJobs", "GetQueueStats")


def section(store: Store) -> list[str]:
    """Both parts, as far as they were measured."""
    lines: list[str] = []
    services, queue = store.find(SERVICES, None), store.find(QUEUE, None)
    if services is not None:
        lines += ["## Services", "", *services_table(services.result), ""]
    if queue is not None:
        lines += [
            "## The queue",
            "",
            "An orchestrator as a process of its own, and workers that only take and complete jobs, on the same cores;",
            "reads run beside them all the time.",
            "",
            *queue_table(queue.result["measured"]),
            "",
        ]
    return lines


def services_table(report: Result) -> list[str]:
    """Overhead and cold start."""
    lines = [
        f"Runs of {report['exposures']} exposures through orchestrator, object store and one worker, against as many",
        "one after the other in one process; both warm, both keep what they make.  *busy*: share of the time in which",
        "the compute process was at work; a worker that holds two jobs fetches one while it computes the other.  The",
        "S3 server (SeaweedFS) runs on the same cores: what it takes of them (*server*) the computation does not get.",
        "",
        "| exposure | in one process s | store | jobs held | wall s | overhead | busy | server s |",
        "|---|---|---|---|---|---|---|---|",
        *(_overhead(one, way) for one in report["overhead"] for way in one["ways"]),
    ]
    cold = report["cold_start"]
    lines += [
        "",
        f"From the start of a worker's process until it is ready: {cold['with']:.1f} s with compiled kernels on disk, "
        f"{cold['without']:.0f} s without.",
    ]
    return lines


def _overhead(exposure: Mapping[str, Any], way: Mapping[str, Any]) -> str:
    name = f"{exposure['exposure']} ({exposure['megabytes']:.0f} MB)"
    return (
        f"| {name} | {exposure['process']:.2f} | {way['adapter']} | {way['leases']} | {way['wall']:.2f} "
        f"| {way['overhead']:+.1%} | {way['busy']:.1%} | {way['server']:.1f} |"
    )


def queue_table(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Claims, times of calls and memory."""
    first = found[0]
    rows = [
        f"{first['jobs']} jobs in runs of {first['run_size']}, {first['workers']} workers; 99th percentiles.",
        "",
        "| database | watchers | claims/s | " + " | ".join(_CALLS) + " | memory |",
        "|---|---|---|" + "---|" * (len(_CALLS) + 1),
    ]
    for one in found:
        calls = (f"{one['calls'][call]['p99_ms']:.0f} ms" for call in _CALLS)
        cells = (one["database"], str(one["watchers"]), f"{one['claims_per_second']:.0f}", *calls)
        rows.append("| " + " | ".join((*cells, f"{one['memory_most_mib']} MiB")) + " |")
    return rows

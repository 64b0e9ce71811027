"""What logs and metrics are told of runs and jobs, once it is committed."""

import logging
from collections.abc import Sequence

from jwcal.core.rpc.metrics import Metrics
from jwcal.orchestrator.model import StageStats
from jwcal.orchestrator.store.port import Change, RunEnd

_LOG = logging.getLogger(__name__)
_TOLD_OFTEN = frozenset({"STEP", "PROGRESS"})


class Observation:
    """Counts and tells what this replica did, and shows how the queue is."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def tell(self, changes: Sequence[Change], ends: Sequence[RunEnd]) -> None:
        """Note what a transaction did."""
        for change in changes:
            fields = {"run": change.run, "job": change.job, "stage": change.stage, "change": change.kind}
            level = logging.DEBUG if change.kind in _TOLD_OFTEN else logging.INFO
            _LOG.log(level, "job" if change.job else "run", extra={"fields": {**change.detail, **fields}})
            match change.kind:
                case "SUCCEEDED":
                    self._metrics.job_attempts.labels(change.stage, "COMPLETE").inc()
                case "ATTEMPT_ENDED":
                    self._metrics.job_attempts.labels(change.stage, change.detail["how"]).inc()
                case "RELEASED":
                    self._metrics.job_attempts.labels(change.stage, "RELEASE").inc()
                case "REUSED":
                    self._metrics.jobs_reused.labels(change.stage).inc()
        for end in ends:
            about = {"run": end.run, "change": end.state.value, "seconds": round(end.seconds, 3)}
            _LOG.info("run", extra={"fields": about})
            self._metrics.run_seconds.labels(end.state.value).observe(end.seconds)

    def show(self, stats: Sequence[StageStats]) -> None:
        """Show depth and ages."""
        for one in stats:
            depths = {"WAITING": one.waiting, "QUEUED": one.queued, "DELAYED": one.delayed, "RUNNING": one.running}
            for state, number in depths.items():
                self._metrics.queue_jobs.labels(one.stage.value, state).set(number)
            self._metrics.queue_oldest_seconds.labels(one.stage.value).set(one.oldest or 0.0)
        self._metrics.lease_age_seconds.set(max((one.oldest_lease or 0.0 for one in stats), default=0.0))

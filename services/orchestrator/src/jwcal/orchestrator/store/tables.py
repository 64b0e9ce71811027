"""Tables of the job store.  Documents (specifications, results) are JSON text; times are seconds of the epoch."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    literal_column,
    text,
)

metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("request_id", String(200), unique=True),
    Column("spec", Text, nullable=False),
    Column("input", Text, nullable=False),  # of the specification; apart, because it is large and seldom read
    Column("state", String(10), nullable=False),
    Column("program", String(200), nullable=False),
    Column("context", String(200), nullable=False),
    Column("owner", String(200), nullable=False),
    Column("output", Text, nullable=False),
    Column("trace", Text, nullable=False),
    Column("unfinished", Integer, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("cursor", BigInteger, nullable=False),
    Column("create_time", Double, nullable=False),
    Column("start_time", Double),
    Column("end_time", Double),
    Index("runs_by_end", "state", "end_time"),
)

run_labels = Table(
    "run_labels",
    metadata,
    Column("run_id", String(36), ForeignKey("runs.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("value", String(1000), nullable=False),
    PrimaryKeyConstraint("run_id", "name"),
    Index("run_labels_by_value", "name", "value"),
)

_QUEUED = text("state = 'QUEUED'")
_RUNNING = text("state = 'RUNNING'")
_FAILED = text("state = 'FAILED'")
_LIVE_AND_FIRST = text("first_of_key AND state IN ('WAITING', 'QUEUED', 'RUNNING')")

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("run_id", String(36), ForeignKey("runs.id"), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("stage", String(20), nullable=False),
    Column("title", Text, nullable=False),
    Column("state", String(10), nullable=False),
    Column("program", String(200), nullable=False),
    # Moment from which the job counts as waiting, moved by its priority: who has the smallest goes first, so that
    # waiting raises every job's turn at the same pace and the order needs no recomputation.
    Column("rank", Double, nullable=False),
    Column("affinity", String(300), nullable=False),
    Column("memory", BigInteger, nullable=False),  # bytes that a worker must have; 0 for any
    Column("key", String(64)),
    Column("first_of_key", Boolean, nullable=False),
    Column("ignore_earlier", Boolean, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("processing", Text, nullable=False),
    Column("waiting_on", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("token", BigInteger, nullable=False),
    # How the lease of the present token ended: COMPLETE, FAIL, RELEASE, EXPIRE; null while it is held.
    Column("outcome", String(10)),
    Column("worker", String(300), nullable=False),
    Column("lease_request", String(200)),
    Column("lease_expires", Double),
    Column("cancel_requested", Boolean, nullable=False),
    Column("progress", Text),
    Column("result", Text),
    Column("failure", Text),
    Column("log", Text),
    Column("reused", Boolean, nullable=False),
    Column("cursor", BigInteger, nullable=False),
    Column("create_time", Double, nullable=False),
    Column("start_time", Double),
    Column("end_time", Double),
    Column("not_before", Double),
    Index("jobs_of_run", "run_id", "sequence", unique=True),
    Index("jobs_of_run_by_state", "run_id", "state"),
    Index("jobs_of_run_by_change", "run_id", "cursor"),
    Index("jobs_queue", "stage", "rank", "id", sqlite_where=_QUEUED, postgresql_where=_QUEUED),
    Index("jobs_failed", "id", sqlite_where=_FAILED, postgresql_where=_FAILED),
    Index("jobs_leased", "lease_expires", sqlite_where=_RUNNING, postgresql_where=_RUNNING),
    Index("jobs_of_worker", "worker", sqlite_where=_RUNNING, postgresql_where=_RUNNING),
    Index("jobs_by_state", "stage", "state", "end_time"),
    Index("jobs_by_key", "key", "state"),
    Index("jobs_live_key", "key", unique=True, sqlite_where=_LIVE_AND_FIRST, postgresql_where=_LIVE_AND_FIRST),
)

# States as they stand in the text of queries: a partial index is not used where the database cannot see the value.
is_queued = jobs.c.state == literal_column("'QUEUED'")
is_running = jobs.c.state == literal_column("'RUNNING'")
is_failed = jobs.c.state == literal_column("'FAILED'")

# PRODUCT: the parent's products go into the child, but for persistence windows.  ORDER: the parent has only to have
# ended, and of its products only persistence windows go in.  SAME: the parent does the same work first, and the child
# takes over its result.
edges = Table(
    "edges",
    metadata,
    Column("parent", String(36), ForeignKey("jobs.id"), nullable=False),
    Column("child", String(36), ForeignKey("jobs.id"), nullable=False),
    Column("kind", String(10), nullable=False),
    PrimaryKeyConstraint("parent", "child", "kind"),
    Index("edges_by_child", "child"),
)

workers = Table(
    "workers",
    metadata,
    Column("name", String(300), primary_key=True),
    Column("stage", String(20), nullable=False),
    Column("code_version", String(200), nullable=False),
    Column("first_seen", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
    Column("draining", Boolean, nullable=False),
    Column("completed", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
)

# References that jobs of one detector and mode used, learned from their results.
affinities = Table(
    "affinities",
    metadata,
    Column("affinity", String(300), nullable=False),
    Column("reference", String(300), nullable=False),
    PrimaryKeyConstraint("affinity", "reference"),
    Index("affinities_by_reference", "reference"),
)

# Append-only: the history of a run.
events = Table(
    "events",
    metadata,
    Column("run_id", String(36), ForeignKey("runs.id"), nullable=False),
    Column("cursor", BigInteger, nullable=False),
    Column("time", Double, nullable=False),
    Column("job_id", String(36), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("detail", Text, nullable=False),
    PrimaryKeyConstraint("run_id", "cursor"),
)

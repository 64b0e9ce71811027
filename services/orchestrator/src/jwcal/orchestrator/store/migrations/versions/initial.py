"""The first tables.

Revision ID: 0001
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_QUEUED = "state = 'QUEUED'"
_RUNNING = "state = 'RUNNING'"
_FAILED = "state = 'FAILED'"
_FIRST = "first_of_key AND state IN ('WAITING', 'QUEUED', 'RUNNING')"


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "affinities",
        sa.Column("affinity", sa.String(length=300), nullable=False),
        sa.Column("reference", sa.String(length=300), nullable=False),
        sa.PrimaryKeyConstraint("affinity", "reference"),
    )
    op.create_index("affinities_by_reference", "affinities", ["reference"], unique=False)
    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("request_id", sa.String(length=200), nullable=True),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("input", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("program", sa.String(length=200), nullable=False),
        sa.Column("context", sa.String(length=200), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("output", sa.Text(), nullable=False),
        sa.Column("trace", sa.Text(), nullable=False),
        sa.Column("unfinished", sa.Integer(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.Double(), nullable=False),
        sa.Column("start_time", sa.Double(), nullable=True),
        sa.Column("end_time", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("request_id"),
    )
    op.create_index("runs_by_end", "runs", ["state", "end_time"], unique=False)
    op.create_table(
        "workers",
        sa.Column("name", sa.String(length=300), nullable=False),
        sa.Column("stage", sa.String(length=20), nullable=False),
        sa.Column("code_version", sa.String(length=200), nullable=False),
        sa.Column("first_seen", sa.Double(), nullable=False),
        sa.Column("last_seen", sa.Double(), nullable=False),
        sa.Column("draining", sa.Boolean(), nullable=False),
        sa.Column("completed", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "events",
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
        sa.PrimaryKeyConstraint("run_id", "cursor"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(length=20), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("program", sa.String(length=200), nullable=False),
        sa.Column("rank", sa.Double(), nullable=False),
        sa.Column("affinity", sa.String(length=300), nullable=False),
        sa.Column("memory", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=True),
        sa.Column("first_of_key", sa.Boolean(), nullable=False),
        sa.Column("ignore_earlier", sa.Boolean(), nullable=False),
        sa.Column("inputs", sa.Text(), nullable=False),
        sa.Column("processing", sa.Text(), nullable=False),
        sa.Column("waiting_on", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=True),
        sa.Column("worker", sa.String(length=300), nullable=False),
        sa.Column("lease_request", sa.String(length=200), nullable=True),
        sa.Column("lease_expires", sa.Double(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("progress", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("log", sa.Text(), nullable=True),
        sa.Column("reused", sa.Boolean(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.Double(), nullable=False),
        sa.Column("start_time", sa.Double(), nullable=True),
        sa.Column("end_time", sa.Double(), nullable=True),
        sa.Column("not_before", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("jobs_by_key", "jobs", ["key", "state"], unique=False)
    op.create_index("jobs_by_state", "jobs", ["stage", "state", "end_time"], unique=False)
    op.create_index("jobs_failed", "jobs", ["id"], unique=False, **_where(_FAILED))
    op.create_index(
        "jobs_leased",
        "jobs",
        ["lease_expires"],
        unique=False,
        **_where(_RUNNING),
    )
    op.create_index(
        "jobs_live_key",
        "jobs",
        ["key"],
        unique=True,
        **_where(_FIRST),
    )
    op.create_index("jobs_of_run", "jobs", ["run_id", "sequence"], unique=True)
    op.create_index("jobs_of_run_by_change", "jobs", ["run_id", "cursor"], unique=False)
    op.create_index("jobs_of_run_by_state", "jobs", ["run_id", "state"], unique=False)
    op.create_index(
        "jobs_of_worker",
        "jobs",
        ["worker"],
        unique=False,
        **_where(_RUNNING),
    )
    op.create_index(
        "jobs_queue",
        "jobs",
        ["stage", "rank", "id"],
        unique=False,
        **_where(_QUEUED),
    )
    op.create_table(
        "run_labels",
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("value", sa.String(length=1000), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
        sa.PrimaryKeyConstraint("run_id", "name"),
    )
    op.create_index("run_labels_by_value", "run_labels", ["name", "value"], unique=False)
    op.create_table(
        "edges",
        sa.Column("parent", sa.String(length=36), nullable=False),
        sa.Column("child", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.ForeignKeyConstraint(["child"], ["jobs.id"]),
        sa.ForeignKeyConstraint(["parent"], ["jobs.id"]),
        sa.PrimaryKeyConstraint("parent", "child", "kind"),
    )
    op.create_index("edges_by_child", "edges", ["child"], unique=False)


def downgrade() -> None:
    """Drop them."""
    op.drop_index("edges_by_child", table_name="edges")
    op.drop_table("edges")
    op.drop_index("run_labels_by_value", table_name="run_labels")
    op.drop_table("run_labels")
    op.drop_index(
        "jobs_queue",
        table_name="jobs",
    )
    op.drop_index(
        "jobs_of_worker",
        table_name="jobs",
    )
    op.drop_index("jobs_of_run_by_state", table_name="jobs")
    op.drop_index("jobs_of_run_by_change", table_name="jobs")
    op.drop_index("jobs_of_run", table_name="jobs")
    op.drop_index(
        "jobs_live_key",
        table_name="jobs",
    )
    op.drop_index(
        "jobs_leased",
        table_name="jobs",
    )
    op.drop_index("jobs_failed", table_name="jobs")
    op.drop_index("jobs_by_state", table_name="jobs")
    op.drop_index("jobs_by_key", table_name="jobs")
    op.drop_table("jobs")
    op.drop_table("events")
    op.drop_table("workers")
    op.drop_index("runs_by_end", table_name="runs")
    op.drop_table("runs")
    op.drop_index("affinities_by_reference", table_name="affinities")
    op.drop_table("affinities")

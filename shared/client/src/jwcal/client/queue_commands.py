"""``jwcal queue``, ``jwcal workers``, ``jwcal drain``."""

from jwcal.client import exit_codes
from jwcal.client.connection import Connection
from jwcal.client.documents import document, lasting, when
from jwcal.client.output import print_json, print_table
from jwcal.client.sync_client import Client


def queue(connection: Connection, *, as_json: bool) -> int:
    """Depth and age of each stage's queue."""
    with Client(connection) as client:
        stages = client.queue_stats()
    if as_json:
        print_json({"stages": [document(stage) for stage in stages]})
        return exit_codes.DONE
    rows = [
        (one.stage.value, *(str(count) for count in (one.waiting, one.queued, one.delayed, one.running)),
         lasting(one.oldest_seconds), lasting(one.mean_seconds), f"{one.workers} ({one.idle_workers} idle)")
        for one in stages
    ]  # fmt: skip
    columns = ("stage", "waiting", "queued", "delayed", "running", "oldest", "usual time", "workers")
    print_table("", columns, rows)
    return exit_codes.DONE


def workers(connection: Connection, *, as_json: bool) -> int:
    """Workers that asked for work lately."""
    with Client(connection) as client:
        found = list(client.workers())
    if as_json:
        print_json({"workers": [document(worker) for worker in found]})
        return exit_codes.DONE
    rows = [
        (one.name, one.stage.value, one.job or "idle", "yes" if one.draining else "", str(one.completed),
         str(one.failed), when(one.last_seen), one.code_version)
        for one in found
    ]  # fmt: skip
    columns = ("worker", "stage", "job", "draining", "completed", "failed", "last heard", "version")
    print_table("", columns, rows)
    return exit_codes.DONE


def drain(connection: Connection, worker: str, *, as_json: bool) -> int:
    """Let a worker finish what it has and give it nothing more."""
    with Client(connection) as client:
        drained = client.drain(worker)
    if as_json:
        print_json(document(drained))
    else:
        print(f"{drained.name}: draining" + (f", still at {drained.job}" if drained.job else ", idle"))
    return exit_codes.DONE

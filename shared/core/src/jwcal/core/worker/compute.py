"""The supervisor's hold on the process that computes: start it, give it work, kill it, say how it died."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from jwcal.core.errors import Cancelled, ChildCrashed, JwcalError, OutOfMemory, RemoteError
from jwcal.core.worker.work import Failed, Made, Progressing, Ready, Work, events

_logger = logging.getLogger(__name__)
_LONGEST_LINE = 1 << 24
_LOOK_EVERY = 0.2
"""Seconds between two looks at the child's memory."""


class ComputeProcess:
    """One child process, started anew after it died.  One job at a time."""

    def __init__(self, stage: str, *, memory_limit: int = 0, environment: Mapping[str, str] | None = None) -> None:
        self._stage = stage
        self._memory_limit = memory_limit
        self._environment = dict(os.environ if environment is None else environment)
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._ended_by: JwcalError | None = None
        self.start_seconds = 0.0
        """What loading and compiling took in the child."""

    @property
    def pid(self) -> int | None:
        """Of the running child."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Start the child where none runs, and wait until it is ready."""
        if self.pid is not None:
            return
        ours, theirs = socket.socketpair()
        self._ended_by = None
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "jwcal.core.worker.child",
                str(theirs.fileno()),
                self._stage,
                pass_fds=(theirs.fileno(),),
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
            )
        finally:
            theirs.close()
        self._reader, self._writer = await asyncio.open_connection(sock=ours, limit=_LONGEST_LINE)
        try:
            ready = await self._next()
        except asyncio.CancelledError:
            await self.kill()
            raise
        assert isinstance(ready, Ready)
        self.start_seconds = ready.seconds
        _logger.info("compute process ready", extra={"fields": {"pid": self.pid, "seconds": ready.seconds}})

    async def run(self, work: Work, tell: Callable[[Progressing], None]) -> Made:
        """Do one job.  Cancelling this task kills the child.

        Raises
        ------
        RemoteError
            The job failed; with the child's reason.
        OutOfMemory, ChildCrashed, Cancelled
            The child died.  The next job gets a new one.
        """
        await self.start()
        assert self._writer is not None
        watch = asyncio.create_task(self._watch_memory())
        try:
            self._writer.write(work.model_dump_json().encode() + b"\n")
            with suppress(ConnectionError):  # it died before it was asked: reading tells
                await self._writer.drain()
            while True:
                event = await self._next()
                if isinstance(event, Made):
                    return event
                if isinstance(event, Failed):
                    raise _told(event)
                if not isinstance(event, Ready):
                    tell(event)
        except asyncio.CancelledError:
            await self.kill(Cancelled("the job was cancelled"))
            raise
        finally:
            watch.cancel()

    async def kill(self, cause: JwcalError | None = None) -> None:
        """Kill the child, if there is one; what runs in it ends with `cause`."""
        if self.pid is None or self._process is None:
            return
        self._ended_by = self._ended_by or cause
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        if self._writer is not None:
            self._writer.close()

    async def close(self) -> None:
        """Let the child end by itself, or kill it after a while."""
        if self._writer is not None:
            self._writer.close()
        if self._process is not None and self._process.returncode is None:
            try:
                await asyncio.wait_for(self._process.wait(), 5)
            except TimeoutError:
                await self.kill()

    async def _next(self) -> Progressing | Made | Failed | Ready:
        """The next event; the error that says how the child died where there is none."""
        assert self._reader is not None
        try:
            line = await self._reader.readline()
        except ConnectionError:
            line = b""
        if line.endswith(b"\n"):
            return events.validate_json(line)
        raise await self._death()

    async def _death(self) -> JwcalError:
        assert self._process is not None
        try:
            code = await asyncio.wait_for(self._process.wait(), 5)
        except TimeoutError:  # it closed the socket and lives: not in a state to be used
            await self.kill()
            code = await self._process.wait()
        if self._writer is not None:
            self._writer.close()
        if self._ended_by is not None:
            return self._ended_by
        if code == -signal.SIGKILL and _out_of_memory_kills() > self._kills_before:
            return OutOfMemory("the system killed the compute process: memory is exhausted")
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return ChildCrashed(f"the compute process ended with {how}", remedy="the job's log may say why", exit=how)

    async def _watch_memory(self) -> None:
        """Kill the child before it takes more memory than it may."""
        self._kills_before = _out_of_memory_kills()
        if not self._memory_limit or self.pid is None:
            return
        process = psutil.Process(self.pid)
        while True:
            with suppress(psutil.NoSuchProcess):
                used = _own_memory(process)
                if used > self._memory_limit:
                    error = OutOfMemory(
                        f"the compute process takes {used} bytes, its limit is {self._memory_limit}",
                        remedy="set a memory limit for the job, or give the worker more",
                        used=used,
                        limit=self._memory_limit,
                    )
                    await self.kill(error)
                    return
            await asyncio.sleep(_LOOK_EVERY)

    _kills_before = 0


def _own_memory(process: psutil.Process) -> int:
    """Bytes of memory that only the end of the process gives back: mapped files, such as a scratch file's, are not."""
    memory = process.memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


def _told(failed: Failed) -> RemoteError:
    error = RemoteError(failed.message, reason=failed.reason, grpc_code=failed.grpc_code)
    error.details = dict(failed.metadata)
    error.retryable = failed.retryable
    return error


def _out_of_memory_kills() -> int:
    """Processes of this control group that the kernel killed for want of memory, so far."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        with suppress(OSError):
            for line in Path(path).read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    return int(value)
    return 0

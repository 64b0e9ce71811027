"""An installation on this machine: bring it up, look at it, take it down."""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jwcal.client.first_failure import first_failure
from jwcal.client.local import seaweed
from jwcal.client.local.planning import planned, with_ports
from jwcal.client.local.processes import ProcessSpec, find, log_path, start, stop
from jwcal.client.local.readiness import answering, serving, wait_until_ready
from jwcal.client.local.services import OBJECTS, ORCHESTRATOR, REFERENCES, health_name, process_specs
from jwcal.client.local.state import Choices, StartedProcess, State, locked, read_state, write_state
from jwcal.core.storage.opening import opened_store

START_SECONDS = 1800.0
"""For the first start of a worker on a slow, busy machine: it compiles its kernels.  Its death is noticed at once."""
STOP_SECONDS = 30.0
_SLOW_SECONDS = 10.0
"""After which people want to know why it takes so long."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is told while services start and stop."""

    name: str
    what: str
    """``starting``, ``slow``, ``ready``, ``stopping``, ``stopped``, ``killed`` or ``dead``."""
    seconds: float = 0.0


Listener = Callable[[Told], None]


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A service of an installation."""

    name: str
    pid: int
    """0 where it was never started, or stopped."""
    running: bool
    address: str
    log: Path


def _nobody(told: Told) -> None:
    """Listens to nothing."""


def _fresh() -> str:
    return secrets.token_hex(2)


@dataclass(frozen=True, slots=True)
class Installation:
    """The services whose state is in `directory`."""

    directory: Path
    fresh: Callable[[], str] = field(default=_fresh)
    """Makes names of workers unlike earlier ones."""

    def state(self) -> State | None:
        """What is known of it; None before the first ``up``."""
        return read_state(self.directory)

    def services(self) -> list[ServiceStatus]:
        """Each service, and whether it runs."""
        state = self.state()
        if state is None:
            return []
        found = []
        for spec in process_specs(state, self.directory, self.fresh):
            started = state.processes.get(spec.name)
            running = started is not None and find(started) is not None
            found.append(
                ServiceStatus(
                    name=spec.name,
                    pid=started.pid if started is not None and running else 0,
                    running=running,
                    address=_address(state, spec.name),
                    log=log_path(self.directory, spec.name),
                )
            )
        return found

    async def up(self, asked: "Choices | Mapping[str, object]", told: Listener) -> State:
        """Start what does not run, and wait until all of it is ready.

        `asked` has those choices that were made; others are as before, or the usual ones.

        Raises
        ------
        ConfigurationError
            A service ended, or what runs was set up otherwise.
        DeadlineExceeded
            A service is not ready after a long time.
        """
        (self.directory / "logs").mkdir(parents=True, exist_ok=True)
        chosen = asked.model_dump() if isinstance(asked, Choices) else dict(asked)
        with locked(self.directory):
            earlier = self.state()
            alive = set() if earlier is None else {name for name, one in earlier.processes.items() if find(one)}
            state = with_ports(planned(earlier, chosen, alive, self.directory), alive)
            if state.choices.s3:
                seaweed.check_installed()
                seaweed.prepare(self.directory / "s3")
            write_state(self.directory, state)
            specs = list(process_specs(state, self.directory, self.fresh))
            state = await self._stop_others(state, {spec.name for spec in specs}, told)
            before = [spec for spec in specs if spec.name in (OBJECTS, REFERENCES, ORCHESTRATOR)]
            workers = [spec for spec in specs if spec not in before]
            if not state.choices.s3:
                await _make_bucket(state)
            for spec in before:
                state = self._started(state, spec, told)
                await self._ready(state, spec.name, None if spec.name in alive else told)
                if spec.name == OBJECTS:
                    await _make_bucket(state)
            for spec in workers:
                state = self._started(state, spec, told)
            with first_failure():
                async with asyncio.TaskGroup() as group:
                    for spec in workers:
                        group.create_task(self._ready(state, spec.name, None if spec.name in alive else told))
        return state

    async def down(self, told: Listener, *, seconds: float = STOP_SECONDS) -> bool:
        """Stop what runs, workers first; whether anything did.

        A process that has not ended after `seconds` is killed.
        """
        state = self.state()
        if state is None:
            return False
        with locked(self.directory):
            ran = await self._stopped(state, tuple(state.processes), told, seconds)
            write_state(self.directory, state.model_copy(update={"processes": {}}))
        return ran

    def _started(self, state: State, spec: ProcessSpec, told: Listener) -> State:
        earlier = state.processes.get(spec.name)
        if earlier is not None and find(earlier) is not None:
            return state
        told(Told(spec.name, "starting"))
        started = start(spec, self.directory)
        state = state.model_copy(update={"processes": state.processes | {spec.name: started}})
        write_state(self.directory, state)  # at once: whatever happens next, it can be stopped
        return state

    async def _ready(self, state: State, name: str, told: Listener | None) -> None:
        began = time.monotonic()
        address = _address(state, name)
        ready = answering(f"http://{address}/healthz") if name == OBJECTS else serving(address, health_name(name))
        waiting = wait_until_ready(
            name, state.processes[name], ready, log=log_path(self.directory, name), seconds=START_SECONDS
        )
        slow = asyncio.get_running_loop().call_later(_SLOW_SECONDS, told or _nobody, Told(name, "slow"))
        try:
            await waiting
        finally:
            slow.cancel()
        if told is not None:
            told(Told(name, "ready", time.monotonic() - began))

    async def _stop_others(self, state: State, wanted: set[str], told: Listener) -> State:
        """Stop workers that are one too many now."""
        superfluous = tuple(name for name in state.processes if name not in wanted)
        await self._stopped(state, superfluous, told, STOP_SECONDS)
        left = {name: one for name, one in state.processes.items() if name in wanted}
        state = state.model_copy(update={"processes": left})
        write_state(self.directory, state)
        return state

    async def _stopped(self, state: State, names: tuple[str, ...], told: Listener, seconds: float) -> bool:
        """Whether any of them ran."""
        last = [name for name in (ORCHESTRATOR, REFERENCES, OBJECTS) if name in names]
        workers = [name for name in names if name not in last]

        async def stop_one(name: str) -> bool:
            return await asyncio.to_thread(_stop, name, state.processes[name], told, seconds)

        ran = [*await asyncio.gather(*map(stop_one, workers)), *[await stop_one(name) for name in last]]
        if OBJECTS in names:
            seaweed.remove_sockets(state.ports[OBJECTS])
        return any(ran)


def _stop(name: str, started: StartedProcess, told: Listener, seconds: float) -> bool:
    process = find(started)
    if process is None:
        told(Told(name, "dead"))
        return False
    told(Told(name, "stopping"))
    began = time.monotonic()
    kill_only = name == OBJECTS  # it takes half a minute to end, and what was written stays
    ended = stop(process, seconds=seconds, kill_only=kill_only)
    told(Told(name, "stopped" if ended else "killed", time.monotonic() - began))
    return True


def _address(state: State, name: str) -> str:
    if name == ORCHESTRATOR:
        return state.server
    return f"127.0.0.1:{state.ports[name][-1]}"  # the last of those of an S3 server is that of S3


async def _make_bucket(state: State) -> None:
    async with opened_store(state.store_settings()) as store:
        await store.make_bucket(state.bucket)

"""What passes between the supervisor and the process that computes: work, events, outcome.

All of it travels as one line of JSON each, so that either side may be of another version or crash at any point.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from jwcal.core.errors import JwcalError
from jwcal.core.references.resolved import ResolvedReferences, WantedReferences
from jwcal.core.step import StepDefinition


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputFile(_Message):
    """An input in the job's scratch directory."""

    path: Path
    kind: str = ""
    """Suffix of official product names, such as ``uncal``."""


class Work(_Message):
    """One job, its inputs fetched."""

    inputs: tuple[InputFile, ...]
    output_dir: Path
    log_file: Path
    """Takes what the process prints and logs during this job."""
    about: dict[str, str] = {}
    """Names of job and run, for every record of the log."""
    plan: str = ""
    """Empty lets the stage choose by the header."""
    parameters: dict[str, dict[str, Any]] = {}
    skip: tuple[str, ...] = ()
    only_through: str = ""
    overrides: dict[str, str] = {}
    """Local path or ``N/A`` by reference type."""
    context: str = ""
    """CRDS context; empty for the default one."""
    references: ResolvedReferences | None = None
    """Best references and their files; None leaves them to the ``crds`` library of the compute process."""
    use_reference_parameters: bool = True
    products: tuple[str, ...] = ()
    """Kinds to keep; empty for all that are made."""
    memory_limit: int = 0
    """Bytes; 0 for none."""


class Product(_Message):
    """A product in the output directory."""

    path: Path
    kind: str


class Step(_Message):
    """A step that has ended."""

    event: Literal["step"] = "step"
    name: str
    status: str
    """COMPLETE, SKIPPED or FAILED."""
    reason: str = ""
    seconds: float
    references: dict[str, str] = {}
    parameters: dict[str, Any] = {}
    index: int
    total: int


class Phase(_Message):
    """Something else began or went on: reading, a step's start, writing."""

    event: Literal["phase"] = "phase"
    name: str
    steps_done: int
    steps_total: int


class Made(_Message):
    """The job is done."""

    event: Literal["made"] = "made"
    products: tuple[Product, ...]
    steps: tuple[Step, ...]
    plan: str
    context: str
    seconds: dict[str, float]
    """Wall time by phase: open, read, steps, write."""
    peak_memory: int = 0
    """Bytes."""
    held_references: tuple[str, ...] = ()
    """References that stay decoded, by the names in `Step.references`."""


class Failed(_Message):
    """The job failed and the process can go on."""

    event: Literal["failed"] = "failed"
    reason: str
    message: str
    metadata: dict[str, str] = {}
    retryable: bool = False
    grpc_code: str = "INTERNAL"

    @classmethod
    def of(cls, error: JwcalError) -> "Failed":
        """A typed error as it travels."""
        return cls(
            reason=error.reason,
            message=str(error),
            metadata=error.metadata(),
            retryable=error.retryable,
            grpc_code=error.grpc_code,
        )


class Ready(_Message):
    """The process has loaded the stage and compiled its kernels."""

    event: Literal["ready"] = "ready"
    seconds: float


Event = Annotated[Step | Phase | Made | Failed | Ready, Field(discriminator="event")]
Progressing = Step | Phase

events: TypeAdapter[Step | Phase | Made | Failed | Ready] = TypeAdapter(Event)
"""Reads a line of the child's."""


class Tell(Protocol):
    """Takes what happens during a job."""

    def __call__(self, event: Progressing) -> None: ...


class Plan(BaseModel):
    """A plan that a stage has."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    name: str
    official: str
    """The official pipeline that does the same."""
    steps: tuple[StepDefinition, ...]


class Stage(Protocol):
    """What the shell needs of a stage; an object of a module, named ``package.module:object``."""

    @property
    def name(self) -> str:
        """Such as ``detector1``."""

    def plans(self) -> tuple[Plan, ...]:
        """Every plan, in the supervisor's process: nothing heavy may be imported."""

    def wanted_references(self, work: Work) -> WantedReferences | None:
        """What a job may need, by its input's header, in the supervisor's process; None for nothing."""

    def warm_up(self) -> None:
        """Load and compile what jobs will need, in the child's process."""

    def process(self, work: Work, tell: Tell) -> Made:
        """Do one job in the child's process; typed errors end it as failed."""

"""Steps: plain functions with typed parameters and declared references.

    @step("dark_current", params=DarkCurrentParameters, references=(DarkReference,), status="dark_sub",
          official="jwst.dark_current.DarkCurrentStep")
    def subtract_dark(ramp: Ramp, params: DarkCurrentParameters, refs: ReferenceSet) -> Ramp: ...

A step does no I/O and names no files.  It consumes its product and returns the result, or raises
`Skip(reason)`; the executor records what happened.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import entry_points
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field

from jwcal.core.errors import UnknownParameter
from jwcal.core.references.types import Reference

StepFunction = TypeVar("StepFunction", bound=Callable[..., Any])


class Skip(Exception):
    """Raised by a step that has nothing to do, with the reason that is recorded."""

    def __init__(self, reason: str, *, status: str = "SKIPPED") -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        """What the S_* keyword says: SKIPPED, or FAILED where the official pipeline says so."""


class FileUse(Enum):
    """What a step does with the file that a parameter names."""

    READ = "read"
    WRITTEN = "written"


ReadFile = Annotated[str, FileUse.READ]
"""Type of a parameter that names a file to read."""
WrittenFile = Annotated[str, FileUse.WRITTEN]
"""Type of a parameter that names a file to write; in the output directory, if it is no absolute path."""


Suffix = Annotated[str, Field(pattern=r"^[\w.-]+$")]
"""Of a file's name; it leads to no other directory."""


class StepParameters(BaseModel):
    """Parameters that every step has; unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    skip: bool = False
    """Leave this step out."""
    save_results: bool = False
    """Save this step's result as a product of its own."""
    suffix: Suffix | None = None
    """File suffix of the saved result; None takes the official one."""
    pre_hooks: tuple[str, ...] = ()
    """Functions called with the product before the step, as ``package.module:function``."""
    post_hooks: tuple[str, ...] = ()
    """Functions called with the result after the step."""


def file_parameters(params: type[StepParameters]) -> dict[str, FileUse]:
    """The parameters that name files, and what they are for."""
    found = {}
    for name, field in params.model_fields.items():
        for use in (*field.metadata, *_marks(field.annotation)):
            if isinstance(use, FileUse):
                found[name] = use
    return found


def _marks(annotation: Any) -> Iterator[Any]:
    """All that stands in a type: its parts, and what they are annotated with."""
    for part in get_args(annotation):
        yield part
        yield from _marks(part)


@dataclass(frozen=True, slots=True)
class StepDefinition:
    """A registered step."""

    name: str
    function: Callable[..., Any]
    params: type[StepParameters]
    references: tuple[type[Reference], ...]
    status: str
    """Name under ``meta.cal_step``."""
    official: str
    """Class path in the official package, as found in parameter files."""
    suffix: str
    """Suffix of the saved result."""

    @property
    def pars_type(self) -> str:
        """CRDS type of the step's parameter reference."""
        return f"pars-{self.official.rsplit('.', 1)[-1].lower()}"

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (self.function.__doc__ or "").strip().split("\n")[0]


_registry: dict[str, StepDefinition] = {}


def step(
    name: str,
    *,
    params: type[StepParameters],
    official: str,
    references: tuple[type[Reference], ...] = (),
    status: str | None = None,
    suffix: str | None = None,
) -> Callable[[StepFunction], StepFunction]:
    """Register a function as the step `name`; registering a name again replaces the step."""

    def register(function: StepFunction) -> StepFunction:
        _registry[name] = StepDefinition(name, function, params, references, status or name, official, suffix or name)
        return function

    return register


def load_steps() -> None:
    """Import every module that registers steps through the entry point group ``jwcal.steps``."""
    for entry in entry_points(group="jwcal.steps"):
        entry.load()


def get_step(name: str) -> StepDefinition:
    """The registered step `name`."""
    try:
        return _registry[name]
    except KeyError:
        known = ", ".join(sorted(_registry))
        raise UnknownParameter(f"there is no step {name!r}", remedy=f"choose one of: {known}") from None

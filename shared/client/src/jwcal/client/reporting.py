"""Errors as one line with file, cause and remedy; the exit status that goes with them."""

import functools
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn, ParamSpec

import typer

from jwcal.client import exit_codes
from jwcal.core.errors import CallError, JwcalError, ParameterError

P = ParamSpec("P")
_DEBUG = "JWCAL_DEBUG"
_interrupted = threading.Event()


def show_tracebacks() -> None:
    """From now on an error also prints where it came from."""
    os.environ[_DEBUG] = "1"


def tracebacks_shown() -> bool:
    """Whether ``--debug`` was given, or ``JWCAL_DEBUG`` is set."""
    return bool(os.environ.get(_DEBUG))


def one_line(error: BaseException) -> str:
    """The error as text without a line break."""
    if isinstance(error, JwcalError):
        text = str(error)
    elif isinstance(error, ModuleNotFoundError):
        text = f"{error.name} is not installed; remedy: pip install 'jwcal-client[local]'"
    elif isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        text = f"{where}{error.strerror or error}"
    else:
        text = f"internal error: {type(error).__name__}: {error}; remedy: report it, with what --debug prints"
    return " ".join(text.split())


def as_dict(error: Exception) -> dict[str, Any]:
    """The error for a JSON document."""
    if isinstance(error, JwcalError):
        return {"reason": error.reason, "message": error.message, **error.metadata()}
    return {"reason": "INTERNAL", "message": one_line(error)}


def exit_code(error: BaseException) -> int:
    """Exit status for an error."""
    if isinstance(error, ParameterError):
        return exit_codes.WRONG_USE
    refused = isinstance(error, CallError) and error.grpc_code == "INVALID_ARGUMENT"  # by a service
    return exit_codes.WRONG_USE if refused else exit_codes.FAILED


def complain(error: BaseException) -> None:
    """Print the error on stderr."""
    if tracebacks_shown():
        traceback.print_exception(error)
    print(f"jwcal: error: {one_line(error)}", file=sys.stderr)


def reported(command: Callable[P, int | None]) -> Callable[P, None]:
    """A command that returns its exit status, with errors and interruption reported in one line."""

    @functools.wraps(command)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        _quiet()
        try:
            code = command(*args, **kwargs)
        except KeyboardInterrupt:
            print("jwcal: interrupted; no partial product is left", file=sys.stderr)
            code = exit_codes.INTERRUPTED
        except typer.Exit:
            raise
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = exit_codes.FAILED
        except Exception as error:  # the boundary: whatever it is, the user reads one line
            if type(error).__module__.startswith("typer."):
                raise
            complain(error)
            code = exit_code(error)
        raise typer.Exit(code or exit_codes.DONE)

    return call


def check_interrupted() -> None:
    """Raise KeyboardInterrupt again where the first one was lost, as happens inside the compiler of the kernels."""
    if _interrupted.is_set():
        raise KeyboardInterrupt


def _quiet() -> None:
    """Warnings of libraries are for developers; SIGTERM ends like Ctrl-C."""
    if not tracebacks_shown():
        warnings.simplefilter("ignore")
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        if signal.getsignal(number) == usual:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    _interrupted.set()
    raise KeyboardInterrupt

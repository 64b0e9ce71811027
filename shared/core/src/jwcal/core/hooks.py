"""User functions around steps: ``package.module:function`` or the name of a ``jwcal.hooks`` entry point."""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from jwcal.core.errors import HookError

Hook = Callable[[Any], Any]


def find_hook(name: str) -> Hook:
    """The function behind a hook's name."""
    try:
        return _callable(_load(name), name)
    except HookError:
        raise
    except Exception as error:  # importing runs the user's module
        raise HookError(
            f"hook {name!r} cannot be found ({error})", remedy="name it as package.module:function"
        ) from error


def _load(name: str) -> Any:
    for entry in entry_points(group="jwcal.hooks"):
        if entry.name == name:
            return entry.load()
    module, _, attribute = name.replace(":", ".").rpartition(".")
    return getattr(import_module(module), attribute)


def _callable(found: Any, name: str) -> Hook:
    if not callable(found):
        raise HookError(f"hook {name!r} is not a function", remedy="name a function of one argument")
    hook: Hook = found
    return hook


def apply_hooks(names: tuple[str, ...], product: Any) -> Any:
    """Call each hook with the product; what it returns, unless None, takes the product's place."""
    for name in names:
        hook = find_hook(name)
        try:
            result = hook(product)
        except Exception as error:
            raise HookError(f"hook {name!r} failed: {error}", remedy="correct the hook or leave it out") from error
        product = product if result is None else result
    return product

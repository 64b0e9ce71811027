"""A user's functions around steps, by import path or entry point."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from jwcal.core.errors import HookError
from jwcal.core.hooks import apply_hooks, find_hook

Module = Callable[[str], str]
_numbers = itertools.count()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    """Writes a module that can be imported and gives its name, never the same twice."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(text: str) -> str:
        name = f"hooks_of_a_test_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


def test_a_hook_is_named_as_module_and_function(module: Module) -> None:
    name = module("def double(product):\n    return 2 * product\n")
    assert apply_hooks((f"{name}:double",), 21) == 42


def test_a_dotted_path_names_a_hook_too() -> None:
    assert find_hook("os.path.basename")("/a/b") == "b"


def test_a_hook_is_found_by_its_entry_point(tmp_path: Path, module: Module) -> None:
    name = module("def triple(product):\n    return 3 * product\n")
    package = tmp_path / "a_users_hooks-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: a_users_hooks\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(f"[jwcal.hooks]\nby_three = {name}:triple\n")
    assert apply_hooks(("by_three",), 14) == 42


def test_hooks_run_in_the_order_given(module: Module) -> None:
    name = module("def add(product):\n    return product + 1\ndef double(product):\n    return product * 2\n")
    assert apply_hooks((f"{name}:add", f"{name}:double"), 1) == 4


def test_a_hook_that_returns_nothing_keeps_the_product(module: Module) -> None:
    name = module("def note(product):\n    product.append('seen')\n")
    product: list[str] = []
    assert apply_hooks((f"{name}:note",), product) is product
    assert product == ["seen"]


def test_no_hooks_leave_the_product() -> None:
    product = object()
    assert apply_hooks((), product) is product


@pytest.mark.parametrize("name", ["no_such_module_at_all:f", "os:no_such_function", "nodots", "", ":f", "os:", ".f"])
def test_a_hook_that_is_not_there_is_named_with_a_remedy(name: str) -> None:
    with pytest.raises(HookError, match="cannot be found") as caught:
        find_hook(name)
    assert repr(name) in str(caught.value)
    assert caught.value.remedy


def test_a_hook_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(HookError, match="'os:sep' is not a function"):
        find_hook("os:sep")


@pytest.mark.parametrize("text", ["def broken(:\n", "1 / 0\n", "import no_such_module_at_all\n"])
def test_a_module_that_does_not_import_is_a_failure_of_the_hook(module: Module, text: str) -> None:
    name = module(text)
    with pytest.raises(HookError, match=f"{name}:f"):
        find_hook(f"{name}:f")


def test_a_failing_hook_is_named_with_its_cause(module: Module) -> None:
    name = module("def f(product):\n    raise ValueError('too\\nbright')\n")
    with pytest.raises(HookError) as caught:
        apply_hooks((f"{name}:f",), 1)
    assert str(caught.value).startswith(f"hook '{name}:f' failed: too bright; remedy: ")
    assert isinstance(caught.value.__cause__, ValueError)

"""Steps register by name; users may add and replace them."""

from typing import Any

import pytest

from jwcal.core import step as registry
from jwcal.core.errors import UnknownParameter
from jwcal.core.step import StepParameters, get_step, step


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))


def test_a_registered_step_is_found_with_its_names() -> None:
    @step("sharpen", params=StepParameters, official="mine.SharpenStep")
    def sharpen(product: Any, params: StepParameters, refs: Any) -> Any:
        """Sharpen the image.

        More of it.
        """

    found = get_step("sharpen")
    assert found.function is sharpen
    assert (found.status, found.suffix, found.pars_type) == ("sharpen", "sharpen", "pars-sharpenstep")
    assert found.summary == "Sharpen the image."


def test_registering_a_name_again_replaces_the_step() -> None:
    for official in ("jwst.a.AStep", "mine.BetterStep"):
        step("sharpen", params=StepParameters, official=official)(lambda product, params, refs: product)
    assert get_step("sharpen").official == "mine.BetterStep"


def test_an_unknown_step_is_refused_with_the_known_ones() -> None:
    step("sharpen", params=StepParameters, official="mine.SharpenStep")(lambda product, params, refs: product)
    with pytest.raises(UnknownParameter, match="'sharpem'") as caught:
        get_step("sharpem")
    assert "sharpen" in str(caught.value.remedy)

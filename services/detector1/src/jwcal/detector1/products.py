"""What a stage 1 run writes, and under which names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jwcal.core.data import GuiderCube, GuiderRamp, Ramp, Rates
from jwcal.core.events import Listener, ProductWritten
from jwcal.core.products.write import write_cube, write_guider, write_image, write_ramp, write_side_product
from jwcal.core.step import StepDefinition, StepParameters
from jwcal.detector1.naming import product_path


class ProductWriter:
    """Writes the products of one exposure and keeps the list of them."""

    def __init__(self, directory: Path, root: str, on_event: Listener) -> None:
        self._directory = directory
        self._root = root
        self._on_event = on_event
        self.written: list[Path] = []

    def _path(self, suffix: str, extension: str = "fits") -> Path:
        return product_path(self._directory, self._root, suffix, extension)

    def _announce(self, path: Path) -> None:
        self.written.append(path)
        self._on_event(ProductWritten(path))

    def save_step(self, definition: StepDefinition, params: StepParameters, product: Any) -> None:
        """Write a step's own result under its official suffix."""
        suffix = params.suffix or definition.suffix
        if isinstance(product, Rates):
            names = (
                ("gain_scale", "gain_scaleints") if definition.name == "gain_scale" else (f"0_{suffix}", f"1_{suffix}")
            )
            self._rates(product, *names)
        else:
            self._single(product, suffix)

    def save_result(self, product: Any, suffix: str, logs: Mapping[str, Any]) -> None:
        """Write the run's products: rate and rateints, or the ramp or guider product under `suffix`."""
        if isinstance(product, Rates):
            self._rates(product, "rate", "rateints", logs)
        else:
            self._single(product, suffix, logs)

    def save_side_products(self, product: Any) -> None:
        """Write the optional products that steps attached."""
        for suffix, side in product.side_products.items():
            path = self._directory / side.file if side.file else self._path(suffix, side.extension)
            write_side_product(side, product.metadata, path)
            self._announce(path)

    def save_ramp(self, ramp: Ramp, suffix: str) -> None:
        """Write a ramp."""
        self._single(ramp, suffix)

    def _rates(self, rates: Rates, image: str, cube: str, logs: Mapping[str, Any] | None = None) -> None:
        if rates.rateints is not None:
            write_cube(rates.rateints, self._path(cube), extra=rates.extra, logs=logs)
            self._announce(self._path(cube))
        if rates.rate is not None:
            write_image(rates.rate, self._path(image), extra=rates.extra, logs=logs)
            self._announce(self._path(image))

    def _single(
        self, product: Ramp | GuiderRamp | GuiderCube, suffix: str, logs: Mapping[str, Any] | None = None
    ) -> None:
        path = self._path(suffix)
        if isinstance(product, Ramp):
            write_ramp(product, path, logs=logs)
        else:
            write_guider(product, path, logs=logs)
        self._announce(path)

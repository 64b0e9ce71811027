"""The picture of the demonstration: the ramp of a pixel that was hit, the slopes, the flags."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from jwcal.core import dqflags

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _FAINT, _ACCENT, _WARM = "#1f2933", "#9aa5b1", "#2563a8", "#d1495b"
_CLASSES: Final = (
    ("jump", dqflags.JUMP_DET, "#2563a8"),
    ("saturated", dqflags.SATURATED, "#e9a23b"),
    ("do not use", dqflags.DO_NOT_USE, "#d1495b"),
)
"""Flags drawn, later ones on top."""


@dataclass(frozen=True, slots=True)
class Products:
    """What the picture needs of a run."""

    counts: NDArray[np.float32]
    """Ramp after jump detection, DN ``(nints, ngroups, ny, nx)``."""
    groupdq: NDArray[np.uint8]
    rate: NDArray[np.float32]
    """DN/s ``(ny, nx)``."""
    rateints: NDArray[np.float32]
    """DN/s ``(nints, ny, nx)``."""
    dq: NDArray[np.uint32]
    group_time: float
    """s."""


def read_products(jump: Path, rate: Path, rateints: Path) -> Products:
    """Open the products of a run."""
    from astropy.io import fits

    with fits.open(jump, memmap=False) as ramp, fits.open(rate, memmap=False) as image:
        return Products(
            counts=_native(ramp["SCI"].data, np.float32),
            groupdq=_native(ramp["GROUPDQ"].data, np.uint8),
            rate=_native(image["SCI"].data, np.float32),
            rateints=_native(fits.getdata(rateints, "SCI"), np.float32),
            dq=_native(image["DQ"].data, np.uint32),
            group_time=float(ramp[0].header["TGROUP"]),
        )


def _native(array: Any, kind: Any) -> Any:
    return np.ascontiguousarray(array, dtype=kind)


def telling_pixel(products: Products) -> tuple[int, int, int]:
    """Integration, row and column of a ramp with one clear jump in its middle, as large as the rise of its light."""
    flags = products.groupdq
    ngroups = flags.shape[1]
    jumps = (flags & dqflags.JUMP_DET) > 0
    clean = (jumps.sum(axis=1) == 1) & ((flags & ~np.uint8(dqflags.JUMP_DET)) == 0).all(axis=1)
    clean &= jumps[:, ngroups // 3 : max(ngroups // 3 + 1, 2 * ngroups // 3)].any(axis=1)
    step = np.where(jumps[:, 1:], np.diff(products.counts, axis=1), 0).sum(axis=1)
    rise = products.rateints * products.group_time * ngroups
    clarity = np.where(clean & np.isfinite(rise), np.minimum(step, 1.5 * rise), -np.inf)
    integration, row, column = np.unravel_index(int(np.argmax(clarity)), clarity.shape)
    return int(integration), int(row), int(column)


def draw(products: Products, title: str, path: Path) -> None:
    """Write the picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    style: Any = {
        "font.size": 10,
        "axes.edgecolor": _FAINT,
        "axes.labelcolor": _INK,
        "axes.titlecolor": _INK,
        "axes.titlelocation": "left",
        "axes.titlesize": 11,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "text.color": _INK,
    }
    with mpl.rc_context(style):
        figure, (ramp, slopes, flags) = plt.subplots(
            1, 3, figsize=(16, 5.2), layout="constrained", width_ratios=(1.1, 1, 1)
        )
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
        _draw_ramp(ramp, products)
        _draw_slopes(slopes, products)
        _draw_flags(flags, products)
        figure.savefig(path, dpi=130)
        plt.close(figure)


def _draw_ramp(axes: "Axes", products: Products) -> None:
    integration, row, column = telling_pixel(products)
    counts, flags = products.counts[integration, :, row, column], products.groupdq[integration, :, row, column]
    times = products.group_time * np.arange(1, counts.size + 1)
    hit = (flags & dqflags.JUMP_DET) > 0
    slope = float(products.rateints[integration, row, column])
    naive = np.polyfit(times, counts, 1)
    axes.plot(times, np.polyval(naive, times), color=_FAINT, ls="--", label=f"one straight line: {naive[0]:.3g} DN/s")
    label: str | None = f"slope fitted around the jump: {slope:.3g} DN/s"
    for part in np.split(np.arange(counts.size), np.flatnonzero(hit)):
        if part.size:
            middle = counts[part].mean() - slope * times[part].mean()
            axes.plot(times[part], middle + slope * times[part], color=_ACCENT, lw=2, label=label)
            label = None
    axes.plot(times[~hit], counts[~hit], "o", color=_INK, ms=5, label="groups")
    axes.plot(times[hit], counts[hit], "D", color=_WARM, ms=8, label="group flagged JUMP_DET")
    axes.set(xlabel="time since reset (s)", ylabel="linearised signal (DN)")
    axes.set_title(f"A cosmic ray in pixel ({column}, {row}), integration {integration + 1}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="lower right")


def _draw_slopes(axes: "Axes", products: Products) -> None:
    from matplotlib.colors import AsinhNorm

    finite = products.rate[np.isfinite(products.rate)]
    low, middle, high = np.percentile(finite, (1, 50, 99.7))
    scatter = 1.4826 * float(np.median(np.abs(finite - middle)))
    image = axes.imshow(
        products.rate,
        origin="lower",
        cmap="magma",
        interpolation="nearest",
        norm=AsinhNorm(linear_width=max(3 * scatter, 1e-6), vmin=float(low), vmax=float(high)),
    )
    axes.set(xlabel="x (pixel)", ylabel="y (pixel)")
    axes.set_title("Count rate (DN/s)")
    assert axes.figure is not None
    decades = 10.0 ** np.arange(np.ceil(np.log10(max(3 * scatter, 1e-6))), np.ceil(np.log10(max(high, 1e-5))))
    bar = axes.figure.colorbar(image, ax=axes, label="DN/s", shrink=0.8, pad=0.02, ticks=[0.0, *decades])
    bar.ax.set_yticklabels(["0", *(f"{decade:g}" for decade in decades)])


def _draw_flags(axes: "Axes", products: Products) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    everything = products.dq | np.bitwise_or.reduce(products.groupdq, axis=(0, 1))
    shown = np.zeros(everything.shape, np.uint8)
    for number, (_, flag, _) in enumerate(_CLASSES, start=1):
        shown[(everything if flag != dqflags.DO_NOT_USE else products.dq) & flag > 0] = number
    colours = ["#f2f4f7", *(colour for _, _, colour in _CLASSES)]
    axes.imshow(
        shown, origin="lower", cmap=ListedColormap(colours), vmin=-0.5, vmax=len(colours) - 0.5, interpolation="nearest"
    )
    axes.set(xlabel="x (pixel)", ylabel="y (pixel)")
    axes.set_title("Data quality, any group")
    handles = [
        Patch(color=colour, label=f"{name} ({int(np.count_nonzero(everything & flag))})")
        for name, flag, colour in _CLASSES
    ]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False)

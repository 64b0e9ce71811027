"""The picture of the scaling."""

from pathlib import Path
from typing import Any

from .measuring import Store
from .scaling import series

_INK, _FAINT, _OURS, _OFFICIAL = "#1f2933", "#9aa5b1", "#2563a8", "#d1495b"
_PANELS = (
    ("groups", "groups in an integration", "Groups (320 x 320 pixels, 2 integrations)"),
    ("integrations", "integrations", "Integrations (320 x 320 pixels, 10 groups)"),
    ("threads", "threads", "Threads (2048 x 2048 pixels, 10 groups)"),
)


def draw_scaling(store: Store, path: Path) -> bool:
    """Write the picture; False where nothing was measured."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    if not any(series(store, name) for name, _, _ in _PANELS):
        return False
    style: Any = {
        "font.size": 10,
        "axes.edgecolor": _FAINT,
        "axes.titlelocation": "left",
        "axes.titlesize": 10.5,
        "text.color": _INK,
        "axes.labelcolor": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
    }
    with mpl.rc_context(style):
        figure, panels = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
        for axes, (name, label, title) in zip(panels, _PANELS, strict=True):
            _panel(axes, series(store, name), label, title)
        panels[0].set_ylabel("wall time of an exposure (s), warm")
        panels[0].legend(frameon=False, loc="center left")
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path, dpi=100)
        plt.close(figure)
    return True


def _panel(axes: Any, points: Any, label: str, title: str) -> None:
    for key, name, colour, marker in (("official", "official", _OFFICIAL, "s"), ("jwcal", "jwcal", _OURS, "o")):
        found = [(point.value, result[key]["warm"]) for point, result, _ in points if key in result]
        if not found:
            continue
        x, y = zip(*found, strict=True)
        axes.plot(x, y, marker=marker, color=colour, lw=2, ms=6, label=name)
        for value, seconds in found:
            text = f"{seconds:.3g}"
            axes.annotate(text, (value, seconds), (0, 8), textcoords="offset points", ha="center", fontsize=8.5)
    axes.set(xscale="log", yscale="log", xlabel=label)
    axes.set_title(title)
    values = sorted({point.value for point, _, _ in points})
    axes.set_xticks(values, [str(value) for value in values])
    axes.minorticks_off()
    axes.margins(x=0.12, y=0.18)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)

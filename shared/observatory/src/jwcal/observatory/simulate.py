"""Take an exposure with everything needed to calibrate it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jwcal.observatory.crds_mappings import CODE_DEFAULTS
from jwcal.observatory.detector import Pixels, pixels
from jwcal.observatory.dither import UNDITHERED, Dither
from jwcal.observatory.exposure_files import write_exposure
from jwcal.observatory.keywords import Clock, root_name
from jwcal.observatory.mode import Mode
from jwcal.observatory.modes import MODES
from jwcal.observatory.ramps import RawExposure, expose
from jwcal.observatory.randomness import stream
from jwcal.observatory.references import provide
from jwcal.observatory.scene import Scene, make_scene
from jwcal.observatory.striped_ramps import expose_stripes
from jwcal.observatory.striping import Striping
from jwcal.observatory.truth import Truth, write_truth


@dataclass(frozen=True, slots=True)
class Simulation:
    """Where things lie."""

    exposures: tuple[Path, ...]
    """Raw exposures, one file a segment."""
    truth: Path
    """What `jwcal.observatory.truth.read_truth` reads."""
    crds: Path
    """Root of the CRDS cache."""
    context: str = CODE_DEFAULTS


def simulate(
    mode: str,
    out: Path,
    *,
    seed: int = 1,
    crds: Path | None = None,
    ngroups: int | None = None,
    nints: int | None = None,
    segments: int = 1,
    dither: Dither = UNDITHERED,
) -> Simulation:
    """Take an exposure in a mode of `MODES`; the same arguments always give the same pixels.

    Exposures that differ in their `dither` alone show one field, each with noise and cosmic rays of its own.

    References and mappings go to `crds` (``out/crds`` by default); those already there are used as they are.

    Raises
    ------
    KeyError
        There is no such mode.
    ValueError
        No group, more segments than integrations, or a dither where the mode has none.
    """
    chosen = MODES[mode]
    groups, integrations = ngroups or chosen.ngroups, nints or chosen.nints
    if groups < 1 or not 1 <= segments <= integrations:
        raise ValueError(f"{groups} groups, {integrations} integrations in {segments} segments cannot be exposed")
    if dither != UNDITHERED and (chosen.stripes is not None or chosen.is_guider or chosen.traces):
        raise ValueError(f"mode {mode} is not dithered")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    cache = out / "crds" if crds is None else Path(crds)
    provide(chosen, cache)
    scene, maps, raw = _observe(chosen, seed, groups, integrations, dither)
    clock = Clock(chosen, groups, len(raw.data), dither)
    exposures = write_exposure(raw, chosen, clock, out, segments=segments, seed=seed)
    path = out / f"{root_name(chosen, 0, 1, dither.number)}_truth.fits"
    write_truth(_truth(chosen, scene, raw, maps, seed), path)
    return Simulation(exposures=exposures, truth=path, crds=cache)


def _observe(mode: Mode, seed: int, ngroups: int, nints: int, dither: Dither) -> tuple[Scene, Pixels, RawExposure]:
    """Scene and pixels as calibrated products show them, and the raw exposure."""
    exposure = ("exposure",) if dither.number == 1 else ("exposure", dither.number)
    rng, scenes = stream(seed, mode.name, *exposure), stream(seed, mode.name, "scene")
    lasting = mode.pattern.frames(min(ngroups, mode.ngroups)) * mode.frame_time
    maps = pixels(mode.whole_detector)
    if mode.stripes is None:
        scene = make_scene(mode, scenes, nints, lasting, shift=(dither.x, dither.y))
        return scene, maps, expose(mode, maps, scene, ngroups, rng)
    striping = Striping.of(mode)
    scene, light = striping.scene(scenes, nints, lasting)
    raw = expose_stripes(striping, maps, scene, light, ngroups, rng)
    return scene, striping.pixels(maps, striping.product_lines), raw


def _truth(mode: Mode, scene: Scene, raw: RawExposure, maps: Pixels, seed: int) -> Truth:
    electrons = np.where(maps.reference, 0, scene.image * maps.flat).astype(np.float32)
    stars = np.zeros(scene.x.size, [("x", "f8"), ("y", "f8"), ("flux", "f8")])
    stars["x"], stars["y"], stars["flux"] = scene.x, scene.y, scene.flux
    events = np.array(
        [(event.kind, event.integration, event.group, event.y, event.x, event.radius) for event in raw.large],
        [("kind", "U8"), ("integration", "i4"), ("group", "i4"), ("y", "f4"), ("x", "f4"), ("radius", "f4")],
    )
    group_time = (mode.pattern.nframes + mode.pattern.groupgap) * mode.frame_time
    if mode.stripes is not None:
        group_time /= Striping.of(mode).product_groups
    noise = mode.detector.cds_noise * mode.detector.gain / np.sqrt(2 * mode.pattern.nframes)
    return Truth(
        electrons=electrons,
        slope=(electrons / maps.gain * scene.light_curve.mean()).astype(np.float32),
        cosmic_rays=raw.hits,
        stars=stars,
        events=events,
        light_curve=scene.light_curve,
        mode=mode.name,
        seed=seed,
        gain=mode.detector.gain,
        read_noise=float(noise),
        group_time=group_time,
    )

"""Expose in multistripe readout: every stripe at its own moment of the frame."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from jwcal.core.array_types import Float32
from jwcal.observatory.cosmic_rays import Particles
from jwcal.observatory.detector import Pixels
from jwcal.observatory.ramps import Camera, RawExposure, digitised
from jwcal.observatory.scene import Scene
from jwcal.observatory.striping import Striping


def expose_stripes(
    striping: Striping, maps: Pixels, scene: Scene, light: Float32, ngroups: int, rng: np.random.Generator
) -> RawExposure:
    """Take the exposure; `maps` and `light` are those of the whole detector.

    At each superstripe position only the lines that are read are followed.
    """
    mode, positions = striping.mode, striping.readout.positions
    nints = scene.light_curve.size
    data = np.zeros((nints * positions, ngroups, *mode.shape), np.uint16)
    zeroframe = np.zeros((nints * positions, *mode.shape), np.uint16) if mode.zeroframe else None
    hits = []
    for position in range(positions):
        lines = np.unique(striping.readout.science_lines[position])
        at_position = slice(position, None, positions)
        camera = _camera(striping, striping.pixels(maps, lines), replace(scene, image=striping.take(light, lines)),
                         ngroups, rng)  # fmt: skip
        first = None if zeroframe is None else zeroframe[at_position]
        for integration in range(nints):
            _read_integration(camera, striping, position, integration, data[at_position][integration], first)
        hits.append(_in_product(camera.recorded(), striping, lines))
    return RawExposure(data=data, zeroframe=zeroframe, hits=np.concatenate(hits))


def _camera(striping: Striping, maps: Pixels, scene: Scene, ngroups: int, rng: np.random.Generator) -> Camera:
    """A camera of the lines read at one position, whose groups are the single reads."""
    mode = striping.mode
    ny, nx = maps.gain.shape
    single = replace(
        mode,
        size=(nx, ny),
        readpatt="RAPID",
        frame_time=mode.frame_time / striping.reads,
        stripes=None,
    )
    reads = mode.pattern.frames(ngroups) * striping.reads
    return Camera(single, maps, scene, reads, rng, Particles(single, rng, scene.light_curve.size * reads))


def _read_integration(
    camera: Camera,
    striping: Striping,
    position: int,
    integration: int,
    groups: NDArray[np.uint16],
    first: NDArray[np.uint16] | None,
) -> None:
    """Fill the groups ``(ngroups, ny, nx)`` and the first frame of an integration."""
    pattern, slow_is_y = striping.mode.pattern, striping.readout.slow_is_y
    lines = striping.readout.science_lines[position]
    found = np.searchsorted(np.unique(lines), lines)
    read_at, shares = striping.read_at(position), striping.shares
    camera.begin(integration)
    total = np.zeros(groups.shape[1:], np.float32)
    for frame in range(pattern.frames(groups.shape[0])):
        image = np.empty(groups.shape[1:], np.float32)
        for read in range(striping.reads):
            number = frame * striping.reads + read
            signal, _ = camera.group(integration, number, share=float(shares[read]))
            signal = camera.read(signal, integration, number)
            here = np.flatnonzero(read_at == read)
            if slow_is_y:
                image[here] = signal[found[here]]
            else:
                image[:, here] = signal[:, found[here]]
        group, within = divmod(frame, pattern.nframes + pattern.groupgap)
        if within >= pattern.nframes:
            continue
        total = total + image if within else image
        if frame == 0 and first is not None:
            first[integration] = digitised(image)
        if within == pattern.nframes - 1:
            groups[group] = digitised(total / np.float32(pattern.nframes))


def _in_product(hits: NDArray[np.void], striping: Striping, lines: NDArray[np.int64]) -> NDArray[np.void]:
    """Hits by the pixels and groups that calibrated products have; those beside them are left out."""
    pattern, reads = striping.mode.pattern, striping.reads
    frame, read = np.divmod(hits["group"], reads)
    group, within = np.divmod(frame, pattern.nframes + pattern.groupgap)
    dropped = within >= pattern.nframes
    along = "y" if striping.readout.slow_is_y else "x"
    product = striping.product_lines
    order = np.argsort(product, kind="stable")
    line = lines[hits[along]]
    place = order[np.minimum(np.searchsorted(product[order], line), product.size - 1)]
    out = hits.copy()
    out[along] = place
    out["group"] = (group + dropped) * striping.product_groups + (read if striping.collated else 0)
    out["visible"] = np.where(dropped, 1.0, 1 - within / pattern.nframes)
    kept: NDArray[np.void] = out[product[place] == line]
    return kept

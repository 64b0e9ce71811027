"""Interpixel-capacitance convolution of frames, in place; frames in parallel."""

import numpy as np
from numba import njit, prange


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def convolve_frames(frames, kernel, by_pixel, rows, y0, y1, x0, x1):
    """Convolve the window ``[y0:y1, x0:x1]`` of ``(nframes, ny, nx)`` with ``(ky, kx)`` planes of `kernel`.

    `kernel` is ``(ky, kx, 1, 1)``, or ``(ky, kx, ny, nx)`` when `by_pixel`; `rows` lists the frame rows that hold
    pixels (all of them but for interleaved readout).  Outside the window counts as zero.
    """
    ky, kx = kernel.shape[0], kernel.shape[1]
    middle_y, middle_x = ky // 2, kx // 2
    width = x1 - x0
    for frame in prange(frames.shape[0]):
        source = np.zeros((ky, width + kx), np.float32)  # rolling copies of the rows around the present one
        total = np.empty(width, np.float32)
        for ahead in range(min(ky - middle_y - 1, y1 - y0)):
            slot = (y0 + ahead) % ky
            for x in range(width):
                source[slot, middle_x + x] = frames[frame, rows[y0 + ahead], x0 + x]
        for y in range(y0, y1):
            newest = y + ky - middle_y - 1
            slot = newest % ky
            for x in range(width):
                source[slot, middle_x + x] = frames[frame, rows[newest], x0 + x] if newest < y1 else np.float32(0.0)
            for x in range(width):
                total[x] = np.float32(0.0)
            for j in range(ky):
                line = y + (ky - j - 1) - middle_y
                if line < y0 or line >= y1:
                    continue
                for i in range(kx):
                    if j == middle_y and i == middle_x:
                        continue
                    shift = kx - i - 1
                    values = source[line % ky]
                    if by_pixel:
                        for x in range(width):
                            total[x] += kernel[j, i, y, x0 + x] * values[x + shift]
                    else:
                        weight = kernel[j, i, 0, 0]
                        for x in range(width):
                            total[x] += weight * values[x + shift]
            values = source[y % ky]
            for x in range(width):
                weight = kernel[middle_y, middle_x, y, x0 + x] if by_pixel else kernel[middle_y, middle_x, 0, 0]
                total[x] += weight * values[x + middle_x]
            for x in range(width):
                frames[frame, rows[y], x0 + x] = total[x]

"""Interpixel-capacitance convolution of frames, in place; frames in parallel."""

import numpy as np
from numba import njit, prange


@njit(nogil=True, cache=True, error_model="numpy")
def _sum_of_nine(ahead, here, behind, weights, total):
    """Convolution of three rows, each with a zero at either end, in the order of the general case."""
    w00, w01, w02 = weights[0, 0], weights[0, 1], weights[0, 2]
    w10, w11, w12 = weights[1, 0], weights[1, 1], weights[1, 2]
    w20, w21, w22 = weights[2, 0], weights[2, 1], weights[2, 2]
    for x in range(total.size):
        value = w00 * ahead[x + 2]
        value += w01 * ahead[x + 1]
        value += w02 * ahead[x]
        value += w10 * here[x + 2]
        value += w12 * here[x]
        value += w20 * behind[x + 2]
        value += w21 * behind[x + 1]
        value += w22 * behind[x]
        total[x] = value + w11 * here[x + 1]


@njit(nogil=True, cache=True, error_model="numpy")
def _add_product(weights, values, total):
    for x in range(total.size):
        total[x] += weights[x] * values[x]


@njit(nogil=True, cache=True, error_model="numpy")
def _add_multiple(weight, values, total):
    for x in range(total.size):
        total[x] += weight * values[x]


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def convolve_frames(frames, kernel, by_pixel, rows, y0, y1, x0, x1):
    """Convolve the window ``[y0:y1, x0:x1]`` of ``(nframes, ny, nx)`` with ``(ky, kx)`` planes of `kernel`.

    `kernel` is ``(ky, kx, 1, 1)``, or ``(ky, kx, ny, nx)`` when `by_pixel`; `rows` lists the frame rows that hold
    pixels (all of them but for interleaved readout).  Outside the window counts as zero.
    """
    ky, kx = kernel.shape[0], kernel.shape[1]
    middle_y, middle_x = ky // 2, kx // 2
    width = x1 - x0
    small = ky == 3 and kx == 3 and not by_pixel
    weights = np.ascontiguousarray(kernel[:, :, 0, 0])
    for frame in prange(frames.shape[0]):
        source = np.zeros((ky, width + kx), np.float32)  # rolling copies of the rows around the present one
        total = np.empty(width, np.float32)
        for ahead in range(min(ky - middle_y - 1, y1 - y0)):
            source[(y0 + ahead) % ky, middle_x : middle_x + width] = frames[frame, rows[y0 + ahead], x0:x1]
        for y in range(y0, y1):
            newest = y + ky - middle_y - 1
            if newest < y1:
                source[newest % ky, middle_x : middle_x + width] = frames[frame, rows[newest], x0:x1]
            else:
                source[newest % ky] = np.float32(0.0)
            result = frames[frame, rows[y], x0:x1]
            if small:
                _sum_of_nine(source[(y + 1) % 3], source[y % 3], source[(y - 1) % 3], weights, result)
                continue
            total[:] = np.float32(0.0)
            for j in range(ky):
                line = y + (ky - j - 1) - middle_y
                if line < y0 or line >= y1:
                    continue
                for i in range(kx):
                    if j == middle_y and i == middle_x:
                        continue
                    values = source[line % ky, kx - i - 1 : kx - i - 1 + width]
                    if by_pixel:
                        _add_product(kernel[j, i, y, x0:x1], values, total)
                    else:
                        _add_multiple(kernel[j, i, 0, 0], values, total)
            values = source[y % ky, middle_x : middle_x + width]
            if by_pixel:
                _add_product(kernel[middle_y, middle_x, y, x0:x1], values, total)
            else:
                _add_multiple(kernel[middle_y, middle_x, 0, 0], values, total)
            result[:] = total

"""Numba kernels: arrays in, arrays out; they import only numpy, numba and math."""

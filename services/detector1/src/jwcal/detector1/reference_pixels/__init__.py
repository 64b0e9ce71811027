"""Correction of ramps by reference pixels, one module for each kind of readout."""

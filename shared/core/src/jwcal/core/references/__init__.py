"""Calibration references: selection, fetching, decoding, caching."""

"""Fits of count rates to ramps."""

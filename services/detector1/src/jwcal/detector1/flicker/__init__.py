"""Fit and removal of 1/f (flicker) noise from the background of exposures."""

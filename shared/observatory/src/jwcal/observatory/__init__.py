"""Synthetic observatory: exposures with known truth, and the CRDS world they need, without a network."""

from jwcal.observatory.dither import Dither, box
from jwcal.observatory.modes import MODES
from jwcal.observatory.simulate import Simulation, simulate

__all__ = ["MODES", "Dither", "Simulation", "box", "simulate"]

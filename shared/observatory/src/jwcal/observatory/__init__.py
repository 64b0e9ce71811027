"""Synthetic observatory: exposures with known truth, and the CRDS world they need, without a network."""

from jwcal.observatory.modes import MODES
from jwcal.observatory.simulate import Simulation, simulate

__all__ = ["MODES", "Simulation", "simulate"]

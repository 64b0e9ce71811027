"""Ramp fitting: what prepares ramps for the kernels and packs what they return."""

"""Electromagnetic interference in MIRI ramps: its timing, its joint and its sequential fit."""

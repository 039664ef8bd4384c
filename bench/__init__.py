"""Measurements: one script a claim; each prints JSON lines {claim, value, unit, bar, holds}."""

"""Equations of a network, as formulas and as numbers."""

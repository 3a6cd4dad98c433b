"""Equations and rate constants from data."""

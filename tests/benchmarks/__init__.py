"""Comparisons with other packages: ``python run.py bench``."""

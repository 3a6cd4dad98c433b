"""Grading behind ``python run.py assignments``: what a student wrote is run apart and never trusted."""

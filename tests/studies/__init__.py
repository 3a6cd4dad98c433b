"""Studies with many seeds or many runs: ``python run.py validate``."""

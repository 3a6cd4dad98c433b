"""Time scales, slow and fast species, and smaller models."""

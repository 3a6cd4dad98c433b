"""Trajectories of a network, exact and approximate, and what is kept of many of them."""

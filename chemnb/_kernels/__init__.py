"""Compiled loops; each file is one kernel, compiled once and cached on disk for all networks."""

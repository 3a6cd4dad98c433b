"""Compiled loops; each file is one kernel, compiled once and cached on disk for all networks.

A kernel reads a network as flat tables (`chemnb.networks.tables`), never as generated code: nothing is
compiled for a new network. Every kernel draws run i from the same stream and does the same
arithmetic in the same order, so that it does not matter which of them runs.
"""

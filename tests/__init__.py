"""Tests, commands and studies of chemnb."""

"""The master equation itself, on a finite set of states."""

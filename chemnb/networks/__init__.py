"""Reaction networks: what they are, how they are written, and the tables that are read from them."""

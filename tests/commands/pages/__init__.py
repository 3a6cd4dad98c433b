"""How the notebooks become pages that need neither a kernel nor a network."""

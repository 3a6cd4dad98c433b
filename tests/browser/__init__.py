"""JupyterLab as its users see it: a server on this machine, and headless Chromium."""

"""The commands behind ``python run.py``: one module each, plus what they share."""

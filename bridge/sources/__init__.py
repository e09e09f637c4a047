"""Where values come from: each module implements the Protocol in `base.py`."""

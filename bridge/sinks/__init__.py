"""Where messages go: each module implements the Protocol in `base.py`."""

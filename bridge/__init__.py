"""MQTT bridge and edge rule engine for Victron energy systems. Start reading at `cycle.py`."""

__version__ = "0.1.0"

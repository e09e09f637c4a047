"""A GX that behaves: physics, scenarios, faults, and the HTTP API of a real one."""

"""The pure core: no I/O, no clock, no log, no thread, no randomness; standard library only."""

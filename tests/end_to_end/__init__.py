"""The whole program as a user runs it: real processes, a real broker, a stand-in GX."""

"""Waking the sink's thread, and opening a connection without being blocked by it.

Name lookup has no timeout of its own and the TLS handshake is several round trips: both run in a short-lived
thread that may be given up, so that the sink's thread can always hear `stop`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Lock, Thread


class Wake:
    """A flag that another thread can raise and that `select` can wait for: one byte in a socket pair."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._is_set = False

    def fileno(self) -> int:
        return self._reader.fileno()

    def set(self) -> None:
        """Raise the flag; many calls before it is lowered cost one byte."""
        if self._is_set:
            return
        self._is_set = True
        with suppress(OSError):  # closed: nobody waits any more
            self._writer.send(b"\0")

    def clear(self) -> None:
        """Lower the flag. What was queued before a `set` is looked at after this, so none is lost."""
        with suppress(OSError):
            self._reader.recv(64)
        self._is_set = False

    def wait(self, timeout_s: float) -> None:
        """Wait until the flag is raised, then lower it."""
        self._reader.settimeout(max(timeout_s, 0.0))
        self.clear()
        self._reader.setblocking(False)

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


class Dial:
    """One attempt to connect, in its own thread.

    Args:
        connect: opens the connection; may block; raises when it cannot.
        discard: closes what `connect` opened; called when the attempt was given up before it ended.
        notify: called when the attempt has ended, one way or the other.
    """

    def __init__(self, connect: Callable[[], object], discard: Callable[[], None], notify: Callable[[], None]) -> None:
        self.error: Exception | None = None
        self.is_done = False
        self.is_given_up = False
        self._connect = connect
        self._discard = discard
        self._notify = notify
        self._lock = Lock()
        self._thread = Thread(target=self._run, name="mqtt-dial", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def give_up(self) -> None:
        """Make sure that nothing stays open of an attempt that nobody waits for any more."""
        with self._lock:
            self.is_given_up = True
            if self.is_done:
                self._discard()

    def _run(self) -> None:
        try:
            self._connect()
        except Exception as error:  # a thread's top: told to whoever waits
            # The traceback holds the frames and so the half-open socket, which nobody else would close.
            self.error = error.with_traceback(None)
        with self._lock:
            self.is_done = True
            if self.is_given_up:
                self._discard()
        self._notify()

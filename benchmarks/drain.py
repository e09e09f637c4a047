"""A broker's place holder: accepts MQTT 3.1.1 logins and swallows what comes. `python -m benchmarks.drain PORT`."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading

_ACCEPTED = b"\x20\x02\x00\x00"


def _swallow(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        connection.recv(65536)
        connection.sendall(_ACCEPTED)
        while connection.recv(65536):
            pass


def _serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_swallow, args=(connection,), daemon=True).start()


def main() -> None:
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    threading.Thread(target=_serve, args=(listener,), daemon=True).start()
    sys.stdin.read()  # the end of the one who started this is our end


if __name__ == "__main__":
    main()

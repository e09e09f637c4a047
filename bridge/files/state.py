"""What must survive a restart: one JSON document per store, written whole or not at all.

Law: a write goes to a temporary file, is forced to the disk and renamed, and the previous document is kept beside it
(`state.json.1`), so that at every moment, a power cut included, one of the two can be read. A full or read-only disk
never stops the bridge: it is told once, counted, and tried again at the next save. Only one process may hold a
directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import zlib
from pathlib import Path
from typing import Any

from bridge.errors import ConfigError

_LOG = logging.getLogger(__name__)
_LOCK_FILE = "lock"
_CLIENT_ID_FILE = "client-id"
_SIZE_LIMIT_BYTES = 50_000_000  # windows of 100 sites stay far below


class StateStore:
    """Keeps one JSON document in a directory of its own. For one thread.

    Args:
        directory: is made when it is missing.
        version: of the document's form; a file of a newer version is refused, an older one is handed out as it is
            (`load` tells its version under the key "version").
        name: of the file, without ending.
    """

    def __init__(self, directory: Path, version: int = 1, name: str = "state") -> None:
        self.failures = 0  # saves that failed, for the health topic
        self._version = version
        self._path = directory / f"{name}.json"
        self._previous = directory / f"{name}.json.1"
        self._is_broken = False
        self._written = b""

    def load(self) -> dict[str, Any] | None:
        """Return the last document that was saved whole, or None when there is none.

        Raises:
            ConfigError: it was written by a newer version of the program.
        """
        for path in (self._path, self._previous):
            document = self._read(path)
            if document is None:
                continue
            if document["version"] > self._version:
                message = (
                    "this state was written by a newer version of the program; install that, or move the file away"
                )
                raise ConfigError(message, str(path))
            if path is self._previous:
                _LOG.warning("%s cannot be read; going on with the state before it", self._path)
            return document
        return None

    def save(self, document: dict[str, Any]) -> bool:
        """Write a document; return whether it is on the disk. An unchanged one costs no write.

        Args:
            document: what JSON can hold; the key "version" is set here.
        """
        data = _sealed({**document, "version": self._version})
        if data == self._written and not self._is_broken:
            return True
        try:
            self._replace(data)
        except OSError as error:
            self.failures += 1
            if not self._is_broken:
                _LOG.error("state cannot be saved in %s (%s); going on without", self._path.parent, error.strerror)
            self._is_broken = True
            return False
        if self._is_broken:
            _LOG.warning("state is saved again in %s", self._path.parent)
        self._is_broken = False
        self._written = data
        return True

    def _read(self, path: Path) -> dict[str, Any] | None:
        """Return the document of a file, or None when it is missing or damaged."""
        try:
            with open(path, "rb") as stream:
                data = stream.read(_SIZE_LIMIT_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            _LOG.error("state cannot be read from %s (%s)", path, error.strerror)
            return None
        document = _unsealed(data)
        if document is None:
            _LOG.error("%s is damaged", path)
        return document

    def _replace(self, data: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self._path.with_suffix(".tmp")
        write_whole(temporary, data)
        if _unsealed(_bytes_of(self._path)) is not None:  # a damaged file must not replace the good one before it
            os.replace(self._path, self._previous)
        os.replace(temporary, self._path)
        _force_names(self._path.parent)


def _sealed(document: dict[str, Any]) -> bytes:
    """Return a line with the checksum of the JSON that follows: a file cut short or mixed up must not pass."""
    body = json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
    return b"%08x\n%s" % (zlib.crc32(body), body)


def _unsealed(data: bytes) -> dict[str, Any] | None:
    checksum, _, body = data.partition(b"\n")
    if checksum != b"%08x" % zlib.crc32(body):
        return None
    try:
        document = json.loads(body)
    except ValueError:
        return None
    is_ours = isinstance(document, dict) and isinstance(document.get("version"), int)
    return document if is_ours else None


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read and force it to the disk.

    Raises:
        OSError: the disk is full, read-only or gone.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(descriptor)


def _force_names(directory: Path) -> None:
    """Force a rename to the disk, where the file system knows how."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some network and FUSE file systems refuse to sync a directory
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DirectoryLock:
    """Holds a state directory for this process until it ends or calls `release`."""

    def __init__(self, directory: Path) -> None:
        self._descriptor = -1
        self._directory = directory

    def acquire(self) -> bool:
        """Take the lock; return False, with a line in the log, when the directory cannot be written at all.

        Raises:
            ConfigError: another process holds it.
        """
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._descriptor = os.open(self._directory / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            _LOG.error("%s cannot be used (%s): alerts will not survive a restart", self._directory, error.strerror)
            return False
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            self.release()
            message = f"another victron-bridge uses this directory (process {holder or 'unknown'}); stop it or give "
            raise ConfigError(message + "this one its own with --state", str(self._directory)) from None
        except OSError as error:  # a file system without locks: better no lock than no bridge
            _LOG.warning("%s cannot be locked (%s)", self._directory, error.strerror)
            return True
        with contextlib.suppress(OSError):  # the process number only serves the message above
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)
        return True

    def release(self) -> None:
        """Give the directory free; harmless when it is not held."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def client_id(directory: Path) -> str:
    """Return the MQTT client id of this installation: made once at random, then kept in the state directory.

    A changing id would leave the old one's last will behind. When nothing can be kept, the id comes from the
    machine, so that it stays the same anyway.
    """
    path = directory / _CLIENT_ID_FILE
    try:
        kept = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        kept = ""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", kept):
        return kept
    made = f"victron-bridge-{os.urandom(4).hex()}"
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, made.encode() + b"\n")
    except OSError:
        name = re.sub(r"[^A-Za-z0-9_-]", "-", os.uname().nodename)[:32]
        return f"victron-bridge-{name or 'unnamed'}"
    return made

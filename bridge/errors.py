"""The errors that callers tell apart.

    BridgeError
      ConfigError   the author of a YAML file must act: file, line, column, what is wrong, what would be right
      SourceError   the GX or its HTTP server failed
        Unreachable   no connection, or no answer in time
        Refused       an answer that says no: 404, 5xx, success false
        Garbled       an answer that cannot be read: not JSON, cut off, too large
      SinkError     the broker failed
      RuleError     an expression or a rule is wrong; `files` turns it into a ConfigError with its place

A class exists because someone handles it differently.
"""

from __future__ import annotations


class BridgeError(Exception):
    """Base of all errors this program raises on purpose."""


class ConfigError(BridgeError):
    """One mistake in a file or on the command line.

    Args:
        message: what is wrong and what would be right, in one sentence.
        file: the file's name as the user gave it, or "" for a command line argument.
        line, column: 1-based; 0 when the mistake has no place.
        key: the path of the key, such as `broker.port`.
    """

    def __init__(self, message: str, file: str = "", line: int = 0, column: int = 0, key: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        self.column = column
        self.key = key

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return ": ".join(part for part in (place, self.key, self.message) if part)


class ConfigErrors(BridgeError):
    """All mistakes of a configuration, found in one go."""

    def __init__(self, errors: list[ConfigError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors


class SourceError(BridgeError):
    """A request to the GX failed. `retry` says whether asking again can help."""

    def __init__(self, message: str, retry: bool = True) -> None:
        super().__init__(message)
        self.retry = retry


class Unreachable(SourceError):
    """No connection or no answer in time. `timed_out` tells a silent server from a refused connection."""

    def __init__(self, message: str, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class Refused(SourceError):
    """The server answered that it has no such value, or failed itself. `status` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Garbled(SourceError):
    """The body was not JSON, was cut off, was too large, or answers another question."""


class SinkError(BridgeError):
    """The broker refused or cannot be reached. `retry` says whether trying again can help."""

    def __init__(self, message: str, retry: bool = True) -> None:
        super().__init__(message)
        self.retry = retry


class RuleError(BridgeError):
    """A rule or an expression is wrong. Line and column count from 1 inside the text that was parsed."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column

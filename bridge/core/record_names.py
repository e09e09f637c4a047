"""Which names a record may have: such as rules can read and as are no other topic's.

Law: a record that is accepted is read by its own name, and its topic is nobody else's.
"""

from __future__ import annotations

_READ_AS = {
    "site": "is read as the site's point {rest}; name it {other}",
    "params": "is read as a param: list {rest} under params, or name the record {other}",
    "profile": "is read as a fact of the site; name it {other}",
    "input": "is read as a value that others publish; list {rest} under inputs, or name the record {other}",
    "device": "is read as a fact of the rule's own device; name it {other}, or with `each` <class>.{rest}",
}
_TOPICS = ("alerts", "raw", "request", "response", "status", "summary")  # the bridge's own, beside the site's points


def why_not(name: str) -> str:
    """Return what is wrong with the name of a record and what would be right, or nothing."""
    head, _, rest = name.partition(".")
    other = rest if "." in rest else f"own.{rest}"
    if head in _READ_AS:
        return f"{name} {_READ_AS[head].format(rest=rest, other=other)}"
    if head in _TOPICS:
        return f"topics that begin with {head} are the bridge's own; name it {other}"
    second, _, below = rest.partition(".")
    if second.isdigit():
        return f"{head}.{second} is a device in topics; write a word there, as in {head}.{below or f'number_{second}'}"
    return ""

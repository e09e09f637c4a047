"""What is asked over MQTT: a payload -> a request that was understood, or the sentence that says what is wrong.

A request is a JSON object on `<base>/<site>/request/<verb>`. `VERBS` is the whole of what can be asked: the keys of
each verb, which of them are needed, and what it does. Law: nothing that comes in raises; what is refused has changed
nothing; no verb has a way to the GX's values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from bridge.core.alert_ids import refuse_name
from bridge.core.documents import alert_document
from bridge.core.engine import Engine
from bridge.core.nearest import nearest
from bridge.core.request_keys import ALERT_ID, COMMENT, DURATION, MATCHER, MOMENT, SILENCE_ID, Key
from bridge.core.silencing import caution, described, matcher_of, until_of
from bridge.core.values import clean_text
from bridge.errors import RuleError
from bridge.model import Event

MAX_BYTES = 8192  # a silence with a long comment and many labels has about 1,000
MAX_DEPTH = 8
MAX_TRANSACTION = 200
MAX_RESPONSE_TOPIC = 512
SAME_S = 5.0  # silences that are equal but for so little are one that was asked for twice
_LONGEST_ERROR = 2000

Transaction = str | int | float | None
Topics = Mapping[str, str]  # of a site's inputs by their point


class Way(Enum):
    """How a verb is carried out."""

    CHANGE = "change"  # changes alerts; the state is saved
    LOOK = "look"  # reads
    POLL = "poll"  # asks the GX


class Outcome(NamedTuple):
    """What became of a request: events to tell, and the `data` of the response."""

    events: list[Event]
    data: Any


class Verb(NamedTuple):
    """One thing that can be asked. `cost` is what it takes from the allowance of requests."""

    keys: Mapping[str, Key]
    needed: tuple[str, ...]
    way: Way
    cost: float
    work: Callable[[Engine, Mapping[str, Any], float, Topics], Outcome]


class Asked(NamedTuple):
    """A request as it was understood. `fault` is "" unless it is wrong; `verb` is None only then."""

    verb: Verb | None
    keys: Mapping[str, Any]
    transaction: Transaction
    fault: str


def cost_of(name: str) -> float:
    """Return what a request to `request/<name>` takes from the allowance, right or wrong."""
    verb = VERBS.get(name)
    return verb.cost if verb else 1.0


def needs_payload(name: str) -> bool:
    """Tell whether an empty message on `request/<name>` is no request: its verb has keys, or there is no such verb."""
    verb = VERBS.get(name)
    return verb is None or bool(verb.keys)


# -- understanding --------------------------------------------------------------------------------------------------


def understand(name: str, payload: bytes) -> Asked:
    """Return what a payload on `request/<name>` asks for. Never raises."""
    transaction: Transaction = None
    try:
        document = _document(payload) if payload else {}
        transaction = _transaction(document)
        verb = VERBS.get(name)
        if verb is None:
            raise RuleError(_unknown("verb", name, VERBS))
        return Asked(verb, _checked(name, verb, document), transaction, "")
    except RuleError as error:
        return Asked(None, {}, transaction, error.message)


def _document(payload: bytes) -> dict[str, Any]:
    if len(payload) > MAX_BYTES:
        raise RuleError(f"a request has at most {MAX_BYTES} bytes; this has {len(payload)}")
    try:
        tree = _tidy(json.loads(payload.decode("utf-8"), parse_constant=_refuse_constant), MAX_DEPTH)
    except UnicodeDecodeError:
        raise RuleError("a request is JSON in UTF-8; this is not UTF-8") from None
    except RecursionError:
        raise RuleError(f"a request is nested at most {MAX_DEPTH} levels deep") from None
    except ValueError as error:
        reason = getattr(error, "msg", "a number that JSON does not have")
        raise RuleError(
            f'a request is a JSON object such as {{"id": "battery_soc_low"}}; this is no JSON: {reason}'
        ) from None
    if not isinstance(tree, dict):
        raise RuleError(f'a request is a JSON object such as {{"id": "battery_soc_low"}}, not {_short(tree)}')
    return tree


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _tidy(tree: Any, depth: int) -> Any:
    """Return a tree with texts that UTF-8 can write.

    Raises:
        RecursionError: it is nested deeper than `depth`.
    """
    if isinstance(tree, str):
        return clean_text(tree)
    if not isinstance(tree, dict | list):
        return tree
    if depth == 0:
        raise RecursionError
    if isinstance(tree, dict):
        return {clean_text(key): _tidy(value, depth - 1) for key, value in tree.items()}
    return [_tidy(value, depth - 1) for value in tree]


def _transaction(document: Mapping[str, Any]) -> Transaction:
    transaction = document.get("transaction")
    is_number = isinstance(transaction, int | float) and not isinstance(transaction, bool)
    is_text = isinstance(transaction, str) and len(transaction) <= MAX_TRANSACTION
    if transaction is None or is_text or (is_number and abs(transaction) < 2**63):
        return transaction
    raise RuleError(f'"transaction" is a number, or a text of at most {MAX_TRANSACTION} characters')


def _checked(name: str, verb: Verb, document: Mapping[str, Any]) -> dict[str, Any]:
    keys = {}
    for key, value in document.items():
        if key == "transaction":
            continue
        known = verb.keys.get(key)
        if known is None:
            raise RuleError(_unknown(f"key of {name}:", key, (*verb.keys, "transaction")))
        if not known.is_right(value):
            raise RuleError(f'"{key}" is {known.wanted}, not {_short(value)}')
        keys[key] = value
    for key in verb.needed:
        if key not in keys:
            raise RuleError(f'{name} needs "{key}", {verb.keys[key].wanted}')
    return keys


def _unknown(what: str, name: str, known: Any) -> str:
    close = nearest(name[:100], known)
    right = f'did you mean "{close}"?' if close else f"there are: {', '.join(known)}"
    return f"unknown {what} {_short(name)}; {right}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


# -- the verbs ------------------------------------------------------------------------------------------------------


def _ack(engine: Engine, keys: Mapping[str, Any], now: float, topics: Topics) -> Outcome:
    refuse_name(engine, keys["id"])
    was = _is_acknowledged(engine, keys["id"])
    events = engine.acknowledge(keys["id"], now, keys.get("comment", ""))
    return Outcome(events, {**_alert(engine, keys["id"]), "changed": not was})


def _unack(engine: Engine, keys: Mapping[str, Any], now: float, topics: Topics) -> Outcome:
    refuse_name(engine, keys["id"])
    was = _is_acknowledged(engine, keys["id"])
    events = engine.unacknowledge(keys["id"], now)
    return Outcome(events, {**_alert(engine, keys["id"]), "changed": was})


def _is_acknowledged(engine: Engine, alert_id: str) -> bool:
    alert = engine.alert_states.get(alert_id)
    return alert is not None and alert.acknowledged


def _silence(engine: Engine, keys: Mapping[str, Any], now: float, topics: Topics) -> Outcome:
    matcher, until, comment = matcher_of(engine, keys), until_of(engine, keys, now), keys.get("comment", "")
    for silence in engine.silences():
        is_same = (silence["matcher"], silence["comment"]) == (matcher, comment)
        if is_same and abs(silence["until"] - until) < SAME_S:  # brokers may deliver a request twice
            return Outcome([], _silenced(engine, silence))
    made, events = engine.silence(matcher, until, now, comment)
    return Outcome(events, _silenced(engine, made._asdict()))


def _silenced(engine: Engine, silence: Mapping[str, Any]) -> dict[str, Any]:
    note = caution(engine, silence["matcher"])
    return {**described(engine, silence), **({"note": note} if note else {})}


def _unsilence(engine: Engine, keys: Mapping[str, Any], now: float, topics: Topics) -> Outcome:
    silences = {silence["id"]: silence for silence in engine.silences()}
    if keys["id"] not in silences:
        there_are = ", ".join(map(str, silences)) or "none"
        raise RuleError(f"there is no silence {keys['id']}; there are: {there_are}")
    data = described(engine, silences[keys["id"]])
    return Outcome(engine.unsilence(keys["id"], now), data)


def _refresh(engine: Engine, keys: Mapping[str, Any], now: float, topics: Topics) -> Outcome:
    return Outcome([], None)


def _explain(engine: Engine, keys: Mapping[str, Any], now: float, topics: Topics) -> Outcome:
    from bridge.core.explain import explain  # memory that is needed only when somebody asks

    return Outcome([], explain(engine, keys["id"], now, topics))


def _alert(engine: Engine, alert_id: str) -> dict[str, Any]:
    return alert_document(engine.site, engine.announcer.state(engine.alert_states[alert_id]))


_SILENCE_KEYS = {"id": ALERT_ID, "matcher": MATCHER, "for": DURATION, "until": MOMENT, "comment": COMMENT}
VERBS: dict[str, Verb] = {
    "ack": Verb({"id": ALERT_ID, "comment": COMMENT}, ("id",), Way.CHANGE, 1, _ack),
    "unack": Verb({"id": ALERT_ID}, ("id",), Way.CHANGE, 1, _unack),
    "silence": Verb(_SILENCE_KEYS, (), Way.CHANGE, 1, _silence),
    "unsilence": Verb({"id": SILENCE_ID}, ("id",), Way.CHANGE, 1, _unsilence),
    "refresh": Verb({}, (), Way.POLL, 10, _refresh),  # reads the whole GX and publishes all of it
    "explain": Verb({"id": ALERT_ID}, ("id",), Way.LOOK, 10, _explain),
}


# -- the response ---------------------------------------------------------------------------------------------------


def ok(data: Any, transaction: Transaction) -> dict[str, Any]:
    """Return the document of a request that was carried out."""
    return {"status": "ok", "data": data, "error": None, "transaction": transaction}


def error(sentence: str, transaction: Transaction) -> dict[str, Any]:
    """Return the document of a request that was refused."""
    return {"status": "error", "data": None, "error": sentence[:_LONGEST_ERROR], "transaction": transaction}


def response_topic_fault(topic: str, base: str, site: str) -> str:
    """Say why a response must not go to a topic that a request asks for; "" when it may.

    Whoever may send requests must not use us to write where he may not: nothing of our own tree but the responses.
    """
    if len(topic) > MAX_RESPONSE_TOPIC:
        return f"a response topic has at most {MAX_RESPONSE_TOPIC} characters"
    if "+" in topic or "#" in topic:
        return "a response topic has no wildcards (+ and #)"
    if not topic.isprintable():
        return "a response topic has no control characters"
    if topic.startswith("$"):
        return "a response topic does not begin with $"
    if "" in topic.split("/"):
        return "a response topic has no empty levels, and neither begins nor ends with /"
    own = f"{base}/{site}/response/"
    if topic.startswith(f"{base}/") and not topic.startswith(own):
        return f"a response topic below {base}/ begins with {own}"
    return ""

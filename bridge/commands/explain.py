"""`victron-bridge explain`: why is an alert in the state it is in? Asked of a running bridge, or of a recording."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bridge.assemble import broker_options
from bridge.commands.arguments import BROKER_FLAGS, add_flags, duration, settings_of
from bridge.commands.broker_session import BrokerSession
from bridge.commands.explain_text import explained, listed
from bridge.commands.played import SilentSink, open_recording
from bridge.commands.rule_choice import add_rule_choice
from bridge.core.explain import ALL, explain
from bridge.core.values import iso_time
from bridge.errors import ConfigError, RuleError, SinkError
from bridge.files.address import duration_s
from bridge.files.settings import Settings
from bridge.playback import Playback

EPILOG = """\
examples:
  victron-bridge explain --broker 192.168.1.2                        what is pending or firing, and why
  victron-bridge explain battery_soc_low --broker 192.168.1.2        everything about one alert
  victron-bridge explain grid_lost --recording gx.jsonl.gz --at +90s 90 s after the recording began
  victron-bridge explain cell_spread_high/battery/512 --recording gx.jsonl.gz --at 2026-01-31T12:30:00Z

A running bridge is asked through its broker (request/explain); nothing is changed by asking. A recording is played
up to the moment, with the rules of `run` or those of --rules and --pack. Times are UTC.
"""

TIMEOUT_S = 5.0
_WIDTH = 100  # of a line where there is no terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `explain`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "alert", metavar="ALERT", nargs="?", help="its id, or its name where one device has it; without it, a list"
    )
    parser.add_argument("--all", action="store_true", help="list all alerts, not only those that are pending or firing")
    parser.add_argument("--recording", metavar="FILE", help="play this recording instead of asking a running bridge")
    parser.add_argument("--at", metavar="TIME", help="the moment in the recording: ISO 8601, or +90s after its start")
    parser.add_argument("--json", action="store_true", help="write the document (schemas/explain.schema.json)")
    parser.add_argument(
        "--timeout", type=duration, default=TIMEOUT_S, metavar="5s", help="how long to wait for the bridge's answer"
    )
    add_rule_choice(parser)
    add_flags(parser, "state", *BROKER_FLAGS)


def run(args: argparse.Namespace) -> int:
    """Explain an alert, or list alerts; an alert is no fault, so the exit code is 0.

    Raises:
        ConfigErrors: all mistakes of the rules or of the config.
        ConfigError: there is no such alert, site or moment, or the file is no recording.
        SinkError: the broker cannot be asked, or nobody answers.
    """
    _check(args)
    wanted = args.alert or ALL
    document = _from_recording(args, wanted) if args.recording else _from_bridge(args, wanted)
    if wanted == ALL and not args.all:
        document = {**document, "alerts": [one for one in document["alerts"] if _is_active(one)]}
    if args.json:
        print(json.dumps(document, ensure_ascii=False, indent=2))
        return 0
    width = shutil.get_terminal_size((_WIDTH, 24)).columns if sys.stdout.isatty() else _WIDTH
    print("\n".join(listed(document, args.all, width) if wanted == ALL else explained(document, width)))
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.at and not args.recording:
        raise ConfigError("a moment of the past needs --recording", key="--at")
    if (args.rules or args.pack) and not args.recording:
        key = "--rules" if args.rules else "--pack"
        raise ConfigError("a running bridge has its own rules; this is for --recording", key=key)
    if args.alert and args.all:
        raise ConfigError("it lists alerts; leave it or ALERT out", key="--all")


def _is_active(line: Mapping[str, Any]) -> bool:
    return line["phase"] in ("pending", "firing")


# -- a recording --------------------------------------------------------------------------------------------------


def _from_recording(args: argparse.Namespace, alert_id: str) -> dict[str, Any]:
    with open_recording(args, args.recording) as played:
        playback = Playback(played.parts, played.name, played.source, SilentSink())
        if playback.began_at == math.inf:
            raise ConfigError("the recording is empty", args.recording)
        until = _moment(args.at, playback.began_at) if args.at else math.inf
        playback.run(until)
        if playback.last_at < until < math.inf and played.source.next_due() == math.inf:
            raise ConfigError(f"the recording ends earlier, at {iso_time(playback.last_at)}", key="--at")
        try:
            return explain(playback.engine, alert_id, playback.now)
        except RuleError as error:
            raise ConfigError(str(error), key="ALERT") from None


def _moment(text: str, began_at: float) -> float:
    """Return the time that `--at` names."""
    try:
        if text.startswith("+"):
            seconds = text[1:]
            return began_at + (float(seconds) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", seconds) else duration_s(seconds))
        moment = datetime.fromisoformat(text)
        at = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ConfigError(
            f'"{text}" is no moment; write 2026-01-31T12:30:00Z, or +90s for 90 s after the start', key="--at"
        ) from None
    if at < began_at:
        raise ConfigError(f"the recording begins later, at {iso_time(began_at)}", key="--at")
    return at


# -- a running bridge ---------------------------------------------------------------------------------------------


def _from_bridge(args: argparse.Namespace, alert_id: str) -> dict[str, Any]:
    settings = settings_of(args)
    client_id = (
        f"{settings.broker.client_id or 'victron-bridge'}-explain"  # not the bridge's own: it would be thrown out
    )
    with BrokerSession(broker_options(settings.broker, client_id)) as session:
        site = args.chosen_site or _site(settings, session)
        return _asked(session, f"{settings.base_topic}/{site}", alert_id, args.timeout)


def _site(settings: Settings, session: BrokerSession) -> str:
    """Return the only site of the config, or the only one on the broker."""
    names = [site.name for site in settings.sites if site.name]
    if len(names) == 1 == len(settings.sites):
        return names[0]
    names = names or _sites(session, settings.base_topic)
    if len(names) == 1:
        return names[0]
    if not names:
        raise SinkError(
            f"The broker knows no site below {settings.base_topic}/: does the bridge run, with this broker?"
        )
    raise ConfigError(f"there are several sites; choose one of {', '.join(names)}", key="--site")


def _sites(session: BrokerSession, base: str) -> list[str]:
    found = session.collect([f"{base}/+/status"])
    return sorted(message.topic.split("/")[-2] for message in found if message.is_retained and message.payload)


def _asked(session: BrokerSession, root: str, alert_id: str, timeout_s: float) -> dict[str, Any]:
    transaction = f"explain-{os.getpid()}-{os.urandom(4).hex()}"
    request, reply = f"{root}/request/explain", f"{root}/response/explain"
    payload = json.dumps({"id": alert_id, "transaction": transaction})
    answer = session.ask(request, payload, reply, lambda text: _of(text).get("transaction") == transaction, timeout_s)
    if answer is None:
        raise SinkError(_nobody(session, root, reply, timeout_s))
    document = _of(answer)
    if document.get("status") != "ok":
        raise ConfigError(str(document.get("error")), key="ALERT")
    data: dict[str, Any] = document["data"]
    return data


def _of(payload: str) -> dict[str, Any]:
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _nobody(session: BrokerSession, root: str, reply: str, timeout_s: float) -> str:
    """Return why nobody answers, as far as the broker's retained messages tell."""
    base, _, site = root.rpartition("/")
    silence = f"No answer on {reply} in {timeout_s:g} s: "
    found = session.collect([f"{base}/bridge/+/status", f"{base}/+/status"])
    status = {message.topic: message.payload for message in found if message.payload}
    if "online" not in [payload for topic, payload in status.items() if topic.startswith(f"{base}/bridge/")]:
        return f"{silence}no bridge is online on this broker below {base}/"
    if f"{root}/status" in status:
        return f"{silence}is {site} the site of a bridge that runs, and may this user write {root}/request/explain?"
    others = ", ".join(sorted(topic.split("/")[-2] for topic in status if topic.count("/") == root.count("/") + 1))
    return f"{silence}the broker knows no site {site}" + (f"; there are {others}" if others else "")

"""`victron-bridge forget`: clear what a device, or a whole site, has left on the broker.

Laws: what goes is told before anything is cleared; what is online is not cleared by mistake; afterwards the broker is
asked again, since MQTT 3.1.1 acknowledges what it drops.
"""

from __future__ import annotations

import argparse
import re
import sys

from bridge.assemble import broker_options
from bridge.commands.arguments import BROKER_FLAGS, add_flags, settings_of
from bridge.commands.broker_session import BrokerSession, Retained
from bridge.commands.table import printable
from bridge.errors import ConfigError
from bridge.files.settings import Settings

EPILOG = """\
examples:
  victron-bridge forget home battery/512 --broker 192.168.1.2      a battery that was sold
  victron-bridge forget cabin --all-of-site --config bridge.yaml   a site that is no more

You are told what will go and asked first. A site that is online is refused, and so is a device that is online on such
a site: a running bridge would publish it again.
"""

_SITE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_DEVICE = re.compile(r"[a-z][a-z0-9_]{0,63}/[0-9]{1,10}")
_SHOWN = 10  # topics that are listed; a site has more than a thousand


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `forget`."""
    parser.epilog = EPILOG
    parser.add_argument("site_name", metavar="SITE", help="the site as it stands in the topics")
    parser.add_argument("device", metavar="CLASS/INSTANCE", nargs="?", help="the device, such as battery/512")
    parser.add_argument("--all-of-site", action="store_true", help="clear everything of the site")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--force", action="store_true", help="clear it even though it is online")
    add_flags(parser, "config", "state", *BROKER_FLAGS)


def run(args: argparse.Namespace) -> int:
    """Clear retained topics; return 1 when nothing was there, it was refused, or something is left.

    Raises:
        ConfigError: the arguments or the configuration are wrong.
        SinkError: the broker cannot be asked.
    """
    _check(args)
    settings = settings_of(args)
    with BrokerSession(broker_options(settings.broker, _client_id(settings))) as session:
        what = f"{args.site_name}/{args.device}" if args.device else args.site_name
        root = f"{settings.base_topic}/{args.site_name}"
        filters = _filters(root, args.device)
        found = _read(session, filters)
        if not found:
            print(f"victron-bridge: the broker keeps nothing of {what}", file=sys.stderr)
            return 1
        if not args.force and _is_online(session, root, args.device):
            print(f"victron-bridge: {what} is online; stop its bridge, or use --force", file=sys.stderr)
            return 1
        _list(found)
        if not args.yes and not _is_confirmed(len(found)):
            print("victron-bridge: nothing was cleared", file=sys.stderr)
            return 1
        return _clear(session, filters, found)


def _check(args: argparse.Namespace) -> None:
    if not _SITE.fullmatch(args.site_name):
        raise ConfigError(f'"{args.site_name}" is no name of a site', key="SITE")
    if args.device and not _DEVICE.fullmatch(args.device):
        raise ConfigError(
            f'"{args.device}" is no device; write class/instance, such as battery/512', key="CLASS/INSTANCE"
        )
    if bool(args.device) == args.all_of_site:
        raise ConfigError("give a device, or --all-of-site for everything", key="CLASS/INSTANCE")


def _client_id(settings: Settings) -> str:
    # Not the bridge's own id: that would throw a running bridge out.
    return f"{settings.broker.client_id or 'victron-bridge'}-forget"


def _filters(root: str, device: str | None) -> list[str]:
    """Return where a device's retained topics are: its points, its raw paths and its alerts."""
    if device is None:
        return [f"{root}/#"]
    return [f"{root}/{device}/#", f"{root}/raw/{device}/#", f"{root}/alerts/+/{device}"]


def _read(session: BrokerSession, filters: list[str]) -> list[Retained]:
    """Return what the broker keeps there, without what a running bridge publishes at this moment."""
    kept = {message.topic: message for message in session.collect(filters) if message.is_retained and message.payload}
    return [kept[topic] for topic in sorted(kept)]


def _is_online(session: BrokerSession, root: str, device: str | None) -> bool:
    """Tell whether the site is online, and the device: a device's status outlives its bridge, the site's does not."""
    topics = [f"{root}/status", *([f"{root}/{device}/status"] if device else [])]
    online = {message.topic for message in _read(session, topics) if message.payload == "online"}
    return online == set(topics)


def _list(found: list[Retained]) -> None:
    for message in found[:_SHOWN]:
        print(f"{printable(message.topic, 120)}  {printable(message.payload)}")
    if len(found) > _SHOWN:
        print(f"... and {len(found) - _SHOWN} more")


def _is_confirmed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError("nobody can be asked here; use --yes", key="--yes")
    answer = input(f"Clear these {count} topics? [y/N] ")
    return answer.strip().lower() in ("y", "yes")


def _clear(session: BrokerSession, filters: list[str], found: list[Retained]) -> int:
    topics = [message.topic for message in found]
    refused = session.clear(topics)
    left = {message.topic for message in _read(session, filters)} & set(topics)
    print(f"cleared {len(topics) - len(left)} of {len(topics)} topics")
    if not left:
        return 0
    reason = next(iter(refused.values()), "the user may not write there, or a running bridge has published them again")
    print(f"victron-bridge: {len(left)} are still there: {reason}", file=sys.stderr)
    return 1

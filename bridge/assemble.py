"""Settings -> the parts of a bridge. The one place that knows how configuration and parts fit together.

`run`, `replay` and the benchmarks build their engines here, so a rule means the same in all of them.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.clock import SteadyClock
from bridge.core.catalogue import Catalogue
from bridge.core.normalize import Intervals, Normalizer
from bridge.core.profile import profile_of
from bridge.core.rules import Pack, Program, compile_packs
from bridge.core.topics import BridgeTopics, Format
from bridge.errors import ConfigErrors
from bridge.files.compiled import Compiled
from bridge.files.settings_records import Broker, Settings, Site
from bridge.files.state import StateStore, client_id
from bridge.model import Message, Tier
from bridge.sinks.mqtt import BrokerOptions, MqttSink
from bridge.sinks.tls import TlsOptions
from bridge.site import SiteParts
from bridge.sources.base import Source
from bridge.sources.dbus_http import DbusHttpSource, Options
from bridge.sources.http import open_transport
from bridge.supervisor import BridgeParts


def poll_intervals(site: Site, points_s: Mapping[str, float]) -> Intervals:
    """Return how often the points of a site are read; `points_s` are intervals of its extra documents."""
    configured = site.intervals
    tiers = {Tier(name): every_s for name, every_s in configured.tiers_s.items()}
    return Intervals(tiers, configured.classes_s, {**points_s, **configured.points_s})


class Assembly:
    """Builds the parts of all sites and shares what is equal: a hundred sites need one catalogue and one program.

    It lives as long as the sites: when a GX tells other facts of its site, the program is made anew. What it needs for
    that are the packed documents, which the catalogue keeps anyway.
    """

    def __init__(self, settings: Settings, compiled: Compiled, clock: SteadyClock) -> None:
        self._settings = settings
        self._compiled = compiled
        self._clock = clock
        self._catalogues: dict[tuple[str, ...], Catalogue] = {}
        self._programs: dict[str, Program] = {}
        self._used: dict[str, str] = {}  # GX -> key of its program
        self._lock = threading.Lock()  # sites make their programs anew in their own threads

    def catalogue(self, site: Site) -> Catalogue:
        if site.extra not in self._catalogues:
            self._catalogues[site.extra] = Catalogue(self._compiled.documents_of(site))
        return self._catalogues[site.extra]

    def program(self, site: Site, told: Mapping[str, Any] | None = None) -> Program:
        """Return the rules of a site.

        Args:
            site: whose.
            told: what its GX told of its profile before.

        Raises:
            ConfigErrors: all mistakes of all its packs.
        """
        told = told or {}
        with self._lock:
            facts = profile_of(site.profile, told)
            key = repr((site.rules, sorted(facts.items()), sorted(site.profile), site.extra, site.inputs))
            if key not in self._programs:
                self._programs[key] = self._compile(site, told)
            self._used[site.gx] = key
            used = set(self._used.values())
            self._programs = {one: program for one, program in self._programs.items() if one in used}
            return self._programs[key]

    def _compile(self, site: Site, told: Mapping[str, Any]) -> Program:
        packs = [Pack(pack.file, pack.data, pack.marks) for pack in self._compiled.packs_of(site)]
        rules, inputs = site.rules, [one.known for one in site.inputs]
        # A catalogue of its own: what rules name of classes that the site does not have need not stay in memory.
        catalogue = Catalogue(self._compiled.documents_of(site))
        return compile_packs(packs, catalogue, rules.params, site.profile, rules.disable, inputs, told)

    def site(self, site: Site) -> SiteParts:
        """Return what a site is made of.

        Raises:
            ConfigErrors: all mistakes of its rules.
        """

        def open_source(plan: Normalizer) -> Source:
            return DbusHttpSource(open_transport(site.gx), plan, self._clock.now, Options(timeout_s=site.timeout_s))

        return SiteParts(
            name=site.name,
            gx=without_login(site.gx),
            base_topic=self._settings.base_topic,
            catalogue=self.catalogue(site),
            intervals=poll_intervals(site, self._compiled.intervals_of(site)),
            program=self.program(site),
            format=Format(site.publish.format == "json", site.publish.refresh_s, site.publish.deadband),
            publish_raw=site.publish.is_raw,
            forget_after_s=site.publish.forget_after_s,
            open_source=open_source,
            inputs=site.inputs,
            maintenance=site.maintenance,
            time_zone=site.time_zone,
            reprogram=lambda told: self.program(site, told),
        )


TOPICS_PER_SITE = 10_000  # a large GX has about 3,000; beyond this something invents names


def broker_options(broker: Broker, name: str, sites: int = 1) -> BrokerOptions:
    """Return the broker as the MQTT sink wants it; `name` is the client id."""
    trust = broker.tls
    tls = TlsOptions(trust.ca, trust.cert, trust.key, trust.is_insecure) if trust else None
    return BrokerOptions(
        host=broker.host,
        client_id=name,
        port=broker.port,
        username=broker.username,
        password=broker.password.reveal(),
        tls=tls,
        protocol=broker.protocol,
        keepalive_s=broker.keepalive_s,
        max_topics=TOPICS_PER_SITE * sites,
    )


def bridge_parts(settings: Settings, compiled: Compiled, clock: SteadyClock) -> BridgeParts:
    """Return what the process is made of.

    Raises:
        ConfigErrors: all mistakes of the rules of all sites.
    """
    assembly = Assembly(settings, compiled, clock)
    sites, errors = [], []
    for site in settings.sites:
        try:
            sites.append(assembly.site(site))
        except ConfigErrors as found:
            errors += found.errors
    if errors:
        raise ConfigErrors(list({str(error): error for error in errors}.values()))
    name = settings.broker.client_id or client_id(settings.state_directory)
    options = broker_options(settings.broker, name, len(sites))

    def open_sink(
        will: Message,
        births: Callable[[], Sequence[Message]],
        now: Callable[[], float],
        settled: Callable[[Message], None],
    ) -> MqttSink:
        return MqttSink(options, will, births, now, settled)

    return BridgeParts(
        sites=sites,
        topics=BridgeTopics(settings.base_topic, name),
        info={"config_hash": config_hash(settings)},
        open_store=lambda name: StateStore(settings.state_directory, name=name),
        open_sink=open_sink,
    )


def config_hash(settings: Settings) -> str:
    """Return a short fingerprint of the settings without their secrets: did two bridges start with the same?"""
    text = json.dumps(settings, default=lambda value: sorted(value) if isinstance(value, frozenset) else repr(value))
    return f"{zlib.crc32(text.encode()):08x}"


def without_login(url: str) -> str:
    """Return a URL without the user name and password it may hold, for logs and documents."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"

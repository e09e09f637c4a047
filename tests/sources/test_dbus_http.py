"""The polling source: politeness, breakers and verdicts, on a scripted GX and a clock that only the test moves."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from bridge.errors import Garbled, Unreachable
from bridge.sources.dbus_http import DbusHttpSource, Options
from bridge.sources.http import Answer

SYSTEM = "com.victronenergy.system"
BATTERY = "com.victronenergy.battery.ttyO1"
ACSYSTEM = "com.victronenergy.acsystem.rs"


class Gx:
    """A transport that answers from a dict and notes every request; it is also the clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.took_s = 0.01
        self.roots: dict[str, dict | list] = {SYSTEM: {"Serial": "c0ffee"}, BATTERY: {"Soc": 80.0}}
        self.leafs: dict[tuple[str, str], object] = {}
        self.failures: dict[str, Exception | Answer] = {}
        self.delays: dict[str, float] = {}  # what takes longer than `took_s`
        self.requests: list[tuple[float, str, float]] = []

    def get(self, target: str, timeout_s: float) -> Answer:
        query = {key: values[0] for key, values in parse_qs(urlsplit(target).query).items()}
        what = query.get("service", "/services") + query.get("path", "")
        self.requests.append((self.now, what, timeout_s))
        failure = self.failures.get(what, self.failures.get("*"))
        if isinstance(failure, Unreachable) and failure.timed_out:
            self.now += timeout_s
        else:
            self.now += self.delays.get(what, self.took_s)
        if isinstance(failure, Answer):
            return failure
        if failure is not None:
            raise failure
        return self._answer(query)

    def _answer(self, query: dict[str, str]) -> Answer:
        if not query:
            return answer({"services": sorted(self.roots), "count": len(self.roots), "success": True})
        service, path = query["service"], query["path"]
        value = self.roots.get(service) if path == "/" else self.leafs.get((service, path))
        if value is None:
            return answer({"service": service, "path": path, "value": None, "success": False}, 404)
        return answer({"service": service, "path": path, "value": value, "success": True})

    def abort(self) -> None:
        self.failures["*"] = Unreachable("stopped")


class Plan:
    """Ten seconds for everything; three leafs for what cannot be listed."""

    def interval(self, service: str, paths: object) -> float:
        return 10.0

    def leafs(self, service: str) -> list[tuple[str, float]]:
        return [("DeviceInstance", 3600.0), ("Soc", 10.0), ("Mode", 60.0)]


def answer(document: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(document).encode(), "")


@pytest.fixture
def gx() -> Gx:
    return Gx()


@pytest.fixture
def source(gx: Gx) -> DbusHttpSource:
    return DbusHttpSource(gx, Plan(), lambda: gx.now, Options())


def run(source: DbusHttpSource, gx: Gx, until_s: float) -> list:
    """Poll whenever something is due; return what every poll found."""
    end = gx.now + until_s
    polls = []
    while (due := source.next_due()) <= end:
        gx.now = max(gx.now, due)
        polls.append(source.poll(gx.now))
    gx.now = end
    return polls


def times_of(gx: Gx, wanted: str) -> list[float]:
    """Return when `wanted` (a service and a path; a service alone: anything of it) was asked."""
    return [at for at, what, _ in gx.requests if what == wanted or ("/" not in wanted and what.startswith(wanted))]


def leaf_mode(gx: Gx, **values: object) -> None:
    """Add a service that cannot be listed, with these leafs."""
    gx.roots[ACSYSTEM] = []
    gx.leafs.update({(ACSYSTEM, f"/{path}"): value for path, value in values.items()})


def pages(polls: list) -> list:
    return [page for poll in polls for page in poll.pages]


def test_startup_reads_the_list_and_every_service_once(gx: Gx, source: DbusHttpSource) -> None:
    """Within the first second the list of services and every root have been read."""
    polls = run(source, gx, 1.0)
    assert polls[0].services == frozenset(gx.roots)
    assert {page.service for page in pages(polls)} == set(gx.roots)
    assert source.is_online(gx.now) is True


def test_one_cycle_is_spread_and_never_a_burst(gx: Gx, source: DbusHttpSource) -> None:
    """After start-up, ten services of one interval are read at ten moments at least 0.3 s apart."""
    gx.roots.update({f"com.victronenergy.battery.can{n}": {"Soc": 1.0} for n in range(8)})
    run(source, gx, 5.0)
    run(source, gx, 10.0)
    gx.requests.clear()
    run(source, gx, 10.0)
    times = [at for at, what, _ in gx.requests if what != "/services"]
    assert len(times) == 10
    assert min(b - a for a, b in zip(times, times[1:])) > 0.3


def test_each_service_is_read_at_its_interval(gx: Gx, source: DbusHttpSource) -> None:
    """Over ten minutes a ten second service is read sixty times, give or take one."""
    run(source, gx, 600.0)
    reads = sum(what == f"{BATTERY}/" for _, what, _ in gx.requests)
    assert 59 <= reads <= 62


def test_a_busy_gx_gets_as_much_rest_as_the_answer_took(gx: Gx, source: DbusHttpSource) -> None:
    """When each answer takes 2 s, requests start at least 4 s apart."""
    gx.took_s = 2.0
    run(source, gx, 120.0)
    times = [at for at, _, _ in gx.requests]
    assert min(b - a for a, b in zip(times, times[1:])) >= 4.0 - 1e-6


def test_a_late_source_does_not_catch_up_in_a_burst(gx: Gx, source: DbusHttpSource) -> None:
    """After the process slept for ten minutes every service is read once, not sixty times."""
    run(source, gx, 30.0)
    gx.now += 600.0
    gx.requests.clear()
    run(source, gx, 5.0)
    assert sum(what == f"{BATTERY}/" for _, what, _ in gx.requests) <= 2


def test_timeout_rests_the_service_and_only_a_patient_probe_follows(gx: Gx, source: DbusHttpSource) -> None:
    """A hung service is not asked again for a minute, and the next request is /services with a long timeout."""
    run(source, gx, 20.0)
    gx.failures[f"{BATTERY}/"] = Unreachable("silent", timed_out=True)
    gx.requests.clear()
    run(source, gx, 55.0)
    whats = [what for _, what, _ in gx.requests]
    hang = whats.index(f"{BATTERY}/")
    assert whats[hang + 1] == "/services"
    assert gx.requests[hang + 1][2] == Options().probe_timeout_s
    hung_at = gx.requests[hang][0]
    assert [at for at, what, _ in gx.requests if what == f"{BATTERY}/" and hung_at < at < hung_at + 60] == []
    assert f"{SYSTEM}/" in whats[hang + 2 :], "the other services go on"


def test_a_service_that_keeps_hanging_rests_longer_and_longer(gx: Gx, source: DbusHttpSource) -> None:
    """In an hour a service that always hangs costs the GX fewer than nine requests."""
    run(source, gx, 20.0)
    gx.failures[f"{BATTERY}/"] = Unreachable("silent", timed_out=True)
    gx.requests.clear()
    run(source, gx, 3600.0)
    assert 3 <= sum(what == f"{BATTERY}/" for _, what, _ in gx.requests) <= 8


def test_nothing_listening_is_probed_with_growing_pauses(gx: Gx, source: DbusHttpSource) -> None:
    """While connections are refused only /services is tried, at most every 30 s in the end."""
    run(source, gx, 20.0)
    gx.failures["*"] = Unreachable("refused")
    gx.requests.clear()
    run(source, gx, 600.0)
    probes = [at for at, what, _ in gx.requests][1:]
    assert {what for _, what, _ in gx.requests[1:]} == {"/services"}
    assert len(probes) < 40
    assert 20 < probes[-1] - probes[-2] < 40


@pytest.mark.parametrize(
    ("failure", "before_s", "after_s"),
    [
        (Unreachable("refused"), 25.0, 40.0),
        (Unreachable("silent", timed_out=True), 80.0, 110.0),
        (Garbled("not JSON"), 80.0, 110.0),
    ],
)
def test_offline_is_said_only_after_a_long_silence(
    gx: Gx, source: DbusHttpSource, failure: Exception, before_s: float, after_s: float
) -> None:
    """Refused connections count as offline after 30 s, silence and garbage after 90 s: a hang of 50 s is no outage."""
    run(source, gx, 20.0)
    gx.failures["*"] = failure
    start = gx.now
    run(source, gx, before_s)
    assert source.is_online(start + before_s) is True
    run(source, gx, max(0.0, start + after_s - gx.now))
    assert source.is_online(start + after_s) is False
    del gx.failures["*"]
    run(source, gx, 100.0)
    assert source.is_online(gx.now) is True


def test_a_gx_that_was_never_reached_is_offline_after_three_attempts(gx: Gx, source: DbusHttpSource) -> None:
    """At start nothing is claimed until three attempts failed."""
    gx.failures["*"] = Unreachable("refused")
    for expected in (None, None, False):
        gx.now = max(gx.now, source.next_due())
        source.poll(gx.now)
        assert source.is_online(gx.now) is expected


def test_an_empty_list_of_services_keeps_the_last_one(gx: Gx, source: DbusHttpSource) -> None:
    """Count 0 means that D-Bus is down: no list is reported and the known services are still asked."""
    run(source, gx, 20.0)
    gx.failures["/services"] = answer({"services": [], "count": 0, "success": True})
    gx.requests.clear()
    polls = run(source, gx, 30.0)
    assert all(poll.services is None for poll in polls)
    assert any(what == f"{BATTERY}/" for _, what, _ in gx.requests)


def test_a_404_makes_the_list_due_soon(gx: Gx, source: DbusHttpSource) -> None:
    """A service that vanished is noticed within 3 s by a fresh list, and then no longer asked."""
    run(source, gx, 20.0)
    del gx.roots[BATTERY]
    gx.requests.clear()
    run(source, gx, 60.0)
    gone = next(index for index, (_, what, _) in enumerate(gx.requests) if what in (f"{BATTERY}/", "/services"))
    first_404 = gx.requests[gone][0]
    assert any(what == "/services" and at - first_404 < 3.0 for at, what, _ in gx.requests[gone:])
    assert sum(what == f"{BATTERY}/" for _, what, _ in gx.requests) <= 1


def test_a_root_that_cannot_be_listed_is_asked_leaf_by_leaf(gx: Gx, source: DbusHttpSource) -> None:
    """A root of [] falls back to the known leafs, identity first; one that is not there is asked ever more rarely."""
    gx.roots[ACSYSTEM] = []
    gx.leafs[ACSYSTEM, "/DeviceInstance"] = 3
    gx.leafs[ACSYSTEM, "/Soc"] = 55
    polls = run(source, gx, 400.0)
    found = [page for page in pages(polls) if page.service == ACSYSTEM]
    assert found[0].values == {"DeviceInstance": 3}
    assert {"Soc": 55} in [page.values for page in found]
    assert not any(page.is_root for page in found)
    asked = times_of(gx, f"{ACSYSTEM}/Mode")
    assert [round(later - earlier) for earlier, later in zip(asked, asked[1:])] == [60, 120]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502</html>",
        b'{"service": "x"',
        b"[" * 100_000,
        b'{"success": true, "value": {}, "service": "other", "path": "/"}',
        b'{"success": true, "service": "' + BATTERY.encode() + b'", "path": "/", "value": "text"}',
        b'{"success": "yes"}',
        b"\xff\xfe\x00",
        b"null",
    ],
)
def test_garbage_costs_a_counter_and_a_short_pause(gx: Gx, source: DbusHttpSource, body: bytes) -> None:
    """Whatever the body is, nothing is raised, no page is made, and the service is asked again a little later."""
    run(source, gx, 20.0)
    gx.failures[f"{BATTERY}/"] = Answer(200, body, "")
    polls = run(source, gx, 12.0)
    assert not any(page.service == BATTERY for page in pages(polls))
    assert source.health()["garbled"] > 0
    del gx.failures[f"{BATTERY}/"]
    assert any(page.service == BATTERY for page in pages(run(source, gx, 12.0)))


def test_nan_and_infinity_are_read(gx: Gx, source: DbusHttpSource) -> None:
    """The server writes NaN and Infinity, which is not JSON; the page still arrives."""
    body = b'{"service": "%s", "path": "/", "value": {"Soc": NaN, "Max": Infinity}, "success": true}' % BATTERY.encode()
    gx.failures[f"{BATTERY}/"] = Answer(200, body, "")
    assert any("Max" in page.values for page in pages(run(source, gx, 5.0)))


def test_refresh_makes_everything_due_but_a_resting_service(gx: Gx, source: DbusHttpSource) -> None:
    """A refresh reads all services within a second, except the one that hangs."""
    run(source, gx, 20.0)
    gx.failures[f"{BATTERY}/"] = Unreachable("silent", timed_out=True)
    run(source, gx, 30.0)
    gx.requests.clear()
    source.refresh()
    run(source, gx, 1.0)
    assert {what for _, what, _ in gx.requests} == {"/services", f"{SYSTEM}/"}


def test_identify_gives_the_serial_or_waits(gx: Gx, source: DbusHttpSource) -> None:
    """The serial names the site; while it cannot be read the next attempt is planned with a pause."""
    gx.failures["*"] = Unreachable("refused")
    assert source.identify(gx.now) is None
    assert gx.now < source.next_due() < gx.now + 5
    del gx.failures["*"]
    gx.leafs[SYSTEM, "/Serial"] = "c0ffee"
    assert source.identify(gx.now) == "c0ffee"
    assert source.next_due() <= gx.now + 1


def test_only_a_fault_that_lasts_is_news_and_so_is_its_end(gx: Gx, source: DbusHttpSource) -> None:
    """One bad answer is no line in the log; three in a row are one line, and the recovery is another."""
    run(source, gx, 20.0)
    gx.failures[f"{BATTERY}/"] = Answer(200, b"<html>", "")
    assert [poll.news for poll in run(source, gx, 11.0) if poll.error and poll.news] == []
    del gx.failures[f"{BATTERY}/"]
    run(source, gx, 60.0)
    gx.failures["*"] = Unreachable("refused")
    assert [poll.news for poll in run(source, gx, 300.0) if poll.news] == ["refused"]
    del gx.failures["*"]
    assert [poll.news for poll in run(source, gx, 60.0) if poll.news] == ["the GX answers again"]


def test_a_service_that_stays_silent_is_named_once(gx: Gx, source: DbusHttpSource) -> None:
    """A service that answers 404 again and again is told once, while the others go on."""
    run(source, gx, 20.0)
    gx.failures[f"{BATTERY}/"] = answer({"success": False}, 404)
    news = [poll.news for poll in run(source, gx, 600.0) if poll.news]
    assert len(news) == 1
    assert BATTERY in news[0]


# -- services that hang -------------------------------------------------------------------------------------------


def test_one_hung_leaf_rests_the_whole_service(gx: Gx, source: DbusHttpSource) -> None:
    """A service of 131 leafs that hangs costs an hour fewer than nine requests, not one per leaf."""
    leafs = [("DeviceInstance", 3600.0), *((f"L{n}", 10.0) for n in range(130))]
    source._plan.leafs = lambda service: leafs  # type: ignore[method-assign]
    leaf_mode(gx, **{path: 1 for path, _ in leafs})
    run(source, gx, 60.0)
    assert len(times_of(gx, ACSYSTEM)) > 131
    for path in ("", *(path for path, _ in leafs)):
        gx.failures[f"{ACSYSTEM}/{path}"] = Unreachable("silent", timed_out=True)
    gx.requests.clear()
    run(source, gx, 3600.0)
    asked = times_of(gx, ACSYSTEM)
    assert 3 <= len(asked) <= 8
    assert all(b - a >= pause for a, b, pause in zip(asked, asked[1:], (60.0, 120.0, 240.0, 480.0, 900.0)))
    gx.failures.clear()
    run(source, gx, 1000.0)
    assert source.health()["services_resting"] == 0


@pytest.mark.parametrize("failure", [answer({"success": False}, 404), None])
def test_an_answer_after_50_s_is_a_hang(gx: Gx, failure: Answer | None) -> None:
    """With a patient time-out a frozen service answers 404 after 50 s, or even well: it rests all the same."""
    source = DbusHttpSource(gx, Plan(), lambda: gx.now, Options(timeout_s=60.0))
    leaf_mode(gx, DeviceInstance=0, Soc=5, Mode=1)
    run(source, gx, 20.0)
    gx.delays[f"{ACSYSTEM}/Soc"] = 50.0
    if failure:
        gx.failures[f"{ACSYSTEM}/Soc"] = failure
    gx.requests.clear()
    run(source, gx, 400.0)
    hung_at = times_of(gx, f"{ACSYSTEM}/Soc")[0] + 50.0
    assert not [at for at in times_of(gx, ACSYSTEM) if hung_at - 50.0 < at < hung_at + 60.0]


# -- leafs --------------------------------------------------------------------------------------------------------


def test_one_404_of_a_leaf_is_forgotten(gx: Gx, source: DbusHttpSource) -> None:
    """A leaf that answers again is read at its own interval, which its pages tell, and the services are listed soon."""
    leaf_mode(gx, DeviceInstance=0, Mode=1)
    run(source, gx, 6.0)
    gx.leafs[ACSYSTEM, "/Soc"] = 55
    gx.requests.clear()
    polls = run(source, gx, 60.0)
    assert len(times_of(gx, f"{ACSYSTEM}/Soc")) >= 5
    assert {page.every_s for page in pages(polls) if "Soc" in page.values} == {10.0}
    gx.leafs[ACSYSTEM, "/Soc"] = None
    gx.requests.clear()
    run(source, gx, 13.0)
    refused_at = times_of(gx, f"{ACSYSTEM}/Soc")[0]
    assert any(refused_at < at < refused_at + 3.0 for at in times_of(gx, "/services"))


def test_a_missing_identity_is_said_after_three_404s_and_leafs_wait_for_it(gx: Gx, source: DbusHttpSource) -> None:
    """Until it is known whose values they are, no other leaf is asked; one bad moment is not "it has none"."""
    leaf_mode(gx, Soc=55, Mode=1)
    polls = run(source, gx, 60.0)
    found = [page.values for page in pages(polls) if page.service == ACSYSTEM]
    assert found[0] == {"DeviceInstance": []}
    assert {"Soc": 55} in found
    whats = [what for _, what, _ in gx.requests if what.startswith(ACSYSTEM)]
    assert whats[:4] == [f"{ACSYSTEM}/", *[f"{ACSYSTEM}/DeviceInstance"] * 3]


def test_an_identity_after_one_404_is_the_first_thing_told(gx: Gx, source: DbusHttpSource) -> None:
    """A service that was not ready yet gets its own instance."""
    leaf_mode(gx, Soc=55)
    run(source, gx, 1.0)
    gx.leafs[ACSYSTEM, "/DeviceInstance"] = 3
    found = [page.values for page in pages(run(source, gx, 30.0)) if page.service == ACSYSTEM]
    assert found[0] == {"DeviceInstance": 3}


def test_a_dead_bus_does_not_say_that_there_is_no_identity(gx: Gx, source: DbusHttpSource) -> None:
    """While the services cannot be listed a 404 of the identity proves nothing, however often it comes."""
    leaf_mode(gx, Soc=55)
    gx.requests.clear()
    run(source, gx, 0.03)
    gx.failures["/services"] = answer({"services": [], "count": 0, "success": True})
    polls = run(source, gx, 300.0)
    assert len(times_of(gx, f"{ACSYSTEM}/DeviceInstance")) > 3
    assert not [page for page in pages(polls) if page.service == ACSYSTEM]


def test_after_a_dead_bus_everything_is_asked_at_once(gx: Gx, source: DbusHttpSource) -> None:
    """An hour of 404 from a dead bus does not keep roots and leafs waiting once the services are listed again."""
    leaf_mode(gx, DeviceInstance=3, Soc=55, Mode=1)
    run(source, gx, 20.0)
    gx.failures["/services"] = answer({"services": [], "count": 0, "success": True})
    for what in (f"{SYSTEM}/", f"{BATTERY}/", *(f"{ACSYSTEM}/{path}" for path in ("", "Soc", "Mode"))):
        gx.failures[what] = answer({"success": False}, 404)
    run(source, gx, 3600.0)
    gx.failures.clear()
    found = pages(run(source, gx, 35.0))
    assert {page.service for page in found} == {SYSTEM, BATTERY, ACSYSTEM}
    assert {path for page in found if page.service == ACSYSTEM for path in page.values} == {"Soc", "Mode"}


def test_a_root_that_lists_again_ends_the_leaf_mode(gx: Gx, source: DbusHttpSource) -> None:
    """A root that was [] for a moment is asked again after 5 minutes, and then no leaf any more."""
    leaf_mode(gx, DeviceInstance=3, Soc=55, Mode=1)
    run(source, gx, 100.0)
    gx.roots[ACSYSTEM] = {"DeviceInstance": 3, "Soc": 56}
    polls = run(source, gx, 250.0)
    assert any(page.is_root for page in pages(polls) if page.service == ACSYSTEM)
    gx.requests.clear()
    run(source, gx, 60.0)
    assert {what for _, what, _ in gx.requests if what.startswith(ACSYSTEM)} == {f"{ACSYSTEM}/"}


# -- verdicts -----------------------------------------------------------------------------------------------------


def test_offline_holds_until_a_good_read(gx: Gx, source: DbusHttpSource) -> None:
    """A refused connection after a silence, or the other way round, does not make a GX online that was offline."""
    run(source, gx, 20.0)
    gx.failures["*"] = Unreachable("refused")
    run(source, gx, 50.0)
    assert source.is_online(gx.now) is False
    gx.failures["*"] = Garbled("not JSON")
    for _ in range(30):
        run(source, gx, 1.0)
        assert source.is_online(gx.now) is False
    gx.failures.clear()
    run(source, gx, 100.0)
    assert source.is_online(gx.now) is True


def test_a_refusal_after_a_hang_is_no_outage_yet(gx: Gx, source: DbusHttpSource) -> None:
    """Refusals count from the first of them: a restart that follows a hang of 50 s is not "offline"."""
    run(source, gx, 20.0)
    gx.failures["*"] = Unreachable("silent", timed_out=True)
    run(source, gx, 50.0)
    gx.failures["*"] = Unreachable("refused")
    while source.health()["unreachable"] == 0:
        gx.now = max(gx.now, source.next_due())
        source.poll(gx.now)
    assert source.is_online(gx.now + 1.0) is True


def test_refusals_that_a_sign_of_life_interrupts_start_again(gx: Gx, source: DbusHttpSource) -> None:
    """Garbage between two refusals shows that something listens: 30 s are counted anew."""
    run(source, gx, 20.0)
    start = gx.now
    for failure in (Unreachable("refused"), Garbled("not JSON"), Unreachable("refused")):
        gx.failures["*"] = failure
        run(source, gx, 22.0)
        assert source.is_online(gx.now) is True
    assert gx.now - start < Options().silent_offline_s


# -- pace ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", ["outage", "refresh"])
def test_the_spread_comes_back(gx: Gx, source: DbusHttpSource, cause: str) -> None:
    """One round after everything became due at once, requests are at least 0.3 s apart again."""
    gx.roots.update({f"com.victronenergy.battery.can{n}": {"Soc": 1.0} for n in range(8)})
    run(source, gx, 30.0)
    if cause == "refresh":
        source.refresh()
    else:
        gx.failures["*"] = Unreachable("refused")
        run(source, gx, 100.0)
        gx.failures.clear()
        run(source, gx, 40.0)
    run(source, gx, 11.0)
    gx.requests.clear()
    run(source, gx, 10.0)
    times = [at for at, what, _ in gx.requests if what != "/services"]
    assert len(times) == 10
    assert min(b - a for a, b in zip(times, times[1:])) > 0.3


def test_the_interval_of_a_page_follows_a_slow_gx(gx: Gx, source: DbusHttpSource) -> None:
    """Twenty services at 1 s per answer cannot be read every 10 s: pages say so, and nothing looks stale."""
    gx.roots.update({f"com.victronenergy.battery.can{n}": {"Soc": 1.0} for n in range(18)})
    gx.took_s = 1.0
    run(source, gx, 300.0)
    found = [page for page in pages(run(source, gx, 300.0)) if page.service == BATTERY]
    gaps = [b.at - a.at for a, b in zip(found, found[1:])]
    assert min(gaps) > 30.0
    assert all(gap < 1.5 * page.every_s for gap, page in zip(gaps, found))
    gx.took_s = 0.01
    run(source, gx, 100.0)
    assert {page.every_s for page in pages(run(source, gx, 60.0)) if page.service == BATTERY} == {10.0}


# -- what a GX must not do to us ----------------------------------------------------------------------------------


def test_a_root_of_too_many_leafs_is_garbage(gx: Gx, source: DbusHttpSource) -> None:
    """More than 20,000 leafs are refused and counted; three times are a line in the log."""
    gx.roots[BATTERY] = {f"P{n}": 1 for n in range(20_001)}
    polls = run(source, gx, 15.0)
    assert not any(page.service == BATTERY for page in pages(polls))
    assert source.health()["garbled"] >= 3
    assert any("20001 leafs" in poll.news for poll in polls)


def test_names_that_no_service_has_are_ignored(gx: Gx, source: DbusHttpSource) -> None:
    """A name with a line break or a control character never gets into a question, a log or a topic."""
    odd = ["com.victronenergy.x\nERROR forged", "com.victronenergy.\x1b[2J", "com.victronenergy.a b"]
    gx.roots.update(dict.fromkeys(odd, {"Soc": 1}))
    polls = run(source, gx, 5.0)
    assert polls[0].services == {SYSTEM, BATTERY}
    assert source.health()["names_ignored"] == 3


@pytest.mark.parametrize("serial", [[], "", 7, "a/b", "x" * 100, "a\nb"])
def test_without_a_serial_the_pause_grows(gx: Gx, source: DbusHttpSource, serial: object) -> None:
    """A GX that answers but tells no usable serial is asked ever more rarely, at last every 30 s."""
    gx.leafs[SYSTEM, "/Serial"] = serial
    pauses = []
    for _ in range(8):
        assert source.identify(gx.now) is None
        pauses.append(source.next_due() - gx.now)
        gx.now = source.next_due()
    assert pauses[0] < 2.0
    assert 25.0 < pauses[-1] <= 31.0


def test_a_service_that_refuses_its_first_read_is_not_lost_for_an_hour(gx: Gx) -> None:
    """Nothing is known yet of what a new service holds: a 404 on its first read is tried again within half a minute."""
    plan = Plan()
    plan.interval = lambda service, paths: 10.0 if paths else 3600.0  # type: ignore[method-assign]
    source = DbusHttpSource(gx, plan, lambda: gx.now, Options())
    gx.failures[f"{BATTERY}/"] = answer({"success": False}, 404)
    run(source, gx, 3.0)
    del gx.failures[f"{BATTERY}/"]
    assert any(page.service == BATTERY for page in pages(run(source, gx, 30.0)))

"""Is what goes over the wire what a real GX sends? Raw sockets, no HTTP library that would smooth it over."""

from __future__ import annotations

import json
import socket
import socketserver
import time
from collections.abc import Iterator

import pytest

from bridge.commands.simulate import EPILOG
from bridge.simulator.control import KEYS
from bridge.simulator.simulator import Simulator
from tests.simulator.client import (
    BATTERY,
    SETTINGS,
    SWITCH,
    SYSTEM,
    VEBUS,
    eventually,
    exchange,
    get,
    post,
    request,
    running,
)


@pytest.fixture(scope="module")
def gx() -> Iterator[tuple[Simulator, int]]:
    with running("ess", seed=1) as both:
        yield both


def test_answers_are_http_1_0_without_length_closed_after_one(gx: tuple[Simulator, int]) -> None:
    """Whatever the client says: HTTP/1.0, six headers in their order, no Content-Length, end of connection."""
    reply = request(gx[1], "GET /health")
    assert reply.status_line == "HTTP/1.0 200 OK"
    assert [name for name, _ in reply.headers] == [
        "Server",
        "Date",
        "Content-type",
        "Access-Control-Allow-Origin",
        "Access-Control-Allow-Methods",
        "Access-Control-Allow-Headers",
    ]
    assert reply.header("Content-type") == "application/json"
    assert (reply.header("Server") or "").startswith("BaseHTTP/0.6 Python/")


def test_a_pipelined_second_request_is_lost(gx: tuple[Simulator, int]) -> None:
    """Keep-alive and pipelining are ignored."""
    raw = exchange(gx[1], b"GET /health HTTP/1.1\r\n\r\nGET /services HTTP/1.1\r\n\r\n")
    assert raw.count(b"HTTP/1.0") == 1


def test_headers_and_body_leave_in_two_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """First all headers, then all of the body."""
    writes: list[bytes] = []
    write = socketserver._SocketWriter.write  # type: ignore[attr-defined]

    def spy(writer: object, data: bytes) -> int:
        writes.append(bytes(data))
        return int(write(writer, data))

    monkeypatch.setattr("socketserver._SocketWriter.write", spy)
    with running("dc-only") as (_, port):
        reply = request(port, "GET /services")
    assert [data.endswith(b"\r\n\r\n") for data in writes] == [True, False]
    assert writes[1] == reply.body


def test_json_is_indented_ascii_without_a_newline(gx: tuple[Simulator, int]) -> None:
    """indent=2, escapes for what is not ASCII, nothing after the last brace, floats with a point."""
    reply = get(gx[1], "com.victronenergy.temperature.adc_builtin0_6", "/CustomName")
    assert reply.document["value"] == "Бойлер"
    assert b"\\u0411" in reply.body
    assert reply.body == json.dumps(reply.document, indent=2).encode()
    assert b'"value": 56.0' in get(gx[1], BATTERY, "/Info/MaxChargeVoltage").body


@pytest.mark.parametrize(
    ("line", "status", "document"),
    [
        ("GET /value?service=a", 400, {"error": "Missing service or path parameter", "success": False}),
        ("GET /value?service=&path=/Soc", 400, {"error": "Missing service or path parameter", "success": False}),
        ("GET /services/", 404, {"error": "Not found", "success": False}),
        ("GET /Services", 404, {"error": "Not found", "success": False}),
        (
            f"GET /value?service={VEBUS}&path=/Nope",
            404,
            {
                "service": VEBUS,
                "path": "/Nope",
                "value": None,
                "error": f"Path /Nope not available on {VEBUS}",
                "success": False,
            },
        ),
        (
            "GET /text?service=com.victronenergy.no&path=/x",
            404,
            {
                "service": "com.victronenergy.no",
                "path": "/x",
                "text": None,
                "error": "Path /x not available on com.victronenergy.no",
                "success": False,
            },
        ),
        (
            f"GET /value?service={VEBUS}&path=/Ac/Out/L2/V",
            200,
            {"service": VEBUS, "path": "/Ac/Out/L2/V", "value": [], "success": True},
        ),
        (
            f"GET //value?service={VEBUS}&path=%2FDeviceInstance&path=/Nope#x",
            200,
            {"service": VEBUS, "path": "/DeviceInstance", "value": 276, "success": True},
        ),
        (
            f"GET /text?service={VEBUS}&path=/Ac/Out/L2/V",
            200,
            {"service": VEBUS, "path": "/Ac/Out/L2/V", "text": "---", "success": True},
        ),
    ],
)
def test_answers_are_the_documented_ones(
    gx: tuple[Simulator, int], line: str, status: int, document: dict[str, object]
) -> None:
    """Status, keys and their order of the answers of section 2 of the interface's description."""
    reply = request(gx[1], line)
    assert (reply.status, reply.document) == (status, document)
    assert list(reply.document) == list(document)


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE"])
def test_unknown_methods_get_501_in_html(gx: tuple[Simulator, int], method: str) -> None:
    """HEAD, PUT and DELETE are not there."""
    reply = request(gx[1], f"{method} /health")
    assert reply.status == 501
    assert (reply.header("Content-Type") or "").startswith("text/html")


def test_options_and_malformed_request_lines(gx: tuple[Simulator, int]) -> None:
    """OPTIONS is 204 without a body; a raw space in the URL is 400 in HTML with a length."""
    options = request(gx[1], "OPTIONS /value")
    assert (options.status, options.body) == (204, b"")
    spaced = exchange(gx[1], b"GET /value?path=/a b HTTP/1.1\r\n\r\n")
    assert spaced.startswith(b"HTTP/1.0 400")
    assert b"Content-Length" in spaced
    assert b"<!DOCTYPE HTML>" in spaced


def test_root_health_and_services(gx: tuple[Simulator, int]) -> None:
    """The three documents a client starts with."""
    root = request(gx[1], "GET /").document
    assert root["name"] == "Victron DBus API Server"
    assert root["ai_write_enabled"] is False
    assert request(gx[1], "GET /health").document["status"] == "healthy"
    services = request(gx[1], "GET /services").document
    assert services["services"] == sorted(services["services"])
    assert services["count"] == len(services["services"]) >= 14
    assert services["success"] is True


def test_settings_is_not_json_for_a_strict_parser(gx: tuple[Simulator, int]) -> None:
    """The limits of a stock system hold Infinity; the root of the settings service does not."""

    def refuse(text: str) -> float:
        raise ValueError(text)

    body = request(gx[1], "GET /settings").body
    with pytest.raises(ValueError, match="Infinity"):
        json.loads(body, parse_constant=refuse)
    entry = json.loads(body)["settings"]["/Settings/CGwacs/AcPowerSetPoint"]
    assert entry == {"Value": 40.0, "Text": "40.0", "Max": 100000.0, "Min": -100000.0, "Default": 40.0}
    assert json.loads(get(gx[1], SETTINGS, "/").body, parse_constant=refuse)["success"] is True


def test_text_has_units_and_the_root_text_is_unusable(gx: tuple[Simulator, int]) -> None:
    """Volts say V; a node gives the repr of a D-Bus dictionary; systemcalc's root has none for one leaf fails."""
    assert get(gx[1], VEBUS, "/Dc/0/Voltage", "text").document["text"].endswith(" V")
    assert get(gx[1], VEBUS, "/Ac/Out/L1", "text").document["text"].startswith("dbus.Dictionary({dbus.String('V')")
    assert get(gx[1], SYSTEM, "/DynamicEss/ReactiveStrategy").status == 200
    assert get(gx[1], SYSTEM, "/DynamicEss/ReactiveStrategy", "text").status == 404
    assert get(gx[1], SYSTEM, "/", "text").status == 404
    assert get(gx[1], SWITCH, "/", "text").status == 404


def test_dictionary_leafs_change_their_order_from_request_to_request(gx: tuple[Simulator, int]) -> None:
    """The same keys, not always in the same order."""
    orders = set()
    for _ in range(20):
        value = get(gx[1], SYSTEM, "/AvailableBatteryMeasurements").document["value"]
        assert set(value) == {"default", "nobattery", "com_victronenergy_battery_512/Dc/0"}
        orders.add(tuple(value))
    assert len(orders) > 1


def test_nan_and_infinity_go_out_as_such() -> None:
    """What is not JSON is sent all the same."""
    with running("dc-only") as (gx, port):
        gx.set(SYSTEM, "/Dc/Pv/Power", float("nan"))
        gx.set(SYSTEM, "/Dc/Pv/Current", float("-inf"))
        assert b'"value": NaN' in get(port, SYSTEM, "/Dc/Pv/Power").body
        assert b'"value": -Infinity' in get(port, SYSTEM, "/Dc/Pv/Current").body


def test_writing_needs_the_switch() -> None:
    """403 while AI_write is off, before the parameters are looked at; with it on a setting is written and coerced."""
    with running("ess") as (gx, port):
        assert request(port, "POST /value").status == 400
        assert request(port, "POST /value", b"{}").status == 403
        gx.set(SWITCH, "/SwitchableOutput/output_1/State", 1)
        assert request(port, "GET /ai-write-status").document["enabled"] is True
        written = post(port, "/value", {"service": SETTINGS, "path": "/Settings/CGwacs/AcPowerSetPoint", "value": 70})
        assert written.status == 200
        assert (written.document["value"], written.document["previous_value"]) == (70.0, 40.0)
        assert b'"value": 70.0' in written.body
        assert eventually(lambda: gx.site.plant.setpoint_w == 70.0)


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"nope", 400, "Invalid JSON"),
        (b"\xff", 500, "'utf-8' codec"),
        (b"[]", 500, "'list' object"),
        (b'{"path": "/x", "value": 1}', 400, "Missing service or path"),
        (b'{"service": "a", "path": "/x"}', 400, "Missing value"),
        (b'{"service": "a", "path": "/x", "value": 1}', 400, "Failed to set value"),
        (b'{"service": "%s", "path": "/Settings/CGwacs", "value": 1}' % SETTINGS.encode(), 400, "Failed"),
        (
            b'{"service": "%s", "path": "/Settings/Vrmlogger/LogInterval", "value": []}' % SETTINGS.encode(),
            400,
            "Failed",
        ),
        (
            b'{"service": "%s", "path": "/Settings/Vrmlogger/LogInterval", "value": 9e9}' % SETTINGS.encode(),
            400,
            "Failed",
        ),
        (b'{"service": "%s", "path": "/Soc", "value": 5}' % VEBUS.encode(), 400, "Failed"),
    ],
)
def test_refused_writes(body: bytes, status: int, error: str) -> None:
    """Each mistake has its answer."""
    with running("ess") as (gx, port):
        gx.set(SWITCH, "/SwitchableOutput/output_1/State", 1)
        reply = request(port, "POST /value", body)
        assert reply.status == status
        assert error in reply.document["error"]


def test_a_silent_connection_blocks_everybody_until_it_closes() -> None:
    """One thread and no socket timeout: a client that says nothing stops the server."""
    with running("dc-only") as (_, port):
        with socket.create_connection(("127.0.0.1", port)), pytest.raises(TimeoutError):
            request(port, "GET /health", timeout_s=0.5)
        assert request(port, "GET /health").status == 200


def test_a_hanging_service_blocks_and_then_is_404() -> None:
    """The request takes the bus timeout and says nothing of the cause; other requests wait behind it."""
    with running("ess") as (gx, port):
        gx.faults.hang_s = 0.6
        gx.hang(BATTERY)
        before = time.monotonic()
        assert get(port, BATTERY, "/Soc").status == 404
        assert time.monotonic() - before >= 0.6
        assert BATTERY in request(port, "GET /services").document["services"]
        gx.hang(BATTERY, on=False)
        assert get(port, BATTERY, "/Soc").status == 200


def test_the_control_port_answers_while_the_api_hangs() -> None:
    """A test can end a hang from outside; the API then answers with the value."""
    with Simulator("ess") as gx:
        port = gx.start(control_port=0)
        control = gx.control_port
        assert control is not None
        gx.hang(BATTERY)
        with socket.create_connection(("127.0.0.1", port), timeout=5.0) as waiting:
            waiting.sendall(f"GET /value?service={BATTERY}&path=/Soc HTTP/1.1\r\n\r\n".encode())
            assert request(control, "GET /_state").document["hung"] == [BATTERY]
            assert post(control, "/_hang", {"service": "battery", "on": False}).status == 200
            assert waiting.recv(100).startswith(b"HTTP/1.0 200")
        assert request(control, "GET /health").status == 404


@pytest.mark.parametrize("trouble", ["hang", "mute", "silent client"])
def test_stop_is_prompt_whatever_hangs(trouble: str) -> None:
    """stop() returns within a second and leaves no thread and no port behind."""
    gx = Simulator("ess")
    port = gx.start(control_port=0)
    gx.hang(BATTERY)
    gx.faults.mute = trouble == "mute"
    with socket.create_connection(("127.0.0.1", port)) as client:
        if trouble != "silent client":
            client.sendall(f"GET /value?service={BATTERY}&path=/Soc HTTP/1.1\r\n\r\n".encode())
        with pytest.raises(TimeoutError):
            request(port, "GET /health", timeout_s=0.3)
        before = time.monotonic()
        gx.stop()
        assert time.monotonic() - before < 1.0
    with pytest.raises(ConnectionRefusedError):
        request(port, "GET /health")


def test_a_bus_that_is_down_still_looks_healthy() -> None:
    """/services is empty with 200, /health healthy, values 404, settings {}."""
    with running("ess") as (gx, port):
        gx.actions.do({"bus": "down"})
        assert request(port, "GET /services").document == {"services": [], "count": 0, "success": True}
        assert request(port, "GET /health").document["status"] == "healthy"
        assert get(port, SYSTEM, "/Serial").status == 404
        assert request(port, "GET /settings").document == {"settings": {}, "success": True}
        assert request(port, "GET /ai-write-status").document["details"]["venus_image_type"] == "Normal"
        gx.actions.do({"bus": "up"})
        assert get(port, SYSTEM, "/Serial").status == 200


def test_random_faults_are_those_asked_for_and_repeatable() -> None:
    """Two simulators with one seed fail alike; every kind of failure and garbage shows."""

    def outcomes() -> list[str]:
        found = []
        with running("dc-only", seed=5) as (gx, port):
            gx.faults.change({"fail_rate": 0.5, "garbage_rate": 0.5})
            for _ in range(60):
                try:
                    raw = exchange(port, b"GET /health HTTP/1.1\r\n\r\n")
                except ConnectionResetError:
                    found.append("reset")
                    continue
                head, _, body = raw.partition(b"\r\n\r\n")
                found.append("close" if not raw else head[9:12].decode() + body[:6].decode("latin1"))
        return found

    first = outcomes()
    assert first == outcomes()
    assert {"reset", "close", '500{\n  "e', '404{\n  "e', "200<html>", "200", "200Traceb"} <= set(first)


def test_wrong_faults_are_refused_with_what_would_be_right() -> None:
    """Control requests say what is wrong and change nothing."""
    with running("dc-only") as (gx, port):
        unknown = post(port, "/_fault", {"fial_rate": 0.1})
        assert unknown.status == 400
        assert "fail_rate" in unknown.document["error"]
        assert post(port, "/_fault", {"hang_rate": "much"}).status == 400
        assert post(port, "/_nope", {}).status == 404
        assert post(port, "/_drop", {"service": "toaster"}).status == 400
        assert request(port, "POST /_set", b"{").status == 400
        assert gx.faults.as_dict()["hang_rate"] == 0.0


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("/_hang", {}, 'the key "service" is missing: /_hang needs service, may have on'),
        ("/_down", {}, 'the key "for_s" is missing: /_down needs for_s'),
        ("/_down", {"for_s": "5"}, "for_s must be a number of seconds"),
        ("/_down", {"for": 5}, '/_down has no key "for"'),
        ("/_drop", {"servce": "vebus"}, '/_drop has no key "servce"; did you mean "service"?'),
        ("/_drop", {"service": "vebsu"}, 'there is no service "vebsu"; did you mean "vebus"?'),
        ("/_set", {"service": "vebus", "path": "/Mode"}, "/_set needs path and value, or values"),
        ("/_drop", ["vebus"], "the body must be a JSON object"),
    ],
)
def test_wrong_control_requests_are_told_what_would_be_right(
    gx: tuple[Simulator, int], path: str, body: object, error: str
) -> None:
    """In a sentence, and nothing happens."""
    reply = post(gx[1], path, body)  # type: ignore[arg-type]
    assert reply.status == 400
    assert error in reply.document["error"]


def test_the_help_tells_the_keys_of_every_control_request() -> None:
    """What a request may have stands in its line."""
    lines = {line.split()[0]: line for line in EPILOG.splitlines() if line.startswith("  /_")}
    for path, (needed, possible) in KEYS.items():
        line = lines.get(path) or lines["/_drop"]
        assert all(key in line for key in (*needed, *possible)), path


def test_a_closed_port_refuses_and_opens_again_on_the_same_number() -> None:
    """While it is down connections are refused; what hung is cut; then the same port serves."""
    with running("ess") as (gx, port):
        gx.hang(BATTERY)
        with socket.create_connection(("127.0.0.1", port), timeout=5.0) as waiting:
            waiting.sendall(f"GET /value?service={BATTERY}&path=/Soc HTTP/1.1\r\n\r\n".encode())

            def is_refused() -> bool:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
                except (ConnectionRefusedError, ConnectionResetError):  # reset: while the listener was closing
                    return True
                return False

            gx.down(1.5)
            assert eventually(is_refused, 1.0)
        assert eventually(lambda: not is_refused(), 4.0)
        assert request(port, "GET /health").status == 200

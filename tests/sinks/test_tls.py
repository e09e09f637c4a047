"""TLS to a real mosquitto, with certificates made for the occasion."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path

import pytest

from bridge.errors import SinkError
from bridge.sinks.tls import TlsOptions, make_context
from tests.mosquitto import Mosquitto, Subscriber, free_port, wait_until
from tests.sinks.makers import make_sink, state

pytestmark = [
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates"),
    # When a handshake fails, paho leaves the socket to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates():
    """A CA with a broker's and a client's certificate, and a second CA that nobody knows."""
    # Not pytest's own directory: mosquitto gives up root before it reads them, and may not enter that one.
    with tempfile.TemporaryDirectory(prefix="certificates-") as name:
        yield make_certificates(Path(name))


def make_certificates(directory: Path) -> Path:
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for ca in ("ca", "other"):
        openssl(directory, "req", "-x509", *key, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-subj", f"/CN={ca}")
    for name in ("broker", "client"):
        openssl(directory, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(
            directory, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", f"{name}.pem", "-extfile", "names", "-days", "2",
        )  # fmt: skip
    for path in directory.iterdir():
        path.chmod(0o644)
    directory.chmod(0o755)
    return directory


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def broker(certificates):
    """A mosquitto that speaks TLS, and MQTT without it on a second port for the subscriber."""
    plain = free_port()
    config = (
        f"cafile {certificates}/ca.pem\ncertfile {certificates}/broker.pem\nkeyfile {certificates}/broker.key\n"
        f"require_certificate false\nlistener {plain} 127.0.0.1\n"
    )
    with Mosquitto(config) as mosquitto:
        mosquitto.plain_port = plain
        wait_until(lambda: is_open(plain), what="the second listener")
        yield mosquitto


def tls(certificates: Path, **options: object) -> TlsOptions:
    return TlsOptions(**{"ca_file": str(certificates / "ca.pem"), **options})  # type: ignore[arg-type]


def test_values_arrive_over_tls(broker, certificates):
    """With the right CA everything works as without TLS, also with more than a socket's buffer at once."""
    sink = make_sink(broker.port, tls=tls(certificates))
    sink.start()
    with Subscriber(broker.plain_port, "v/tls/#") as subscriber:
        sink.publish([state(f"v/tls/p{number}", "x" * 2_000) for number in range(3_000)])
        subscriber.wait_for("v/tls/p2999")
        wait_until(lambda: len({message.topic for message in subscriber.messages}) == 3_000)
    assert sink.stop(2.0) == []
    assert sink.health()["reconnects"] == 0


def test_requests_arrive_over_tls(broker, certificates):
    """Several requests in one TLS record are all heard."""
    heard = []
    sink = make_sink(broker.port, tls=tls(certificates), client_id="tls-requests")
    sink.subscribe("v/requests/#", heard.append)
    sink.start()
    wait_until(lambda: "v/requests/#" in broker.log())
    with Subscriber(broker.plain_port, "nothing") as client:
        for number in range(50):
            client.client.publish(f"v/requests/{number}", "x", 1)
        wait_until(lambda: len(heard) == 50, 5.0)
    sink.stop(1.0)


def test_a_client_certificate_is_shown(certificates):
    """A broker that asks for a certificate gets ours, and lets nobody in without."""
    config = (
        f"cafile {certificates}/ca.pem\ncertfile {certificates}/broker.pem\nkeyfile {certificates}/broker.key\n"
        "require_certificate true\nuse_identity_as_username true\n"
    )
    files = {"cert_file": str(certificates / "client.pem"), "key_file": str(certificates / "client.key")}
    with Mosquitto(config) as mosquitto:
        sink = make_sink(mosquitto.port, tls=tls(certificates, **files))
        sink.start()
        wait_until(lambda: sink.health()["connected"])
        sink.stop(1.0)
        sink = make_sink(mosquitto.port, tls=tls(certificates))
        sink.start()
        wait_until(lambda: sink.health()["last_error"])
        assert not sink.health()["connected"]
        sink.stop(1.0)


def test_a_wrong_ca_is_named(broker, certificates):
    """A broker that our CA does not know is not trusted, and the sentence names the setting."""
    sink = make_sink(broker.port, tls=tls(certificates, ca_file=str(certificates / "other.pem")))
    sink.start()
    wait_until(lambda: "check broker.tls.ca" in sink.health()["last_error"])
    assert "not trusted" in sink.health()["last_error"]
    sink.stop(1.0)


def test_insecure_trusts_anybody(broker, certificates):
    """With is_insecure neither the CA nor the name matters."""
    sink = make_sink(broker.port, tls=tls(certificates, ca_file="", is_insecure=True), client_id="insecure")
    sink.start()
    wait_until(lambda: sink.health()["connected"])
    assert sink.stop(1.0) == []


def test_a_port_without_tls_is_recognized(broker, certificates):
    """TLS against a port that speaks plain MQTT says that it is probably the wrong port."""
    sink = make_sink(broker.plain_port, tls=tls(certificates))
    sink.start()
    wait_until(lambda: "TLS port" in sink.health()["last_error"])
    sink.stop(1.0)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"ca_file": "missing.pem"}, "broker.tls.ca"),
        ({"ca_file": __file__}, "broker.tls.ca"),
        ({"cert_file": "missing.pem", "key_file": "missing.key"}, "broker.tls.cert"),
    ],
)
def test_files_that_cannot_be_used_are_named(options, key):
    """A missing or wrong file is an error that no retry mends, with the setting to check."""
    with pytest.raises(SinkError, match=key) as caught:
        make_context(TlsOptions(**options))
    assert caught.value.retry is False


def test_an_encrypted_key_is_refused_without_asking(certificates):
    """A key with a pass phrase is an error, not a question on the terminal."""
    openssl(certificates, "ec", "-in", "client.key", "-aes256", "-passout", "pass:x", "-out", "locked.key")
    with pytest.raises(SinkError, match="encrypted"):
        make_context(
            tls(certificates, cert_file=str(certificates / "client.pem"), key_file=str(certificates / "locked.key"))
        )


def test_old_tls_is_never_spoken():
    """The context verifies, checks the name, and starts at TLS 1.2."""
    context = make_context(TlsOptions())
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname

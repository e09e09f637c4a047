"""Tests of the settings: precedence, defaults, many sites, secrets, and the faults of a config file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import ConfigErrors
from bridge.files.settings import OPTIONS, Secret, Settings, load_settings, state_directory, unknown_variables

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
ENVIRON = {"HOME": "/home/someone"}


def load(config: Path | None = None, environ: dict[str, str] | None = None, **flags: Any) -> Settings:
    return load_settings({"config": config, **flags}, ENVIRON | (environ or {}))


def faults(config: Path | None = None, environ: dict[str, str] | None = None, **flags: Any) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        load(config, environ, **flags)
    return [str(error) for error in caught.value.errors]


def write(directory: Path, text: str) -> Path:
    path = directory / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("settings.*.bad.yaml")), ids=lambda path: path.name)
def test_bad_files_get_the_errors_they_state(path: Path) -> None:
    """Every `# expect line:column key: words` of a bad file comes true, and nothing else is reported."""
    expected = re.findall(r"^# expect (\d+:\d+ [^:]+): (.+)$", path.read_text(encoding="utf-8"), re.M)
    with pytest.raises(ConfigErrors) as caught:
        load(path)
    found = [(f"{error.line}:{error.column} {error.key}", error.message) for error in caught.value.errors]
    assert sorted(place for place, _ in found) == sorted(place for place, _ in expected)
    for place, words in expected:
        assert any(at == place and words in message for at, message in found), (place, words, found)
    assert all(error.file == str(path) for error in caught.value.errors)


def test_the_example_is_faultless() -> None:
    """The example that explains every key loads, with the values it shows."""
    settings = load(ROOT / "examples" / "config.yaml")
    assert settings.sites[0].name == "home"
    assert settings.sites[0].rules.params == {"essential": {"battery_soc_critical": 15}}
    assert settings.state_directory == Path("/var/lib/victron-bridge")


def test_the_example_explains_every_key() -> None:
    """Every key of the schema, and every variable, occurs in the example."""
    text = (ROOT / "examples" / "config.yaml").read_text(encoding="utf-8")
    schema = json.loads((ROOT / "schemas" / "settings.schema.json").read_text(encoding="utf-8"))
    keys: set[str] = set()

    def collect(part: Any) -> None:
        if isinstance(part, dict):
            keys.update(part.get("properties", {}))
            for inner in part.values():
                collect(inner)
        elif isinstance(part, list):
            for inner in part:
                collect(inner)

    collect(schema)
    assert [key for key in sorted(keys) if not re.search(rf"(^|[ #{{])\b{key}\b:", text, re.M)] == []
    assert [option.variable for option in OPTIONS if option.variable.removeprefix("VICTRON_BRIDGE") not in text] == []


def test_no_file_at_all() -> None:
    """Two flags are enough: the rest are defaults."""
    settings = load(gx="http://venus.local:8088", broker="localhost")
    (site,) = settings.sites
    assert (site.name, site.gx, site.timeout_s) == ("", "http://venus.local:8088", 5.0)
    assert site.intervals.tiers_s == {"critical": 10.0, "extended": 60.0, "health": 300.0, "static": 3600.0}
    assert site.rules.packs == ("essential",)
    assert (settings.broker.host, settings.broker.port, settings.broker.tls) == ("localhost", 1883, None)
    assert settings.base_topic == "victron"
    assert settings.state_directory == Path("/home/someone/.local/state/victron-bridge")


def test_sites_inherit_and_override() -> None:
    """A site entry wins over the top; maps are merged key by key."""
    home, cabin, third = load(FIXTURES / "settings.many.good.yaml").sites
    assert (home.timeout_s, cabin.timeout_s) == (4.0, 15.0)
    assert home.intervals.tiers_s["critical"] == 5.0
    assert cabin.intervals.tiers_s == {"critical": 30.0, "extended": 60.0, "health": 600.0, "static": 3600.0}
    assert cabin.rules.params == {"essential": {"battery_soc_critical": 30, "battery_soc_low": 25}}
    assert home.rules.params == {"essential": {"battery_soc_critical": 15, "battery_soc_low": 25}}
    assert (third.name, third.gx) == ("", "https://[fe80::1]:8443")


def test_flags_win_over_environment_over_file(tmp_path: Path) -> None:
    """Each setting comes from the first of flag, variable, file and default that has it."""
    path = write(tmp_path, "gx: a\nsite: fromfile\nbase_topic: file/topic\nlog: {level: debug}\nstate: sub\n")
    settings = load(
        path, {"VICTRON_BRIDGE_GX": "b", "VICTRON_BRIDGE_SITE": "fromenv", "VICTRON_BRIDGE_CLIENT_ID": "x"}, gx="c"
    )
    assert (settings.sites[0].gx, settings.sites[0].name) == ("http://c:8088", "fromenv")
    assert (settings.base_topic, settings.log_level, settings.broker.client_id) == ("file/topic", "debug", "x")
    assert settings.state_directory == tmp_path / "sub"
    assert load(path, {"VICTRON_BRIDGE_STATE": "/env"}).state_directory == Path("/env")
    assert load(path, {"VICTRON_BRIDGE_STATE": "/env"}, state="/flag").state_directory == Path("/flag")
    assert load(None, {"VICTRON_BRIDGE_CONFIG": str(path)}).sites[0].name == "fromfile"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("venus.local", "http://venus.local:8088"),
        ("10.0.0.7:80", "http://10.0.0.7:80"),
        ("HTTP://Venus.Local/", "http://venus.local:8088"),
        ("https://gx.example.org", "https://gx.example.org:443"),
        ("[fe80::1]", "http://[fe80::1]:8088"),
    ],
)
def test_a_gx_is_a_host_or_a_url(text: str, url: str) -> None:
    """What is left out of a GX's address is filled in."""
    assert load(gx=text).sites[0].gx == url


@pytest.mark.parametrize(
    "text", ["ftp://x", "mqtt://x:1883", "http://", "http://x/value", "http://x:0", "x:99999", "u:p@x", "a b", "x?y"]
)
def test_other_addresses_of_a_gx_are_refused(text: str) -> None:
    """The wrong scheme, a path, a login or no host name the flag they came from."""
    (fault,) = faults(gx=text)
    assert fault.startswith("--gx: ")


@pytest.mark.parametrize(
    ("text", "host", "port", "is_tls", "login"),
    [
        ("localhost", "localhost", 1883, False, ("", "")),
        ("h:1884", "h", 1884, False, ("", "")),
        ("mqtt://u:p%40%3A@h", "h", 1883, False, ("u", "p@:")),
        ("mqtt://u:p@q@h:1", "h", 1, False, ("u", "p@q")),
        ("mqtts://h", "h", 8883, True, ("", "")),
        ("mqtts://[::1]:1", "::1", 1, True, ("", "")),
    ],
)
def test_a_broker_in_one_line(text: str, host: str, port: int, is_tls: bool, login: tuple[str, str]) -> None:
    """Host, port, login and TLS can all be said in one address."""
    broker = load(broker=text).broker
    assert (broker.host, broker.port, broker.tls is not None) == (host, port, is_tls)
    assert (broker.username, broker.password.reveal()) == login


@pytest.mark.parametrize("text", ["tcp://x", "x/y", "mqtt://", "u:secretword@x:port", ""])
def test_other_addresses_of_a_broker_are_refused(text: str) -> None:
    """A broker's address that cannot be read is refused without repeating a password in it."""
    (fault,) = faults(broker=text)
    assert fault.startswith("--broker: ")
    assert "secretword" not in fault


def test_another_broker_on_the_command_line(tmp_path: Path) -> None:
    """--broker replaces host and port of the file and keeps its login and certificates."""
    path = write(tmp_path, "broker: {host: a, port: 9, username: u, password: p, tls: {insecure: true}}\n")
    broker = load(path, broker="mqtts://b").broker
    assert (broker.host, broker.port, broker.username, broker.password.reveal()) == ("b", 8883, "u", "p")
    assert broker.tls is not None
    assert broker.tls.is_insecure
    assert load(path, broker="mqtt://b").broker.tls is None


def test_where_the_password_comes_from(tmp_path: Path) -> None:
    """A flag's file, then the environment, then the config's file, which counts from the config's directory."""
    (tmp_path / "pw").write_text("from file\nsecond line\n")
    (tmp_path / "other").write_text("from flag")
    path = write(tmp_path, "broker: {username: u, password_file: pw}\n")
    env = {"VICTRON_BRIDGE_PASSWORD": "from env"}
    assert load(path).broker.password.reveal() == "from file"
    assert load(path, env).broker.password.reveal() == "from env"
    assert load(path, env, password_file=str(tmp_path / "other")).broker.password.reveal() == "from flag"
    assert load(path, env, broker="mqtt://v:here@h").broker.password.reveal() == "here"
    assert load(path, {"VICTRON_BRIDGE_PASSWORD_FILE": str(tmp_path / "other")}).broker.password.reveal() == "from flag"


def test_password_files_that_cannot_serve(tmp_path: Path) -> None:
    """A missing or empty password file is a fault of whoever named it."""
    (tmp_path / "empty").write_text("\n")
    assert "no such file" in faults(password_file=str(tmp_path / "none"))[0]
    assert "empty" in faults(write(tmp_path, "broker: {password_file: empty}\n"))[0]


def test_no_secret_is_ever_shown(tmp_path: Path) -> None:
    """Neither repr, str, format nor JSON of the settings tells the password."""
    settings = load(write(tmp_path, "broker: {password: hunter2}\n"))
    assert settings.broker.password.reveal() == "hunter2"
    for text in (repr(settings), str(settings), f"{settings.broker.password}"):
        assert "hunter2" not in text
    with pytest.raises(TypeError):
        json.dumps(settings.broker.password)
    assert Secret("a") == Secret("a") != Secret("b")


@pytest.mark.parametrize("text", ["broker: {password: 424242}", "broker: [hunter2]", "broker: {password: [hunter2]}"])
def test_no_error_shows_a_secret(tmp_path: Path, text: str) -> None:
    """A password of the wrong form is not repeated in the error."""
    told = "\n".join(faults(write(tmp_path, text)))
    assert "424242" not in told
    assert "hunter2" not in told


def test_all_faults_of_file_and_flags_at_once(tmp_path: Path) -> None:
    """The faults of the file and those of the command line come together."""
    found = faults(write(tmp_path, "sit: x\nbase_topic: A B\n"), {"VICTRON_BRIDGE_SITE": "A"}, log_level="loud")
    assert len(found) == 4
    assert found[0].endswith('sit: the key "sit" is not known; did you mean "site"?')
    assert [part.split(":")[0] for part in found[2:]] == ["VICTRON_BRIDGE_SITE", "--log-level"]


def test_one_site_flags_do_not_fit_many_sites() -> None:
    """With several sites in the file, --gx and --site could mean any of them and are refused."""
    assert [fault[:7] for fault in faults(FIXTURES / "settings.many.good.yaml", gx="x", site="y")] == [
        "--site:",
        "--gx: t",
    ]


@pytest.mark.parametrize("text", ["[]", "just text", "12"])
def test_a_file_that_is_no_map(tmp_path: Path, text: str) -> None:
    """A config file that holds a list or a text is refused at its first character."""
    (fault,) = faults(write(tmp_path, text))
    assert ":1:1: " in fault


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    """A file with nothing but comments is as good as none."""
    assert load(write(tmp_path, "# nothing\n")).sites == load().sites


def test_patterns_agree_with_the_schema() -> None:
    """What a flag must look like is what the schema asks of the same key."""
    from bridge.files.settings import _PATTERNS

    text = (ROOT / "schemas" / "settings.schema.json").read_text(encoding="utf-8")
    for name in ("site", "base_topic", "client_id"):
        assert json.dumps("^" + _PATTERNS[name][0] + "$") in text


def test_the_state_directory_before_the_file_is_read() -> None:
    """The cache's place follows flag, variable and the XDG default, of which a relative value is ignored."""
    assert state_directory({"state": "/a"}, {"VICTRON_BRIDGE_STATE": "/b"}) == Path("/a")
    assert state_directory({}, {"VICTRON_BRIDGE_STATE": "/b"}) == Path("/b")
    assert state_directory({}, {"XDG_STATE_HOME": "/x", "HOME": "/h"}) == Path("/x/victron-bridge")
    assert state_directory({}, {"XDG_STATE_HOME": "x", "HOME": "/h"}) == Path("/h/.local/state/victron-bridge")


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("VICTRON_BRIDGE_PASSWD", "did you mean VICTRON_BRIDGE_PASSWORD?"),
        ("VICTRON_BRIDGE_LOGLEVEL", "did you mean VICTRON_BRIDGE_LOG_LEVEL?"),
        ("VICTRON_BRIDGE_TIMEZONE", "there are VICTRON_BRIDGE_CONFIG, VICTRON_BRIDGE_GX, "),
    ],
)
def test_a_variable_that_is_not_known_is_told(variable: str, words: str) -> None:
    """A slip in a variable's name is silent otherwise; the value, perhaps a password, is not shown."""
    environ = {variable: "s3cret", "VICTRON_BRIDGE_GX": "x", "VICTRON_BRIDGE_OTHER": "", "HOME": "/x"}
    (warning,) = unknown_variables(environ)
    assert str(warning).startswith(f"{variable}: ") and words in str(warning)
    assert "s3cret" not in str(warning)

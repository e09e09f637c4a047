"""Tests of the state on disk: whole or not at all, the one before as a net, one process at a time."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.files.state import DirectoryLock, StateStore, client_id

FULL = Path("/dev/full")


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    """A document comes back as it was, with its version, by another store too."""
    store = StateStore(tmp_path / "new" / "home", version=3)
    assert store.load() is None
    assert store.save({"alerts": {"ä": [1.5, None, True]}})
    assert StateStore(tmp_path / "new" / "home", version=3).load() == {"alerts": {"ä": [1.5, None, True]}, "version": 3}
    assert store.failures == 0


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    """State tells when somebody is at home: file and directory are private."""
    StateStore(tmp_path / "d").save({})
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "d" / "state.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [b"", b"{", b"\x00" * 100, b"null", b'00000000\n{"version":1}'])
def test_a_damaged_file_falls_back_to_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    """After a power cut in the worst moment the state before it is used, and the log says so."""
    store = StateStore(tmp_path)
    store.save({"n": 1})
    store.save({"n": 2})
    (tmp_path / "state.json").write_bytes(damage)
    assert StateStore(tmp_path).load() == {"n": 1, "version": 1}
    assert "is damaged" in caplog.text
    assert "state before" in caplog.text


def test_any_cut_or_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """Every truncation and every changed byte of the file gives the document before it, never a wrong one."""
    store = StateStore(tmp_path)
    store.save({"n": 1})
    store.save({"n": 2})
    path = tmp_path / "state.json"
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(len(whole))]
    damaged += [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in range(len(whole))]
    for data in damaged:
        path.write_bytes(data)
        assert StateStore(tmp_path).load() == {"n": 1, "version": 1}


def test_a_damaged_file_does_not_replace_the_good_one(tmp_path: Path) -> None:
    """Saving over a damaged file keeps the good previous one as the net."""
    store = StateStore(tmp_path)
    store.save({"n": 1})
    store.save({"n": 2})
    (tmp_path / "state.json").write_bytes(b"junk")
    StateStore(tmp_path).save({"n": 3})
    (tmp_path / "state.json").write_bytes(b"junk")
    assert StateStore(tmp_path).load() == {"n": 1, "version": 1}


def test_both_damaged_is_a_fresh_start(tmp_path: Path) -> None:
    """With nothing readable left the bridge starts anew instead of not at all."""
    (tmp_path / "state.json").write_bytes(b"junk")
    (tmp_path / "state.json.1").write_bytes(b"junk")
    assert StateStore(tmp_path).load() is None


def test_a_cut_between_the_renames_loses_nothing(tmp_path: Path) -> None:
    """When the new file did not get its name yet, the previous one is found."""
    store = StateStore(tmp_path)
    store.save({"n": 1})
    os.replace(tmp_path / "state.json", tmp_path / "state.json.1")
    assert StateStore(tmp_path).load() == {"n": 1, "version": 1}


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    """A downgrade says what to do instead of losing the state."""
    StateStore(tmp_path, version=2).save({"n": 1})
    with pytest.raises(ConfigError, match="newer version") as caught:
        StateStore(tmp_path, version=1).load()
    assert caught.value.file == str(tmp_path / "state.json")


def test_an_unchanged_document_is_not_written(tmp_path: Path) -> None:
    """A quiet site wears no flash."""
    store = StateStore(tmp_path)
    store.save({"n": 1})
    before = (tmp_path / "state.json").stat()
    assert store.save({"n": 1})
    after = (tmp_path / "state.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_disk_that_refuses_is_told_once_and_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Failures are counted, logged once, and saving goes on when the disk is well again."""
    blocker = tmp_path / "d"
    blocker.write_text("a file where the directory should be")
    store = StateStore(blocker)
    assert [store.save({"n": n}) for n in range(3)] == [False, False, False]
    assert store.failures == 3
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
    blocker.unlink()
    assert store.save({"n": 2})
    assert "saved again" in caplog.text
    assert store.load() == {"n": 2, "version": 1}


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_full_disk_keeps_the_old_state(tmp_path: Path) -> None:
    """When the disk is full the last good document stays."""
    store = StateStore(tmp_path)
    store.save({"n": 1})
    (tmp_path / "state.tmp").symlink_to(FULL)
    assert not store.save({"n": 2})
    assert store.load() == {"n": 1, "version": 1}


HOLDER = """
import sys, time
from pathlib import Path
from bridge.files.state import DirectoryLock
lock = DirectoryLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    """The second one is told who holds the directory; a killed holder leaves it free."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match=f"process {holder.pid}"):
            DirectoryLock(tmp_path).acquire()
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
    lock = DirectoryLock(tmp_path)
    assert lock.acquire()
    lock.release()
    lock.release()


def test_a_directory_that_cannot_be_made_is_no_reason_to_stop(tmp_path: Path) -> None:
    """Without a writable directory there is nothing to protect: acquire says False."""
    (tmp_path / "file").write_text("")
    assert not DirectoryLock(tmp_path / "file" / "below").acquire()


def test_the_client_id_is_made_once(tmp_path: Path) -> None:
    """The id is random per installation and the same at every start; a damaged one is made anew."""
    made = client_id(tmp_path / "a")
    assert made.startswith("victron-bridge-")
    assert client_id(tmp_path / "a") == made != client_id(tmp_path / "b")
    (tmp_path / "a" / "client-id").write_text("no good id!\n")
    assert client_id(tmp_path / "a") == client_id(tmp_path / "a") != made


def test_the_client_id_without_a_disk(tmp_path: Path) -> None:
    """When nothing can be kept the id is the machine's, the same at every call."""
    (tmp_path / "file").write_text("")
    assert client_id(tmp_path / "file") == client_id(tmp_path / "file")


def test_the_file_is_json_after_its_first_line(tmp_path: Path) -> None:
    """A person can read the state: one line of checksum, then JSON."""
    StateStore(tmp_path).save({"n": 1})
    assert json.loads((tmp_path / "state.json").read_text().split("\n", 1)[1]) == {"n": 1, "version": 1}

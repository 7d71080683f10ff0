"""The home: closed to others, one server at a time, its token drawn once."""

import errno
import os
import signal
import stat
import subprocess
import sys

import pytest

from backend import home as homes
from backend.home import (
    HomeError,
    Lock,
    keep_token,
    open_home,
    refuse_network_file_system,
    serving,
)
from backend.settings import SettingsError, settings


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_drawn_is_drawn_once_and_for_its_owner_alone(tmp_path):
    first, second = open_home(tmp_path / "lab"), open_home(tmp_path / "lab")
    assert (first.token, first.instance) == (second.token, second.instance)
    assert len(first.token) == 64
    assert mode(tmp_path / "lab") == 0o700
    assert mode(tmp_path / "lab" / "token") == 0o600
    assert open_home(tmp_path / "other").token != first.token


def test_a_given_token_is_written_down_by_who_serves_alone(tmp_path):
    drawn = open_home(tmp_path).token
    given = open_home(tmp_path, "given-by-somebody")
    assert (given.token, open_home(tmp_path).token) == ("given-by-somebody", drawn)
    keep_token(given)
    keep_token(given)
    assert open_home(tmp_path).token == "given-by-somebody"
    assert mode(tmp_path / "token") == 0o600
    assert not (tmp_path / "token.new").exists()


def test_a_token_that_others_could_read_is_closed(tmp_path):
    open_home(tmp_path)
    (tmp_path / "token").chmod(0o644)
    open_home(tmp_path)
    assert mode(tmp_path / "token") == 0o600


def test_an_emptied_token_opens_nothing(tmp_path):
    open_home(tmp_path)
    (tmp_path / "token").write_text("")
    with pytest.raises(HomeError, match="no usable secret"):
        open_home(tmp_path)


def test_a_home_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeError, match="cannot be used"):
        open_home(tmp_path / "file")


def test_a_second_server_is_told_of_the_first(tmp_path):
    with Lock(tmp_path) as lock:
        with pytest.raises(HomeError, match="already served by a server that is starting"):
            Lock(tmp_path)
        lock.publish("http://127.0.0.1:8642")
        with pytest.raises(HomeError, match=rf"process {os.getpid()} at http://127.0.0.1:8642"):
            Lock(tmp_path)
        assert serving(tmp_path).url == "http://127.0.0.1:8642"
    assert serving(tmp_path) is None
    assert not (tmp_path / "lock").exists()
    Lock(tmp_path).close()


def test_a_lock_on_a_file_that_was_removed_is_none(tmp_path, monkeypatch):
    """Another server ends, and removes its file, between the opening of the file and the lock."""
    lock = homes._locked

    def late(path):
        monkeypatch.setattr(homes, "_locked", lock)
        file = lock(path)
        path.unlink()
        return file

    monkeypatch.setattr(homes, "_locked", late)
    with Lock(tmp_path), pytest.raises(HomeError, match="already served"):
        Lock(tmp_path)


@pytest.mark.parametrize("name", ["open_home", "Lock"])
def test_a_home_that_cannot_be_written_is_refused_in_a_sentence(tmp_path, monkeypatch, name):
    def refuse(path, *_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(homes.os, "open", refuse)
    with pytest.raises(HomeError, match=r"cannot be used: Read-only file system \(.*\)\. Give"):
        getattr(homes, name)(tmp_path)


def test_a_killed_servers_lock_is_taken_over(tmp_path):
    code = (
        "import sys, signal; from pathlib import Path; from backend.home import Lock;"
        "lock = Lock(Path(sys.argv[1])); lock.publish('http://x:1'); print('held', flush=True);"
        "signal.pause()"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE)
    with holder, holder.stdout:
        assert holder.stdout.readline() == b"held\n"
        assert serving(tmp_path).pid == holder.pid
        with pytest.raises(HomeError, match=f"process {holder.pid} at http://x:1"):
            Lock(tmp_path)
        holder.send_signal(signal.SIGKILL)
    assert "http://x:1" in (tmp_path / "lock").read_text()
    assert serving(tmp_path) is None
    Lock(tmp_path).close()


@pytest.mark.parametrize("run", ["..", "../x", "/etc", "a/b", "", "."])
def test_a_run_has_no_folder_elsewhere(tmp_path, run):
    with pytest.raises(ValueError, match="not a run's id"):
        open_home(tmp_path).run_dir(run)


def test_a_network_file_system_is_refused(tmp_path, monkeypatch):
    refuse_network_file_system(tmp_path)
    monkeypatch.setattr(homes, "file_system", lambda path: "nfs4")
    with pytest.raises(HomeError, match=r"network file system \(nfs4\)"):
        refuse_network_file_system(tmp_path)


def test_settings_from_the_environment_and_over_it(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADLAB_PORT", "9001")
    monkeypatch.setenv("GRADLAB_HOME", str(tmp_path))
    monkeypatch.setenv("GRADLAB_TOKEN", "")
    found = settings(host="::1")
    assert (found.port, found.home, found.token, found.host) == (9001, tmp_path, None, "::1")
    assert found.database == f"sqlite:///{tmp_path}/lab.db"
    assert found.plugin_dirs == [tmp_path / "plugins"]
    assert settings(port=1).port == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"token": "short"}, "at least 16"),
        ({"token": "é" * 20}, "ASCII"),
        ({"public_url": "lab.example.org"}, "https://lab.example.org"),
        (
            {"public_url": "https://host.example.org/lab/"},
            "a host name of its own, such as https://lab.",
        ),
        ({"public_url": "https://host.example.org?lab"}, "a host name of its own"),
        ({"port": 70000}, "65535"),
        ({"executor": "slurm"}, "local"),
        ({"slots": 0}, "1"),
        ({"home": "~nobody-of-this-name/lab"}, "a user that does not exist"),
    ],
)
def test_settings_that_make_no_sense(given, words):
    with pytest.raises(SettingsError, match=f"^GRADLAB_.*{words}") as refusal:
        settings(**given)
    assert "\n" not in str(refusal.value)
    assert "token" not in given or given["token"] not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "local"),
    [(None, True), ("http://localhost:1", True), ("http://[::1]:2", True), ("https://a.b", False)],
)
def test_which_links_leave_this_machine(url, local):
    assert settings(public_url=url).local_only is local

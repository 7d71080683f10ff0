"""The state of data sets over HTTP, and downloads that the server starts: each in a process."""

import fcntl
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest

from backend.data_folders.exclusive import alone
from backend.data_folders.folders import data_at, is_name
from backend.data_folders.named import NAMED, HubSet
from backend.data_folders.preparation import prepare, wanted_set
from backend.jobs import downloads
from tests.backend.data_folders.fake_hub import FakeHub, parquet

TEST = "default/test/0000.parquet"
SMALL = {"default/train/0000.parquet": parquet(9, seed=1), TEST: parquet(6, seed=2)}


@pytest.fixture
def hub(monkeypatch):
    """A hub that has someone/small."""
    made = FakeHub()
    made.sets["someone/small"] = dict(SMALL)
    monkeypatch.setenv("HF_ENDPOINT", made.url)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    yield made
    made.close()


@pytest.fixture
def gate(hub):
    """The hub holds its test file back until this is set."""
    opened = threading.Event()
    hub.spoil[TEST] = lambda content: content if opened.wait(30) else b""
    yield opened
    opened.set()


@pytest.fixture
def folder(settings):
    settings.data_dir.mkdir(parents=True)
    with data_at(settings.data_dir):
        yield settings.data_dir


def becomes(client, name, holds):
    """The first state for which `holds`."""
    end = time.monotonic() + 30
    while True:
        view = client.get(f"/api/datasets/{name}").json()
        if holds(view):
            return view
        assert time.monotonic() < end, view
        time.sleep(0.02)


def ended(view):
    return view["state"] != "preparing"


def test_an_absent_set_says_what_to_run_and_where_the_lab_looked(client, settings):
    view = client.get("/api/datasets/mnist").json()
    assert (view["state"], view["can_fetch"], view["can_cancel"]) == ("absent", True, False)
    assert view["text"].startswith(
        f"the data set mnist is not in {settings.data_dir}: run `gradlab data get mnist` where"
    )
    own = client.get("/api/datasets/mine", params={"files": "*.npz"}).json()
    assert (own["state"], own["can_fetch"]) == ("absent", False)
    assert own["text"] == (
        f"there is no data set 'mine'; {settings.data_dir} has no folder with files *.npz"
    )


def test_a_field_offers_the_folders_with_its_files_and_what_can_be_fetched(client, folder):
    for name, file in (
        ("mnist", "train-0.parquet"), (".svhn.part", "train-0.parquet"), ("own", "a.npz"),
        ("words", "a.txt"),
    ):  # fmt: skip
        (folder / name).mkdir()
        (folder / name / file).touch()
    assert client.get("/api/datasets").json() == {
        "here": ["mnist"], "fetchable": [*NAMED][1:], "text": f"{folder} has mnist",
    }  # fmt: skip
    tables = client.get("/api/datasets", params={"files": "*.npz"}).json()
    assert (tables["here"], tables["fetchable"]) == (["own"], [])
    answer = client.get("/api/datasets", params={"files": "../*"})
    assert answer.status_code == 422


@pytest.mark.parametrize("name", ["..", "%2e%2e", "a..b", ".hidden", "a b", "a%00b"])
def test_a_path_is_no_name(client, name):
    assert client.get(f"/api/datasets/{name}").status_code in (404, 422)
    asked = client.post("/api/datasets", json={"name": f"../{name}/x"})
    assert asked.status_code == 422
    assert "its name is owner/name" in asked.json()["detail"][0]["msg"]


def test_the_page_asks_about_the_names_that_the_lab_takes():
    source = Path(__file__).parents[3] / "frontend" / "form" / "data-state.js"
    (page,) = re.findall(r"const NAME = /(.*)/;", source.read_text())
    names = {
        "mnist": True, "a--b--c": True, "a.b-1_": True, "x" * 200: True, "": False, ".a": False,
        "a.": False, "a..b": False, "a/b": False, "a b": False, "é": False, "x" * 201: False,
    }  # fmt: skip
    assert {name: is_name(name) for name in names} == names
    assert {name: bool(re.search(page, name, re.ASCII)) for name in names} == names


def test_a_download_tells_its_progress_and_then_the_set_is_ready(client, hub, gate):
    started = client.post("/api/datasets", json={"name": "someone/small"}).json()
    assert (started["name"], started["state"]) == ("someone--small", "preparing")
    sizes = [len(content) for content in SMALL.values()]
    half = becomes(client, "someone--small", lambda view: view["total"] > 0)
    assert (half["state"], half["done"], half["total"]) == ("preparing", 0, sum(sizes))
    assert half["can_cancel"]
    assert client.post("/api/datasets", json={"name": "someone/small"}).status_code == 202
    gate.set()
    ready = becomes(client, "someone--small", ended)
    assert (ready["state"], ready["done"], ready["problem"]) == ("ready", ready["total"], "")
    assert (ready["can_fetch"], ready["can_cancel"]) == (False, False)
    fetched = [p for verb, p in hub.requests if verb == "GET" and "/resolve/" in p]
    assert len(fetched) == 2, "each file is fetched once, although it was asked for twice"


def test_a_download_is_cancelled_and_goes_on_later(client, hub, gate):
    client.post("/api/datasets", json={"name": "someone/small"})
    becomes(client, "someone--small", lambda view: view["total"] > 0)
    left = client.post("/api/datasets/someone--small/cancel").json()
    assert (left["state"], left["problem"], left["can_cancel"]) == ("partial", "", False)
    assert "`gradlab data get someone--small` goes on with it" in left["text"]
    gate.set()
    client.post("/api/datasets", json={"name": "someone--small"})
    assert becomes(client, "someone--small", ended)["state"] == "ready"


def test_a_download_that_fails_says_why_and_may_be_tried_again(client, hub):
    answer = client.post("/api/datasets", json={"name": "minst"})
    assert answer.json()["detail"] == [
        {
            "loc": ["name"],
            "msg": "there is no data set 'minst'; did you mean 'mnist'? There are "
            f"{', '.join(NAMED)}, or any of the hub as owner/name",
        }
    ]
    client.post("/api/datasets", json={"name": "someone/absent"})
    failed = becomes(client, "someone--absent", ended)
    assert failed["problem"] == "the hub has no public data set 'someone/absent'"
    hub.spoil[TEST] = lambda content: content[:-9]
    client.post("/api/datasets", json={"name": "someone/small"})
    failed = becomes(client, "someone--small", ended)
    assert (failed["state"], failed["can_cancel"]) == ("partial", False)
    assert f"{TEST} of someone/small arrived cut off" in failed["problem"]
    hub.close()
    client.post("/api/datasets", json={"name": "mnist"})
    failed = becomes(client, "mnist", ended)
    assert (failed["state"], failed["can_fetch"]) == ("absent", True)
    assert failed["problem"].startswith("the Hugging Face hub does not answer")
    assert "run `gradlab data get mnist` where there is a network" in failed["problem"]


def test_a_damaged_file_is_named_and_fetched_again(client, hub, folder):
    prepare("small", HubSet("someone/small"))
    assert client.get("/api/datasets/small").json()["state"] == "ready"
    path = folder / "small" / "test-00000-of-00001.parquet"
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:-1] + b"!"):
        path.write_bytes(damaged)
        broken = client.get("/api/datasets/small").json()
        assert (broken["state"], broken["can_fetch"]) == ("broken", True)
        assert broken["text"] == (
            f"{path.name} of small is damaged or missing: run `gradlab data get small`, which "
            "fetches damaged files again"
        )
    client.post("/api/datasets", json={"name": "small"})
    assert becomes(client, "small", ended)["state"] == "ready"
    assert path.read_bytes() == whole


def test_a_folder_without_such_files_is_broken_and_not_fetched(client, hub, folder):
    (folder / "mnist").mkdir()
    prepare("small", HubSet("someone/small"))
    for name, files in (("mnist", "train-*.parquet"), ("small", "*.csv")):
        view = client.get(f"/api/datasets/{name}", params={"files": files}).json()
        assert view["text"] == f"the data set {name} has no file {files} in {folder / name}"
        assert (view["state"], view["can_fetch"]) == ("broken", False)
    table = client.get("/api/datasets/svhn", params={"files": "*.csv"}).json()
    assert (table["state"], table["can_fetch"]) == ("absent", False)
    assert table["text"].startswith("there is no data set 'svhn'; ")


def test_a_config_or_test_part_that_the_set_does_not_have_is_refused(client, hub, folder):
    prepare("small", HubSet("someone/small"))
    prepare("someone--small", HubSet("someone/small"))
    for asked, said in (
        ({"name": "small", "config": "bogus"}, "small has the config 'default': leave config out"),
        ({"name": "small", "test": "nosuch"}, "small has no test of its own: leave test out"),
        ({"name": "someone/small", "test": "train"}, "someone/small has no test of its own: "),
        ({"name": "mnist", "config": "bogus"}, "mnist has the config 'mnist': leave config out"),
        ({"name": "a--b--c", "config": "d"}, "a--b--c has the config 'c': leave config out"),
    ):
        answer = client.post("/api/datasets", json=asked)
        assert answer.status_code == 422, asked
        assert said in answer.json()["detail"][0]["msg"]
    assert wanted_set("small", "default") == ("small", HubSet("someone/small", "default"))


def test_the_download_of_another_process_is_shown_and_not_cancelled(client, folder):
    with alone(folder / "mnist") as tell:
        tell(3, 12)
        view = client.get("/api/datasets/mnist").json()
        assert (view["state"], view["done"], view["total"]) == ("preparing", 3, 12)
        assert not view["can_cancel"]
        assert client.post("/api/datasets/mnist/cancel").json()["state"] == "preparing"
    assert client.get("/api/datasets/mnist").json()["state"] == "absent"


def test_two_may_look_at_a_set_at_once(client, folder):
    place = folder / "mnist"
    with alone(place):
        pass  # it leaves its lock
    assert client.get("/api/datasets/mnist").json()["state"] == "absent"
    with (folder / ".mnist.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # as another that looks
        assert client.get("/api/datasets/mnist").json()["state"] == "absent"


@pytest.mark.parametrize(
    ("program", "how"), [("true", "exit status 0"), ("kill -9 $$", "signal 9")]
)
def test_a_process_that_ends_before_it_reads_is_a_failed_download(
    client, hub, folder, monkeypatch, program, how
):
    class Ended(subprocess.Popen):
        def __init__(self, _command, **options):
            super().__init__(["sh", "-c", program], **options)
            self.wait()

    with monkeypatch.context() as patch:
        patch.setattr(downloads.subprocess, "Popen", Ended)
        assert client.post("/api/datasets", json={"name": "someone/small"}).status_code == 202
        failed = becomes(client, "someone--small", ended)
    said = f"the download of someone--small ended with {how}; the lab's log says why"
    assert (failed["problem"], failed["can_fetch"]) == (said, True)
    assert client.post("/api/datasets/someone--small/cancel").status_code == 200


def test_only_so_many_are_fetched_at_a_time(client, hub, gate, monkeypatch):
    monkeypatch.setattr(downloads, "MOST", 1)
    client.post("/api/datasets", json={"name": "someone/small"})
    answer = client.post("/api/datasets", json={"name": "mnist"})
    assert answer.json()["detail"][0]["msg"] == (
        "1 data sets are being fetched (someone--small); wait for one"
    )


def test_a_download_ends_with_the_server(app, client, hub, gate, folder):
    client.post("/api/datasets", json={"name": "someone/small"})
    becomes(client, "someone--small", lambda view: view["total"] > 0)
    process = app.state.lab.downloads._running["someone--small"].process
    process.stdin.close()  # as when the server is killed
    assert process.wait(20) == 0
    assert becomes(client, "someone--small", ended)["state"] == "partial"

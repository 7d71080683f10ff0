"""Figures of plug-ins: listed and drawn by the supervisor's inspector, never for a visitor."""

import json
import re

import pytest

from backend.figures.catalogue import entry_of
from backend.figures.info import Chart, FigureInfo, Place
from backend.store.base import find_run

HASH = "5e" * 32
TITLE = "</script><script>alert(1)</script>"
INFO = FigureInfo(TITLE, TITLE, "", ("runs",), (Chart("own-own", (Place("run", "own", 10),)),))
DRAWN = {
    "figure": {"data": [{"x": [1.0], "y": [2.0], "name": TITLE}], "layout": {}},
    "shown": 1, "count": 1, "zoomed": False, "selection": "", "note": [], "details": [], "meta": {},
    "source": {"file": "/home/secret/own.py", "hash": HASH},
}  # fmt: skip
PROBLEM = {"problem": "ZeroDivisionError: division by zero (own.py, line 3)"}


@pytest.fixture
def own(fake):
    """The supervisor, with one figure of a plug-in."""
    source = {"kind": "plugin", "file": "/home/secret/own.py", "hash": "00" * 32}
    fake.figures, fake.drawn = [{**entry_of("own", INFO), "source": source}], {"figure": DRAWN}
    return fake


def test_it_is_listed_and_drawn(client, own, worker):
    names = [entry["name"] for entry in client.get("/api/figures").json()["figures"]]
    assert "own" in names
    assert "curve" in names
    assert client.get(f"/api/figures/own?runs={worker.run}").json() == DRAWN
    assert ("draw", "own", worker.run) in own.told


def test_its_error_is_the_answer(client, own, worker):
    own.drawn = PROBLEM
    answer = client.get(f"/api/figures/own?runs={worker.run}")
    assert (answer.status_code, answer.json()["detail"]) == (422, PROBLEM["problem"])
    assert client.get("/api/figures/own?runs=rnone").status_code == 404


def panel(page):
    text = re.search(r'<script type="application/json" id="panels">(.*?)</script>', page, re.S)[1]
    (own,) = [p for p in json.loads(text) if p["id"] == "r0-own-own"]
    return own["figures"][""]


ORIGIN = f"drawn by own.py, SHA-256 {HASH}"


def test_it_is_in_the_export_with_its_error(client, own, worker):
    where = f"/api/export/runs/{worker.run}.html"
    page = client.get(where).text
    assert panel(page)["figure"] == DRAWN["figure"]
    assert panel(page)["note"] == ORIGIN
    assert "/home/" not in page
    assert TITLE not in page
    own.drawn = PROBLEM
    # Nobody knows what drew it: the file of the catalogue is named.
    assert panel(client.get(where).text)["note"] == (
        f"{PROBLEM['problem']}; drawn by own.py, SHA-256 {'00' * 32}"
    )


@pytest.fixture
def shared(client, own, worker):
    """The address of a shared page of the run, made while the figure was `DRAWN`."""
    board = client.post("/api/dashboards", json={"title": "mine", "runs": [worker.run]}).json()
    link = client.post(f"/api/dashboards/{board['id']}/share").json()
    return link["path"], link["id"]


def test_a_shared_page_keeps_it_as_it_was(client, own, worker, shared):
    path, _ = shared
    own.told.clear()
    own.figures, own.drawn = [], {"figure": {**DRAWN, "figure": {"data": [], "layout": {}}}}
    del client.headers["authorization"]
    listed = client.get(f"{path}/figures")
    (entry,) = [each for each in listed.json()["figures"] if each["name"] == "own"]
    assert entry["source"] == {"file": "own.py", "hash": HASH}
    answer = client.get(f"{path}/figures/own?runs={worker.run}")
    assert answer.json()["figure"] == DRAWN["figure"]
    origin, when = answer.json()["note"]
    assert origin == ORIGIN
    assert when.startswith("as it was when this page was shared, 2")
    assert "secret" not in listed.text + answer.text
    assert not own.told, "a visitor makes no plug-in run"


def test_a_shared_page_keeps_the_error(client, own, worker):
    own.drawn = {"problem": "OSError: no file '/home/secret/x.csv' (own.py, line 3)"}
    board = client.post("/api/dashboards", json={"title": "mine", "runs": [worker.run]}).json()
    path = client.post(f"/api/dashboards/{board['id']}/share").json()["path"]
    answer = client.get(f"{path}/figures/own?runs={worker.run}")
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(
        "OSError: no file … (own.py, line 3); drawn by own.py"
    )
    assert "secret" not in answer.text


def test_a_shared_page_has_it_for_its_own_runs_alone(client, own, shared, config):
    path, _ = shared
    other = client.post("/api/runs", json=config).json()["id"]
    assert client.get(f"{path}/figures/own?runs={other}").status_code == 404


def test_what_a_link_keeps_ends_with_it(client, own, worker, shared, store):
    path, link = shared
    assert store.shared_figure(link, worker.run, "own")
    client.delete(f"/api/shares/{link}")
    assert store.shared_figure(link, worker.run, "own") is None
    assert client.get(f"{path}/figures/own?runs={worker.run}").status_code == 404


def test_a_shared_page_shows_nothing_of_a_run_that_is_being_removed(
    client, own, worker, shared, store
):
    path, link = shared
    with store.writing() as session:
        find_run(session, worker.run).deleted = True
    assert store.shared_figure(link, worker.run, "own"), "its rows are removed in the background"
    assert client.get(f"{path}/figures/own?runs={worker.run}").status_code == 404

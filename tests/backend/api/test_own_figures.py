"""Figures of plug-ins: listed and drawn by the supervisor's inspector, never for a visitor."""

import json
import re

import pytest

from backend.figures.catalogue import entry_of
from backend.figures.info import Chart, FigureInfo, Place

INFO = FigureInfo(
    "Own", "What it is.", "", ("runs",), (Chart("own-own", (Place("run", "own", 10),)),)
)
DRAWN = {
    "figure": {"data": [{"x": [1.0], "y": [2.0]}], "layout": {}},
    "shown": 1, "count": 1, "zoomed": False, "selection": "", "note": [], "details": [], "meta": {},
}  # fmt: skip
PROBLEM = {"problem": "ZeroDivisionError: division by zero (own.py, line 3)"}


@pytest.fixture
def own(fake):
    """The supervisor, with one figure of a plug-in."""
    fake.figures, fake.drawn = [entry_of("own", INFO)], {"figure": DRAWN}
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


def test_it_is_in_the_export_with_its_error(client, own, worker):
    where = f"/api/export/runs/{worker.run}.html"
    assert panel(client.get(where).text)["figure"] == DRAWN["figure"]
    own.drawn = PROBLEM
    assert panel(client.get(where).text)["note"] == PROBLEM["problem"]

"""A stored run in a notebook and in the terminal's export, with the figures of plug-ins."""

import json
from typing import ClassVar

import numpy as np
import pytest

from backend.figures import FigureError
from backend.jobs import home_drawer
from backend.jobs.attempt import DEFAULT_LIMITS
from backend.jobs.executor import InspectionError
from backend.jobs.inspector import answer
from backend.store import Store, open_engine
from backend.store.points import SeriesPoints
from backend.store.reports import WorkerReport
from backend.terminal.export import write
from gradlab import StoredHomeError, show_run

OWN = '''
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from gradlab import Figure


@dataclass(frozen=True)
class {name}(Figure):
    """The loss, with a line."""

    def figure(self, source, run):
        (loss,) = [s for s in source.series(run) if s.metric == "train/loss"]
        points = source.points(loss.id)
        {trouble}
        shown = go.Figure(go.Scatter(x=points.steps, y=[np.nan, *points.values[1:]]))
        return shown.add_vline(x=points.steps[1])
'''


class InProcess:
    """An executor that answers in this process; what a plug-in would hang in, it refuses."""

    asked: ClassVar[list] = []

    def __init__(self, home):
        self.home = home

    def open(self, ended):
        self.asked.clear()

    def close(self):
        self.asked.append("closed")

    def inspect(self, kind, payload, timeout):
        self.asked.append((kind, payload.get("name"), timeout))
        if payload.get("name") == "slow":
            raise InspectionError("no answer within 10 s; it was killed")
        return json.loads(answer(kind, payload))["result"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with one run of four steps."""
    home = tmp_path_factory.mktemp("home")
    (home / "plugins").mkdir()
    engine = open_engine(f"sqlite:///{home / 'lab.db'}")
    store = Store(engine)
    made = store.create_run({"name": "a run", "steps": 4}, {"driver": "backprop", "shadows": []})
    store.begin_attempt(made.id)
    steps, values = np.arange(4), np.array([4.0, 3.0, 2.0, 1.0])
    points = SeriesPoints("train/loss", "", "", "nats", steps, values)
    store.report(WorkerReport(made.id, 1, 0, "finished", [points]))
    engine.dispose()
    return home


@pytest.fixture
def plugins(home, monkeypatch):
    """The plug-in folder of the home, emptied afterwards; inspectors are of this process."""
    monkeypatch.setattr(home_drawer, "LocalExecutor", InProcess)
    folder = home / "plugins"
    yield folder
    for file in folder.iterdir():
        file.unlink()


def write_figures(folder, **troubles):
    for name, trouble in troubles.items():
        text = OWN.format(name=name.capitalize(), trouble=trouble)
        (folder / f"{name}.py").write_text(text)


def exported(home, to):
    """The panels of the file that `gradlab export 1 --html` writes, by their ids."""
    write("1", "html", to, {"home": home})
    begin = '<script type="application/json" id="panels">'
    panels, _ = json.JSONDecoder().raw_decode(to.read_text().partition(begin)[2])
    return {panel["id"]: panel["figures"] for panel in panels}


def test_plug_ins_figures_are_in_the_notebook_and_the_terminal_s_export(home, plugins, tmp_path):
    write_figures(plugins, own="pass")
    (shown,) = show_run(1, home).own_figures().values()
    panel = exported(home, tmp_path / "run.html")["r0-own-own"][""]
    assert list(shown.data[0].x) == panel["figure"]["data"][0]["x"] == [0, 1, 2, 3]
    assert list(shown.data[0].y) == panel["figure"]["data"][0]["y"] == [None, 3.0, 2.0, 1.0]
    assert panel["figure"]["layout"]["shapes"][0]["x0"] == 1
    assert panel["note"].startswith("drawn by own.py, SHA-256 ")
    assert "drawn by own.py, SHA-256 " in shown.layout.title.subtitle.text
    limits = {(kind, name): seconds for kind, name, seconds in InProcess.asked[:-1]}
    assert limits["figure", "own"] == DEFAULT_LIMITS.plugin
    assert InProcess.asked[-1] == "closed"


def test_one_that_fails_or_hangs_keeps_its_place(home, plugins, tmp_path):
    write_figures(plugins, bad="1 / 0", own="pass", slow="pass")
    panels = exported(home, tmp_path / "run.html")
    notes = [panels[f"r0-own-{name}"][""]["note"] for name in ("bad", "slow", "own")]
    assert notes[0].startswith("ZeroDivisionError: division by zero (bad.py, line 17); drawn by")
    assert notes[1].startswith("no answer within 10 s; it was killed; drawn by slow.py")
    assert notes[2].startswith("drawn by own.py")
    titles = [figure.layout.title.text for figure in show_run(1, home).all()]
    assert titles[-3:] == ["Bad", "Own", "Slow"]


def test_without_plug_ins_nothing_is_started(home, monkeypatch, tmp_path):
    monkeypatch.setattr(home_drawer, "LocalExecutor", None)
    views = show_run(1, home)
    assert views.own_figures() == {}
    assert views.save(tmp_path / "run.html").read_text().count("<figure>") == len(views.all())
    curve = views.curve(metric="train/loss")
    assert list(curve.data[0].y) == [4.0, 3.0, 2.0, 1.0]
    assert repr(views).startswith("figures of a run: ")


def test_a_run_that_is_not_there_is_refused(home, tmp_path):
    with pytest.raises(StoredHomeError, match="there is no run 7"):
        show_run(7, home)
    with pytest.raises(StoredHomeError, match=f"there is no lab in {tmp_path}"):
        show_run(1, tmp_path)
    with pytest.raises(FigureError, match="there is no layer 'none'; there are none"):
        show_run(1, home).curve(layer="none")

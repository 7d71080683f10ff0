"""Figures as a plug-in's author would write them, each with one bug."""

from dataclasses import dataclass
from itertools import count

import numpy as np
import plotly.graph_objects as go
import pytest

from backend.conformance import check
from backend.figures.own import Figure
from tests.backend.conformance.planted import bug, failures


@dataclass(frozen=True)
class Losses(Figure):
    """The training loss at every step."""

    reading = "Lower is better."
    metrics = ("train/loss",)

    def figure(self, source, run):
        shown = go.Figure()
        for series in source.series(run):
            if series.metric == "train/loss":
                points = source.points(series.id, max=1000)
                shown.add_scatter(x=points.steps, y=points.values)
        return shown


def first_loss(self, source, run):
    (loss,) = [s for s in source.series(run) if s.metric == "train/loss"]
    points = source.points(loss.id, max=1000)
    return go.Figure(go.Scatter(x=points.steps, y=points.values))


def every_series_thrice(self, source, run):
    return go.Figure([go.Scatter(y=[0, 1], name=s.metric) for s in source.series(run)] * 3)


TURNS = count()
BUGS = {
    "draws a run": [
        ("no figure", {"figure": lambda *_: {"data": []}}, "returned a dict"),
        ("no trace", {"figure": lambda *_: go.Figure()}, "no trace"),
        ("too many traces", {"figure": every_series_thrice}, "at most 40"),
        (
            "too many points",
            {"figure": lambda *_: go.Figure(go.Scatter(y=np.zeros(200_001)))},
            "200,001 points",
        ),
        ("an error", {"figure": lambda *_: 1 / 0}, "division by zero"),
    ],
    "draws a run without points": [("the first series", {"figure": first_loss}, "unpack")],
    "repeats": [
        (
            "a counter",
            {"figure": lambda *_: go.Figure(go.Scatter(y=[next(TURNS)]))},
            "two figures of the same points differ",
        )
    ],
}


def test_a_sound_figure_conforms():
    assert failures("figure", Losses) == {}
    verdicts = {v.name: v.detail for v in check("figure", Losses)}
    assert verdicts["draws a run"].startswith("1 trace of a run")


@pytest.mark.parametrize(
    ("name", "members", "words"),
    [pytest.param(name, *rest, id=title) for name, bugs in BUGS.items() for title, *rest in bugs],
)
def test_a_bug_fails_its_check(name, members, words):
    failed = failures("figure", bug(Losses, **members))
    assert [*failed] == [name]
    assert words in failed[name]


def test_a_metric_of_its_own_is_in_the_sample():
    asked = bug(Losses, metrics=("log/mine",), figure=lambda self, source, run: go.Figure(
        [go.Scatter(y=source.points(s.id, max=10).values) for s in source.series(run)
         if s.metric == "log/mine"]
    ))  # fmt: skip
    assert failures("figure", asked) == {}

"""The checks of a figure: that it draws a run, and one that has no points yet."""

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from backend.conformance.settings import Settings, describes_itself, name_of, settings_of
from backend.figures import Memory, MemoryRun
from backend.figures.data.metrics import MEASURES
from backend.figures.own import Figure, drawn, in_json, info_of
from backend.training.components.discovery import catalogue_name

if TYPE_CHECKING:
    import plotly.graph_objects as go

RUN = "r1"
STAGES = ("hidden1", "head")
LABELS = {"driver": "forward_gradient", "shadows": ["backprop"]}
MOST_TRACES = 40
"""Traces of one chart, which a reader still tells apart."""


class FigureTrial:
    """One setting of a figure."""

    def __init__(self, figure: Figure, setting: str, settings: Settings) -> None:
        self.figure, self.settings = figure, settings
        self.name = name_of(setting, catalogue_name(type(figure)))
        self.drawn = cache(self._drawn)

    def _drawn(self, *, empty: bool) -> "go.Figure":
        cls = type(self.figure)
        source = sample_source(empty=empty, metrics=cls.metrics)
        return drawn(self.figure, info_of(catalogue_name(cls), cls, cls.__name__), source, RUN)


def trials_of(cls: type[Figure]) -> list[FigureTrial]:
    """Every setting that can be made."""
    settings = settings_of(cls)
    return [FigureTrial(figure, setting, settings) for setting, figure in settings.made.items()]


def sample_source(*, empty: bool, metrics: tuple[str, ...] = ()) -> Memory:
    """A training run with two estimators and two stages, or the same before its first point."""
    source, rng = Memory(), np.random.default_rng(0)
    layers = [
        {"name": f"{stage}.weight", "stage": stage, "shape": [4, 4], "count": 16}
        for stage in STAGES
    ]
    config = {"steps": 20, "batch_size": 32, "optimizer": {"name": "sgd", "lr": 0.01}}
    facts = {"layers": layers, "parameters": 32}
    source.add_run(RUN, MemoryRun(1, "a run", config=config, labels=LABELS, facts=facts))
    if empty:
        return source
    steps = np.arange(20)
    for metric in dict.fromkeys(("train/loss", "validation/accuracy", *metrics)):
        source.add(RUN, metric, steps, 1.0 / (1.0 + steps))
    for label in (LABELS["driver"], *LABELS["shadows"]):
        for metric in MEASURES:
            for layer in ("", *STAGES, *(f"{stage}.weight" for stage in STAGES)):
                values = 0.2 + rng.random(len(steps))
                source.add(RUN, metric, steps, values, layer=layer, estimator=label)
    return source


def draws_a_run(trial: FigureTrial) -> str:
    """It gives a plotly figure of a run with every metric that the lab measures."""
    traces: Any = trial.drawn(empty=False).data
    assert traces, "the figure of a run with points has no trace"
    assert len(traces) <= MOST_TRACES, (
        f"the figure has {len(traces)} traces; at most {MOST_TRACES} can be told apart"
    )
    return f"{len(traces)} trace{'s' * (len(traces) > 1)} of a run of 20 steps"


def draws_a_run_without_points(trial: FigureTrial) -> str:
    """A run that has just been started is drawn too, without an error."""
    trial.drawn(empty=True)
    return ""


def fits_in_json(trial: FigureTrial) -> str:
    """The browser gets it as JSON, in which NaN and ±∞ are gaps."""
    text = json.dumps(in_json(trial.drawn(empty=False)), allow_nan=False)
    return f"{len(text) / 1e3:,.0f} kB"


def repeats(trial: FigureTrial) -> str:
    """The same points give the same figure, so that an export shows what the page shows."""
    again = trial._drawn(empty=False)
    assert in_json(again) == in_json(trial.drawn(empty=False)), (
        "two figures of the same points differ: it may read nothing but its source"
    )
    return ""


def has_words(trial: FigureTrial) -> str:
    """What the page says of it."""
    cls = type(trial.figure)
    return describes_itself(cls) or ("" if cls.reading else "no reading: how is it read?")

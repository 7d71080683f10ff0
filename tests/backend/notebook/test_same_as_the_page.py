"""A notebook's figures are those that the page draws of the same draws."""

import numpy as np
import pytest
import torch
from torch import nn

from backend.figures import Memory, MemoryRun, note_text, plotted
from backend.notebook import show
from backend.notebook.series import RUN
from backend.training.components.assemble import Labelled
from backend.training.microscope.drawing import Drawing
from backend.training.microscope.looks.what_if import Tickets
from backend.training.records import Points
from estimators import (
    Backprop,
    DirectFeedbackAlignment,
    ForwardGradient,
    Site,
    anatomy,
    measure,
    sweep,
    what_if,
)
from estimators.core.streams import stream
from estimators.measurement.draws.one_step import Lottery, ground
from estimators.measurement.estimates.observation import point
from estimators.measurement.inputs.subject import subject

torch.manual_seed(0)
NET = nn.Sequential(nn.Linear(3, 5), Site(), nn.Tanh(), nn.Linear(5, 2))
X, Y = torch.randn(8, 3, generator=stream(0, "data")), torch.tensor([0, 1] * 4)
LOSS = nn.CrossEntropyLoss()
WHO = [ForwardGradient(), DirectFeedbackAlignment(), Backprop()]
DRAWS, SEED = 520, 3


def held(records, config, **more):
    """What the store has of a microscope's reports."""
    made: dict = {}
    for one in records:
        if isinstance(one, Points):
            steps, values = made.setdefault((one.metric, one.layer, one.estimator), ([], []))
            steps += one.steps.tolist()
            values += one.values.tolist()
    source, labels = Memory(), list(measured().values)
    run = MemoryRun(
        None, show(measured())._source.run(RUN).name, config,
        {"driver": labels[0], "shadows": labels[1:]}, **more,
    )  # fmt: skip
    source.add_run(RUN, run)
    for (metric, layer, estimator), (steps, values) in made.items():
        source.add(RUN, metric, steps, values, layer=layer, estimator=estimator)
    return source


def once(make):
    kept = []
    return lambda: kept[0] if kept else kept.append(make()) or kept[0]


measured = once(lambda: measure(NET, LOSS, (X, Y), WHO, DRAWS, SEED))


@once
def page():
    """The same by the page's own code."""
    of = subject(NET, LOSS, (X, Y), WHO, SEED)
    at, records = point(of.chain, of.params), []
    for layer, norm in zip(at.layers, at.norms.tolist(), strict=True):
        records.append(Points("exact/norm", layer, "", "", np.zeros(1, int), np.array([norm])))
    for label, (estimator, state) in of.watched.items():
        drawing = Drawing(Labelled(label, estimator), at, state, DRAWS, SEED, 0)
        while drawing.made < DRAWS:
            drawing.take()
        records += [*drawing.points(), *drawing.last()]
    facts = show(measured())._source.run(RUN).facts
    return held(records, {"microscope": {"draws": DRAWS, "sweep": None}}, facts=facts)


def close(a, b):
    """The same but for rounding."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            close(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            close(x, y)
    elif isinstance(a, float):
        assert b == pytest.approx(a, rel=1e-4, abs=1e-6, nan_ok=True)
    else:
        assert a == b


def table(source):
    return {
        (s.metric, s.layer, s.estimator): source.points(s.id).values.tolist()
        for s in source.series(RUN)
    }


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("histogram", {}),
        ("histogram", {"metric": "along", "layer": "0"}),
        ("histogram", {"metric": "norm_ratio"}),
        ("cloud", {"estimator": "forward_gradient"}),
        ("convergence", {"layer": "3"}),
        ("bias_variance", {"units": "raw", "k": 8}),
        ("measures_table", {"layer": "3"}),
        ("lamps", {"metric": "scaled_error"}),
        ("verdict", {"level": "tensor"}),
        ("paired", {"metric": "cosine"}),
        ("carpet", {"metric": "relative_variance", "level": "tensor"}),
    ],
)
def test_a_measurement_is_drawn_as_the_page_draws_it(name, asked):
    here = getattr(show(measured()), name)(**asked)
    query = {"runs": RUN, **{key: str(value) for key, value in asked.items()}}
    close(plotted(name, page(), query).to_plotly_json()["data"], here.to_plotly_json()["data"])
    assert here.data


def test_a_measurement_has_every_series_of_a_microscope_and_no_other():
    ours, theirs = table(show(measured())._source), table(page())
    # The page knows the bias's standard error at 8, 16, 32, … too; here it is of all draws.
    assert ours.keys() == theirs.keys()
    for key, values in ours.items():
        last = key[0] == "relative_squared_bias_se" or key[0].endswith("_se")
        last = last or key[0].startswith(("law/", "lamp/")) or key[0] == "draw/nonfinite"
        close(theirs[key][-1:] if last else theirs[key], values[-1:] if last else values)


def test_the_table_s_lamps_are_those_of_the_figure():
    of = measured()
    for metric in ("relative_variance", "scaled_error"):
        lit = show(of).lamps(metric, level="tensor").to_plotly_json()["data"]
        counts = {
            word: sum(word in (one.get("name") or "").split() for one in lit for _ in one["x"])
            for word in ("agrees", "disagrees")
        }
        shown = [of.place(layer) for layer in ("", *of.tensors)]
        known = [each[metric][i] for each in of.lamps.values() for i in shown]
        assert {word: known.count(word) for word in counts} == counts


def test_what_is_said_beside_a_figure_stands_in_its_title():
    figure = show(measured()).convergence()
    note = note_text(plotted("convergence", page(), {"runs": RUN}).layout.meta)
    title = figure.layout.title.subtitle.text.replace("<br>", " ")
    assert " ".join(note.split()) in " ".join(title.split())


def test_a_sweep_is_drawn_as_the_page_draws_it():
    values = [1, 4, 16]
    found = sweep(NET, LOSS, (X, Y), WHO, "tangents", values, 130, SEED)
    records = []
    for value in values:
        one = {"forward_gradient": ForwardGradient(tangents=value)}
        of = subject(NET, LOSS, (X, Y), one, SEED)
        at = point(of.chain, of.params)
        for label, (estimator, state) in of.watched.items():
            made = Drawing(Labelled(label, estimator), at, state, 130, SEED, 0, along=False)
            while made.made < 130:
                made.take()
            records += made.measures("sweep/", value)
    config = {"microscope": {"draws": 130, "sweep": {"field": "tangents", "values": values}}}
    page, ours = held(records, config), show(found)
    query = {"runs": RUN, "metric": "relative_variance"}
    close(
        plotted("sweep", page, query).to_plotly_json()["data"],
        ours.sweep().to_plotly_json()["data"],
    )
    finite = {key: x for key, x in table(page).items() if np.isfinite(x).all()}
    close(finite, {key: x for key, x in table(ours._source).items() if key in finite})


def test_lotteries_are_told_as_the_page_tells_them():
    rates = [0.01, 0.1]
    ours = table(show(what_if(NET, LOSS, (X, Y), WHO, 70, SEED, rates=rates))._source)
    of, records = subject(NET, LOSS, (X, Y), WHO, SEED), []
    at = ground(of.chain, of.params)
    for label, (estimator, state) in of.watched.items():
        tickets = Tickets(Lottery(at, estimator, state, 70, rates, SEED, label))
        while not tickets.done:
            tickets.take()
        records += tickets.points()
    for key, values in table(held(records, {})).items():
        each = len(values) == 70
        close(values if each else values[-1:], ours[key])


def test_an_anatomy_s_series_are_its_numbers():
    batches = [(torch.randn(8, 3, generator=stream(i, "data")), Y) for i in range(9)]
    found = anatomy(NET, LOSS, batches, WHO, 4, SEED, population=100)
    views = show(found)
    ours, layers = table(views._source), found.first.layers
    for label, one in found.of.items():
        for part in ("data", "estimator", "fixed", "signal", "data_se", "estimator_se", "fixed_se"):
            for layer, value in zip(layers, getattr(one, part), strict=True):
                assert ours[f"anatomy/{part}", layer, label] == [value]
    assert ours["anatomy/population", "", ""] == [100]
    assert views.anatomy().data
    assert views.budget(16).data

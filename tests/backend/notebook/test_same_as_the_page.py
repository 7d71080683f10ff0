"""A notebook's figures are those that the page draws of the same draws."""

import base64

import numpy as np
import pytest
import torch
from torch import nn

from backend.figures import Memory, MemoryRun, note_text, plotted
from backend.notebook import show
from backend.notebook.series import RUN
from backend.series.draws import SWEEP, exact_norms, reference_floors
from backend.series.points import joined
from backend.training.components.assemble import Labelled
from backend.training.microscope.estimator_draws import EstimatorDraws
from backend.training.microscope.one_step import OneStepStream
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
from estimators.core.noise import stream
from estimators.measurement.draws.one_step import OneStepDraws, starting_point
from estimators.measurement.estimates.observation import point
from estimators.measurement.inputs.subject import subject

torch.manual_seed(0)
# In float64: chunks of other sizes sum in another order, and the squared bias is a small difference
# of large sums, so that float32 draws would agree in few digits.
NET = nn.Sequential(nn.Linear(3, 5), Site(), nn.Tanh(), nn.Linear(5, 2)).double()
X = torch.randn(8, 3, generator=stream(0, "data"), dtype=torch.float64)
Y = torch.tensor([0, 1] * 4)
LOSS = nn.CrossEntropyLoss()
WHO = [ForwardGradient(), DirectFeedbackAlignment(), Backprop()]
DRAWS, SEED = 520, 3


def stored(records, config, **more):
    """What the store has of a microscope's reports."""
    source, labels = Memory(), list(measured().values)
    run = MemoryRun(
        None, show(measured())._source.run(RUN).name, config,
        {"driver": labels[0], "shadows": labels[1:]}, **more,
    )  # fmt: skip
    source.add_run(RUN, run)
    for each in joined(one for one in records if isinstance(one, Points)):
        source.add(
            RUN, each.metric, each.steps, each.values,
            layer=each.layer, estimator=each.estimator, unit=each.unit,
        )  # fmt: skip
    return source


def once(make):
    kept = []
    return lambda: kept[0] if kept else kept.append(make()) or kept[0]


measured = once(lambda: measure(NET, LOSS, (X, Y), WHO, DRAWS, SEED))


@once
def page():
    """The same by the page's own code."""
    of = subject(NET, LOSS, (X, Y), WHO, SEED)
    at = point(of.chain, of.params)
    records = list(exact_norms(at.layers, at.norms.tolist()))
    records += reference_floors(at.layers, at.floors.tolist(), at.growth)
    for label, (estimator, state) in of.watched.items():
        draws = EstimatorDraws(Labelled(label, estimator), at, state, DRAWS, SEED, 0)
        while draws.made < DRAWS:
            draws.take()
        records += [*draws.points(), *draws.redrawn(), *draws.last()]
    facts = show(measured())._source.run(RUN).facts
    return stored(records, {"microscope": {"draws": DRAWS, "sweep": None}}, facts=facts)


def close(a, b):
    """The same but for rounding."""
    if isinstance(a, dict) and "bdata" in a:  # plotly's encoding of an array
        assert (a["dtype"], a.get("shape")) == (b["dtype"], b.get("shape"))
        a, b = (np.frombuffer(base64.b64decode(x["bdata"]), x["dtype"]).tolist() for x in (a, b))
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            close(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            close(x, y)
    elif isinstance(a, float):
        assert b == pytest.approx(a, rel=1e-9, abs=1e-12, nan_ok=True)
    else:
        assert a == b


def table(source):
    return {
        (s.metric, s.layer, s.estimator): source.points(s.id).values.tolist()
        for s in source.series(RUN)
    }


def in_short(figure):
    """The traces with the names that their legend shows."""
    for trace in figure.data:
        trace.name = (trace.meta or {}).get("short") or trace.name
    return figure.to_plotly_json()["data"]


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
        ("law_checks", {"metric": "scaled_error"}),
        ("verdict", {"level": "tensor"}),
        ("paired", {"metric": "cosine"}),
        ("carpet", {"metric": "relative_variance", "level": "tensor"}),
    ],
)
def test_a_measurement_is_drawn_as_the_page_draws_it(name, asked):
    here = getattr(show(measured()), name)(**asked)
    query = {"runs": RUN, **{key: str(value) for key, value in asked.items()}}
    close(in_short(plotted(name, page(), query)), here.to_plotly_json()["data"])
    assert here.data


def test_a_measurement_has_every_series_of_a_microscope_and_no_other():
    ours, theirs = table(show(measured())._source), table(page())
    # The page knows the bias's standard error and the null of the scaled error at 8, 16, 32, …
    # too; here they are of all draws.
    assert ours.keys() == theirs.keys()
    for key, values in ours.items():
        last = key[0] == "relative_squared_bias_se" or key[0].endswith("_se")
        last = (
            last
            or key[0].startswith(("law/", "law_check/"))
            or key[0] in ("draw/nonfinite", "draw/heavy_tail", "scaled_error_null")
        )
        close(theirs[key][-1:] if last else theirs[key], values[-1:] if last else values)


def test_the_table_s_law_checks_are_those_of_the_figure():
    of = measured()
    for metric in ("relative_variance", "scaled_error"):
        drawn = show(of).law_checks(metric, level="tensor").to_plotly_json()["data"]
        counts = {
            word: sum(word in (one.get("name") or "").split() for one in drawn for _ in one["x"])
            for word in ("agrees", "disagrees")
        }
        shown = [of.place(layer) for layer in ("", *of.tensors)]
        known = [each[metric][i].verdict for each in of.law_checks.values() for i in shown]
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
        records += exact_norms(at.layers, at.norms.tolist(), value, SWEEP)
        records += reference_floors(at.layers, at.floors.tolist(), at.growth, value, SWEEP)
        for label, (estimator, state) in of.watched.items():
            draws = EstimatorDraws(
                Labelled(label, estimator), at, state, 130, SEED, 0, each_draw=False, prefix=SWEEP
            )
            records += draws.laws(value)
            while draws.made < 130:
                draws.take()
            records += draws.measures(value)
    config = {"microscope": {"draws": 130, "sweep": {"field": "tangents", "values": values}}}
    page, ours = stored(records, config), show(found)
    query = {"runs": RUN, "metric": "relative_variance"}
    close(
        in_short(plotted("sweep", page, query)),
        ours.sweep().to_plotly_json()["data"],
    )
    close(table(page), table(ours._source))


def test_one_step_draws_have_the_series_of_the_page():
    rates = [0.01, 0.1]
    ours = table(show(what_if(NET, LOSS, (X, Y), WHO, 70, SEED, rates=rates))._source)
    of, records = subject(NET, LOSS, (X, Y), WHO, SEED), []
    at = starting_point(of.chain, of.params)
    for label, (estimator, state) in of.watched.items():
        stream_ = OneStepStream(OneStepDraws(at, estimator, state, 70, rates, SEED, label))
        while not stream_.done:
            stream_.take()
        records += stream_.points()
    for key, values in table(stored(records, {})).items():
        each = len(values) == 70
        close(values if each else values[-1:], ours[key])


def test_an_anatomy_s_series_are_its_numbers():
    batches = [
        (torch.randn(8, 3, generator=stream(i, "data"), dtype=torch.float64), Y) for i in range(9)
    ]
    found = anatomy(NET, LOSS, batches, WHO, 4, SEED, population=100)
    views = show(found)
    ours, layers = table(views._source), found.first.layers
    for label, one in found.by_label.items():
        for part in ("data", "estimator", "fixed", "signal", "data_se", "estimator_se", "fixed_se"):
            for layer, value in zip(layers, getattr(one, part), strict=True):
                assert ours[f"anatomy/{part}", layer, label] == [value]
    assert ours["anatomy/population", "", ""] == [100]
    assert views.anatomy().data
    assert views.budget(16).data

"""What a notebook sees, what a file holds, and what cannot be shown."""

import sys
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from torch import nn

from backend.figures import FigureError
from backend.notebook import show
from estimators import (
    SPSA,
    Backprop,
    Equilibrium,
    ForwardGradient,
    adjoint_map,
    anatomy,
    compare,
    measure,
    probe,
    sweep,
    what_if,
)
from estimators.core.noise import stream
from estimators.measurement.inputs.subject import subject

torch.manual_seed(0)
NET = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
RNG = stream(0, "data")
BATCHES = [(torch.randn(4, 3, generator=RNG), torch.tensor([0, 1] * 2)) for _ in range(5)]
LOSS = nn.CrossEntropyLoss()
WHO = {"forward": ForwardGradient(), "<b>": SPSA()}


@pytest.fixture(scope="module")
def measured():
    return measure(NET, LOSS, BATCHES[0], WHO, draws=20)


def test_a_notebook_shows_the_table_and_every_figure(measured, monkeypatch):
    seen = []
    display = ModuleType("IPython.display")
    display.display = lambda *shown: seen.extend(shown)
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    views = show(measured)
    views._ipython_display_()
    assert seen[0] is measured
    titles = [figure.layout.title.text for figure in seen[1:]]
    assert titles == [figure.layout.title.text for figure in views.all()]
    assert {"Cosine of the draws", "Draw cloud · forward", "Measures and laws"} <= {*titles}


def test_every_method_that_is_listed_draws(measured):
    kinds = [
        show(measured),
        show(sweep(NET, LOSS, BATCHES[0], WHO, "batch_size", [2, 4], draws=8)),
        show(compare(NET, LOSS, BATCHES, WHO, draws=8)),
        show(anatomy(NET, LOSS, BATCHES, WHO, draws=2)),
        show(what_if(NET, LOSS, BATCHES[0], WHO, draws=8)),
    ]
    for views in kinds:
        assert views.figures
        for name in views.figures:
            assert f".{name}()" in repr(views)
            assert getattr(views, name)().layout.title.text
        assert views.all()


def test_an_adjoint_map_is_shown_and_saved_with_its_menus(tmp_path):
    net = nn.Sequential(nn.Linear(3, 4), Equilibrium(nn.Bilinear(4, 4, 4)), nn.Linear(4, 2))
    with torch.no_grad():
        net[1].cell.weight.mul_(0.1)
    found = adjoint_map(
        net, LOSS, BATCHES[0], steps=[1, 3], damping=[1.0], factors=[0.5, 1.0],
        solvers=["broyden"], repeats=1,
    )  # fmt: skip
    views = show(found)
    for name in views.figures:
        assert getattr(views, name)().layout.title.text
    cosines = views.adjoint_map(adjoint="upg", factor=0.5).data[0].text
    assert cosines[1][0] != views.adjoint_map(adjoint="upg").data[0].text[1][0]
    first = views.all()[0]
    assert "factor 1" in first.layout.title.subtitle.text, "the network as it is comes first"
    text = views.save(tmp_path / "map.html").read_text()
    assert text.count("<select") == 3
    with pytest.raises(FigureError, match="factor is 2; this map has"):
        views.adjoint_map(factor=2)


def test_a_file_holds_everything_and_no_label_breaks_out(measured, tmp_path):
    path = show(measured, "mine").save(tmp_path / "seen.html")
    text = path.read_text()
    assert "<title>mine</title>" in text
    assert "forward: " in text
    assert "Draw cloud" in text
    assert "gradlab run" not in text
    assert "<b>: " not in text


def test_what_is_not_there_is_told_with_what_is(measured):
    views = show(measured)
    with pytest.raises(FigureError, match=r"no layer 'x'; there are '0', '2', '0\.weight'"):
        views.histogram(layer="x")
    with pytest.raises(FigureError, match="no estimator 'x'; there are 'forward', '<b>'"):
        views.cloud("x")
    with pytest.raises(FigureError, match="k is '0'"):
        views.bias_variance(k=0)
    with pytest.raises(FigureError, match="there is no figure 'x'"):
        views.figure("x")
    with pytest.raises(TypeError, match="dict was given; what measure, sweep, compare"):
        show({})


def test_one_draw_and_a_dead_layer_are_shown_in_words():
    class Dead(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x):
            return self.used(x)

    views = show(measure(Dead(), LOSS, BATCHES[0], [Backprop(), SPSA()], draws=1))
    for name in views.figures:
        assert getattr(views, name)().layout.title.text
    assert views.histogram(layer="").data


def test_a_sweep_without_a_law_has_the_slope_of_theory():
    found = sweep(NET, LOSS, BATCHES[0], {"it": SPSA()}, "pairs", [1, 4, 16], draws=130)
    bare = replace(found, measurements=tuple(replace(m, laws={}) for m in found.measurements))
    said = show(bare).sweep().layout.title.subtitle.text
    assert "theory −1" in said


def test_a_probe_s_measurement_has_its_dots():
    of = subject(NET, LOSS, BATCHES[0], WHO)
    found = probe(of.chain, of.params, of.watched, draws=4)
    assert show(found).dots().data
    assert str(found).startswith("4 draws at loss")

"""The adjoint map of a run: a series for every number, in order, while it is measured."""

import pytest

from backend.config import MicroscopeConfig
from backend.notebook import show
from backend.training.components.assemble import assemble
from backend.training.control import Control
from backend.training.loop import train
from backend.training.microscope import adjoint_map as kind
from backend.training.microscope.frozen_run import load_frozen_run
from backend.training.microscope.run import run_microscope
from estimators.measurement.adjoint_map import records_of
from estimators.measurement.adjoints.records import Cell
from estimators.measurement.adjoints.result import AdjointMap
from estimators.measurement.draws.summary import layer_groups
from estimators.statistics.adjoint_grid import AdjointGrid

GRID = {"steps": [1, 3], "damping": [0.5, 1.0], "factors": [0.5, 1.0], "solvers": ["broyden"]}
STAGE = "equilibrium.layer"
NETWORK = {"name": "implicit_mlp", "width": 6}


@pytest.fixture
def asked(config, gather, tmp_path, plugins):
    """(a request at the checkpoint of a run of 3 steps, its folder)."""
    driver = {"name": "implicit_adjoint"}
    run = config(steps=3, shadows=[], estimator=driver, network=NETWORK)
    trained = train(run, checkpoint_dir=tmp_path, plugin_dirs=plugins)
    assert gather(trained).ended.status == "finished"
    microscope = {"run": "r1", "step": 3, "draws": 2, "adjoint_map": GRID}
    return MicroscopeConfig.model_validate({**run.model_dump(), "microscope": microscope})


def test_every_number_is_a_point_in_the_order_of_measurement(asked, gather, tmp_path):
    found = gather(run_microscope(asked, folder=tmp_path))
    assert found.ended.status == "finished", found.ended.error
    total = AdjointGrid(**{name: tuple(values) for name, values in GRID.items()}).measurements(2)
    assert (found.progress[-1].step, found.progress[-1].steps) == (total, total)
    for series in found.points.values():
        assert list(series) == sorted(series), "the store takes ascending steps alone"
    for layer in ("", "equilibrium", "equilibrium.layer.cell.recurrent.weight", "head"):
        assert list(found.of("adjoint_map/cosine", layer, "npg")) == list(range(8))
        assert list(found.of("adjoint_map/relative_error", layer, "ift")) == [0, 1]
    assert list(found.of("adjoint_map/bound/met", STAGE, "")) == list(range(8))
    radii = found.of("adjoint_map/radius", STAGE, "")
    assert 0 < radii[1] < radii[0] < 1, "place 0 is the network as it is, place 1 factor 0.5"
    assert list(found.of("adjoint_map/cost/ratio/broyden", "", "upg")) == list(range(4))
    assert found.of("adjoint_map/cost/ratio/broyden", "", "ift") == {0: 1.0}


def test_an_export_says_the_setting_of_each_number(asked, gather, tmp_path):
    """The README's way, by `step`, in the run's points and in those of `show`."""
    found = gather(run_microscope(asked, folder=tmp_path))
    places = {
        name: found.of(f"adjoint_map/setting/{name}") for name in ("factor", "steps", "damping")
    }
    settings = [(c, k, share) for c in (1.0, 0.5) for k in (1, 3) for share in (0.5, 1.0)]
    cosines = found.of("adjoint_map/cosine", "", "npg")
    assert [tuple(values[step] for values in places.values()) for step in cosines] == settings
    radii = found.of("adjoint_map/radius", STAGE, "")
    assert found.of("adjoint_map/factor") == {0: 1.0, 1: 0.5}
    assert list(radii) == [0, 1]


def test_the_page_s_numbers_are_those_of_the_library(asked, gather, tmp_path):
    found = gather(run_microscope(asked, folder=tmp_path))
    assembly = assemble(asked, ())
    run = load_frozen_run(asked, assembly, tmp_path, found.facts.device)
    grid = asked.microscope.adjoint_map.grid
    layers, _ = layer_groups(run.chain, list(run.params))
    records = records_of(run.chain, run.params, grid, 2, kind.EXAMPLES)
    result = AdjointMap(grid, layers, tuple(r for r in records if r is not None))
    for series in show(result)._source.series("measurement"):
        if "seconds" in series.metric or "ratio" in series.metric:
            continue
        key = series.metric, series.layer, series.estimator
        points = show(result)._source.points(series.id)
        ours = dict(zip(points.steps.tolist(), points.values.tolist(), strict=True))
        assert found.of(*key) == pytest.approx(ours, nan_ok=True), key
    cell = result.cells[0.5, "npg", 3, 1.0]
    assert isinstance(cell, Cell)
    place = grid.number(0.5, 3, 1.0)
    assert found.of("adjoint_map/cosine", "", "npg")[place] == cell.cosine[0]


def test_a_cancelled_map_keeps_what_it_has(asked, gather, tmp_path):
    control = Control()

    def stopping(records):
        for record in records:
            control.cancel = True
            yield record

    found = gather(stopping(run_microscope(asked, control, folder=tmp_path)))
    assert found.ended.status == "cancelled"
    assert found.of("adjoint_map/radius", STAGE, "")
    assert not any(metric.startswith("adjoint_map/cost/") for metric, _, _ in found.points)

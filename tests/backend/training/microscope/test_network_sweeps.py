"""Sweeps over the network: each value a network at its initialisation, held to its law."""

import numpy as np
import pytest
import torch

from backend.config import MicroscopeConfig
from backend.figures.data import slope
from backend.training.loop import train
from backend.training.microscope.frozen_run import FrozenRun
from backend.training.microscope.run import run_microscope
from backend.training.networks.mlp import MLP
from backend.training.records import Points, Progress

NORMAL = {"name": "forward_gradient", "noise": "normal"}
LABEL = "forward_gradient(noise=normal)"
WIDTHS = [2, 8, 32]
VARIANCE = "sweep/relative_variance"


@pytest.fixture
def trained(config, gather, plugins, tmp_path):
    def make(**changes):
        run = config(steps=20, **changes)
        records = train(run, checkpoint_dir=tmp_path / "c", plugin_dirs=plugins)
        assert gather(records).ended.status == "finished"
        return run, tmp_path / "c"

    return make


@pytest.fixture
def records(plugins):
    def make(run, folder, field=None, values=(), *estimators, **of):
        driver, *shadows = estimators or (NORMAL,)
        sweep = {"field": field, "values": values} if field else None
        of = {"run": "r1", "step": 20, "draws": 8, "sweep": sweep, **of}
        body = {**run.model_dump(), "estimator": driver, "shadows": shadows, "microscope": of}
        asked = MicroscopeConfig.model_validate(body)
        return list(run_microscope(asked, folder=folder, plugin_dirs=plugins))

    return make


@pytest.fixture
def see(gather, records):
    def make(*args, **of):
        seen = gather(records(*args, **of))
        assert seen.ended.status == "finished", seen.ended.error
        return seen

    return make


def test_draws_agree_with_the_law_and_scatter_grows_as_the_dimension(trained, see):
    seen = see(*trained(), "network.width", WIDTHS, draws=2000)
    d = seen.of("sweep/parameters")
    assert d == {w: MLP(width=w).count((2,), 2) for w in WIDTHS}
    for layer in ("", "hidden1", "head.linear.weight"):
        measured, error, law = (
            np.array(list(seen.of(name, layer, LABEL).values()))
            for name in (VARIANCE, f"{VARIANCE}_se", "sweep/law/relative_variance")
        )
        assert (abs(measured - law) < 5 * error).all()
        if layer == "":
            found = slope.fitted(np.array(list(d.values())), measured, error)
    assert abs(found.value - 1) < 4 * found.error
    assert found.error < 0.1


def test_a_value_is_the_network_that_a_run_of_it_starts_from(trained, see):
    run, folder = trained(network={"name": "mlp", "width": 4}, seed=7)
    swept = see(run, folder, "network.width", [4, 8], step=0)
    alone = see(run, folder, step=0)
    assert swept.of("sweep/cosine", "", LABEL)[4] == alone.of("cosine", "", LABEL)[8]
    assert [e.text for e in swept.events] == [
        "every network is at its initialisation, of the run's seed 7"
    ]


def test_weights_of_a_trained_checkpoint_are_left_and_a_sentence_says_so(trained, see):
    run, folder = trained()
    seen, again = see(run, folder, "network.width", [8, 16]), see(run, folder)
    (told,) = (e.text for e in seen.events)
    assert told.endswith("of the run's seed 0; the weights of step 20 belong to width 8 alone")
    assert seen.of("sweep/cosine", "", LABEL)[8] != again.of("cosine", "", LABEL)[8]


def test_layers_that_only_deeper_networks_have_are_known(trained, see):
    seen = see(*trained(), "network.depth", [1, 4])
    assert list(seen.of(VARIANCE, "hidden3", LABEL)) == [4]
    assert list(seen.of(VARIANCE, "head", LABEL)) == [1, 4]
    assert {row["stage"] for row in seen.facts.layers} >= {"hidden1", "hidden4", "head"}
    assert seen.facts.parameters == MLP(width=8).count((2,), 2)


@pytest.mark.parametrize(
    ("network", "field", "values", "estimator"),
    [
        ({"name": "mlp", "width": 4}, "activation", ["relu", "tanh"], NORMAL),
        ({"name": "cnn", "channels": 2}, "channels", [2, 3], NORMAL),
        ({"name": "local_mixer", "channels": 8}, "blocks", [1, 2], {"name": "local_losses"}),
    ],
)
def test_other_networks_and_fields(network, field, values, estimator, trained, see):
    image = {} if network["name"] == "mlp" else {"dataset": {"name": "digits"}, "batch_size": 4}
    seen = see(*trained(network=network, **image), f"network.{field}", values, estimator)
    (points,) = (p for (m, layer, _), p in seen.points.items() if (m, layer) == (VARIANCE, ""))
    assert list(points) == (values if field != "activation" else [0, 1])
    assert np.isfinite(list(points.values())).all()


def test_what_was_learned_on_another_network_is_left(trained, see):
    run, folder = trained(estimator={"name": "drifting"})
    seen = see(run, folder, "network.width", [8, 16], {"name": "drifting"})
    assert set(seen.of("sweep/norm_ratio", "", "drifting").values()) == {1.0}
    field = see(run, folder, "channels", [1, 2], {"name": "drifting"})
    assert set(field.of("sweep/norm_ratio", "", "drifting").values()) == {1.0}


def test_the_law_comes_first_and_one_estimator_after_the_other(trained, records):
    made = records(*trained(), "network.width", [4, 8], NORMAL, {"name": "backprop"}, draws=40)
    law = "sweep/law/relative_variance"
    order = [
        (r.metric, r.estimator, int(r.steps[0]))
        for r in made
        if isinstance(r, Points) and r.layer == "" and r.metric in (law, VARIANCE)
    ]
    assert order == [
        (name, label, width)
        for width in (4, 8)
        for name in (law, VARIANCE)
        for label in (LABEL, "backprop")
    ]
    steps = [r.step for r in made if isinstance(r, Progress)]
    assert steps == sorted(steps)
    assert steps[-1] == 80


def test_another_network_is_on_the_batch_of_the_step(trained, records, monkeypatch):
    seen, untrained = [], FrozenRun.untrained
    monkeypatch.setattr(
        FrozenRun, "untrained", lambda s, n: seen.append((s, untrained(s, n))) or seen[-1][1]
    )
    records(*trained(), "network.width", [4, 8])
    (held, other), *_ = seen
    assert torch.equal(other.chain.x, held.chain.x)
    assert other.params.keys() == held.params.keys()
    assert other.states == {}

"""The same network, batches and seeds, trained by the lab and by hand: the same measures."""

import pytest
import torch

import gradlab
from backend.config import RunConfig
from backend.training.components.assemble import assemble
from backend.training.loop import train
from backend.training.records import Points

STEPS, EVERY = 13, 4
CONFIG = RunConfig.model_validate({
    "dataset": {"name": "digits"},
    "network": {"name": "mlp", "width": 12},
    "estimator": {"name": "backprop"},
    "shadows": [
        {"name": "forward_gradient", "tangents": 2},
        {"name": "activity_forward_gradient"},
        {"name": "direct_feedback_alignment"},
        {"name": "drifting"},
    ],
    "optimizer": {"name": "sgd", "lr": 0.1},
    "steps": STEPS,
    "batch_size": 32,
    "seed": 3,
    "device": "cpu",
    "probe": {"draws": 6, "every": EVERY},
})  # fmt: skip
METRICS = (
    "cosine", "scaled_error", "relative_variance", "relative_squared_bias", "norm_ratio",
    "exact/norm", "law/relative_variance",
)  # fmt: skip


def by_the_lab(plugins):
    records = [r for r in train(CONFIG, plugin_dirs=plugins) if isinstance(r, Points)]
    return {
        (r.metric, r.layer, r.estimator, step): value
        for r in records
        if r.metric in METRICS
        for step, value in zip(r.steps.tolist(), r.values.tolist(), strict=True)
    }


def by_hand(lab, plugins):
    """An ordinary loop over the same batches, whose optimiser follows `loss.backward()`."""
    parts = assemble(CONFIG, plugins)
    model = parts.module(CONFIG.seed)
    data = parts.dataset.load(CONFIG.seed)
    batches = parts.batches(data.train, CONFIG.batch_size, CONFIG.seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = torch.nn.CrossEntropyLoss()
    estimators = {e.label: e.estimator for e in (parts.driver, *parts.shadows)}
    with gradlab.attach(
        model, loss, estimators, seed=CONFIG.seed, draws=6, every=EVERY, home=lab.home.path
    ) as run:
        for step in range(STEPS):
            x, y = batches.at(step)
            run.step(step, (x, y))
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
    lab.attached.look()
    return {
        (s.metric, s.layer, s.estimator, step): value
        for s in lab.store.series(run.id)
        if s.metric in METRICS
        for step, value in lab.points(run.id, s.metric, s.layer, s.estimator)
    }


def test_a_loop_by_hand_has_the_measures_of_the_lab_s_own_run(lab, plugins):
    want, got = by_the_lab(plugins), by_hand(lab, plugins)
    assert want.keys() == got.keys()
    assert {step for *_, step in got} == {0, 4, 8, 12}
    assert len({estimator for _, _, estimator, _ in got}) == 6
    # Float32, ε = 6·10⁻⁸: 13 steps, whose kernels may sum in another order by hand, and measures
    # that are quotients of sums of about 10³ terms.
    for key, value in want.items():
        assert got[key] == pytest.approx(value, rel=1e-4, abs=1e-4), key

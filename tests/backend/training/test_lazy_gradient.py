"""A gradient that is made tensor by tensor trains like one that is kept."""

import numpy as np
import pytest

from backend.training.loop import train
from estimators.core.names import snake_name
from estimators.perturbation.mezo import MeZO

MEZO = snake_name(MeZO)


def test_a_run_with_seeds_is_the_run_with_directions(config, gather):
    """With one seed, MeZO and SPSA move the weights alike, to the bit."""
    settings = {"eps": 0.01, "pairs": 2, "noise": "normal"}
    slowly = {"name": "sgd", "lr": 0.002}
    lazy, kept = (
        gather(train(config(estimator={"name": name, **settings}, optimizer=slowly)))
        for name in (MEZO, "spsa")
    )
    assert lazy.ended.status == kept.ended.status == "finished"
    assert lazy.of("validation/loss") == kept.of("validation/loss")
    # Its own loss is the mean of those on both sides of the weights.
    assert lazy.of("train/loss") == pytest.approx(kept.of("train/loss"), rel=1e-2)
    assert len(set(lazy.of("train/loss").values())) > 30


def test_as_a_shadow_it_is_measured_like_the_other(config, gather):
    shadows = [
        {"name": MEZO, "eps": 0.01},
        {"name": "guided_es", "guide": {"name": "backprop"}},
        {"name": "averaged_projected"},
        {"name": "coordinate_importance"},
    ]
    run = gather(train(config(shadows=shadows, probe={"draws": 4, "every": 8})))
    assert run.ended.status == "finished", run.ended
    cosines = {key[2]: points for key, points in run.points.items() if key[0] == "cosine"}
    for label in (f"{MEZO}(eps=0.01)", "averaged_projected", "coordinate_importance"):
        assert np.isfinite(list(cosines[label].values())).all()

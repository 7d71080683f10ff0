"""How many runs go side by side does not change one of them."""

import pytest
from configs import config
from lab import Lab

GUESS = {"name": "guess_and_target", "guess": "ntk", "target_loss": "local"}


@pytest.fixture(scope="module")
def lab_of_one_slot(tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("one"), slots=1) as lab:
        yield lab


@pytest.mark.parametrize("estimator", [GUESS, {"name": "activity_forward_gradient"}])
def test_a_run_is_the_same_among_others(lab, lab_of_one_slot, estimator):
    curves = []
    for place, slots in ((lab_of_one_slot, 1), (lab, 2)):
        made = config(estimator=estimator, steps=200, seed=3)
        others = [place.submit(config(steps=200, seed=k)) for k in range(slots - 1)]
        run = place.submit(made)
        for each in (*others, run):
            place.becomes(each, "finished")
        curves.append(place.curve(run))
    assert curves[0] == curves[1]
    assert len(curves[0][0]) == 200

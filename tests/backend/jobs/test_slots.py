"""How many runs go side by side does not change one of them."""

import pytest
from configs import config
from lab import Lab

GUESS = {"name": "guess_and_target", "guess": "ntk", "target_loss": "local"}


@pytest.mark.parametrize("estimator", [GUESS, {"name": "activity_forward_gradient"}])
def test_a_run_is_the_same_among_others(tmp_path, estimator):
    curves = []
    for slots in (1, 2):
        with Lab(tmp_path / str(slots), slots=slots) as lab:
            made = config(estimator=estimator, steps=200, seed=3)
            others = [lab.submit(config(steps=200, seed=k)) for k in range(slots - 1)]
            run = lab.submit(made)
            for each in (*others, run):
                lab.becomes(each, "finished")
            curves.append(lab.curve(run))
    assert curves[0] == curves[1]
    assert len(curves[0][0]) == 200

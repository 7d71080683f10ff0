"""Fields that are made smaller until a run fits into some memory, by the predicted need."""

import pytest

from backend.catalogue import validate
from backend.catalogue.catalogue import EXAMPLE_RUN
from backend.catalogue.fitting import fit_all
from backend.config import RunConfig
from backend.machine_memory import in_words
from backend.training.components.assemble import assemble
from backend.training.memory.need import memory_need

WIDE = {"name": "mlp", "width": 512, "depth": 3}


def config_of(**fields):
    config = {**EXAMPLE_RUN, "network": WIDE, "shadows": [], "batch_size": 1024, **fields}
    answer = validate({**config, "device": "cpu"})
    assert not answer["errors"], answer["errors"]
    return answer["config"]


def need_of(config, **changes):
    run = RunConfig.model_validate({**config, **changes})
    parts = assemble(run)
    return memory_need(
        parts.network, parts.dataset, parts.loss, parts.optimizer.moments, run.batch_size,
        run.probe.possible, "cpu", [parts.driver.estimator],
    ).total  # fmt: skip


def test_the_largest_batch_that_fits_is_chosen():
    config = config_of()
    limit = (need_of(config) + need_of(config, batch_size=1)) // 2
    (fit,) = fit_all([config], "batch_size", limit)
    assert 1 < fit["value"] < 1024
    assert need_of(config, batch_size=fit["value"]) == fit["need"] <= limit
    assert need_of(config, batch_size=fit["value"] + 1) > limit


def test_what_fits_as_it_is_stays():
    config = config_of()
    limit = need_of(config)
    assert [f["value"] for f in fit_all([config] * 2, "batch_size", limit)] == [1024, 1024]
    assert fit_all([config], "batch_size", limit - 1)[0]["value"] < 1024


def test_what_fits_with_no_value_says_so():
    config = config_of()
    (fit,) = fit_all([config], "batch_size", 2**20)
    assert fit["value"] is None
    least = in_words(need_of(config, batch_size=1))
    assert fit["problem"] == (
        f"even with batch_size 1, the run needs about {least}, of which 400 MiB are for torch and "
        "its libraries; the budget allows 1 MiB"
    )


def test_a_field_on_which_the_need_does_not_depend_says_so():
    config = config_of(estimator={"name": "forward_gradient", "tangents": 64})
    (fit,) = fit_all([config], "estimator.tangents", 2**20)
    assert fit["problem"].startswith("whatever estimator.tangents is, the run needs about ")


def test_a_field_of_an_estimator_is_made_smaller_where_the_need_depends_on_it():
    """The steps that an adjoint of an equilibrium unrolls are kept."""
    estimator = {"name": "implicit_adjoint", "adjoint": "upg", "steps": 64}
    config = config_of(network={"name": "implicit_mlp", "width": 512}, estimator=estimator)
    (whole,) = fit_all([config], "estimator.steps", 2**50)
    assert whole["value"] == 64
    (fit,) = fit_all([config], "estimator.steps", int(0.9 * whole["need"]))
    assert 1 <= fit["value"] < 64


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("estimator.samples", "budget.fit is estimator.samples, which it lacks"),
        ("optimizer.lr", "budget.fit is optimizer.lr, which is 0.1"),
        ("network", "budget.fit is network, which is "),
    ],
)
def test_a_field_that_cannot_shrink_says_so(field, said):
    config = config_of(optimizer={"name": "sgd", "lr": 0.1})
    (fit,) = fit_all([config], field, 2**50)
    assert fit["problem"].startswith(said)
    assert fit["problem"].endswith("a whole number of at least 1 can shrink")

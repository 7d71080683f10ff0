"""What a run reports of the solves of its equilibria, its findings, its policy, its warm starts."""

import math

import pytest
import torch

from backend.config import MicroscopeConfig, RunConfig
from backend.training.checkpointing import Checkpointing
from backend.training.control import Control
from backend.training.loop import Run, train
from backend.training.microscope.run import run_microscope
from backend.training.records import Event
from backend.training.solve_watch import SolveWatch
from backend.training.trainer import Trainer
from estimators.implicit.solvers.record import SolveRecord
from estimators.implicit.spectral_radius import SpectralRadius
from tests.backend.training.stopping import stop_at

SMALL = {"name": "implicit_mlp", "width": 12}
QUIET = {"budget": 0}
FORWARD = {"forward_iterations", "forward_residual", "forward_absolute_residual"}
BACKWARD = {"backward_iterations", "backward_residual", "backward_absolute_residual"}
LOST = {"not_converged", "not_finite"}


def reported(result):
    return {key[0].removeprefix("estimator/") for key in result.points if "estimator/" in key[0]}


def findings(result):
    return [event for event in result.events if event.kind == "finding"]


@pytest.mark.parametrize(
    ("estimator", "keys"),
    [
        ({"name": "backprop"}, FORWARD | BACKWARD),
        ({"name": "forward_gradient"}, FORWARD | BACKWARD),
        ({"name": "spsa"}, FORWARD),
        ({"name": "direct_feedback_alignment"}, FORWARD | BACKWARD),
        ({"name": "implicit_adjoint", "adjoint": "ift"}, FORWARD | BACKWARD),
        ({"name": "implicit_adjoint", "adjoint": "jfb"}, FORWARD),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_every_driver_reports_its_solves(estimator, keys, config, gather):
    run = config(network=SMALL, estimator=estimator, shadows=[], probe=QUIET, steps=6)
    result = gather(train(run))
    assert result.ended.status == "finished", result.ended
    assert LOST | keys <= reported(result)
    label = result.facts.labels["driver"]
    residuals = result.of("estimator/forward_residual", "", label)
    assert list(residuals) == list(range(6))
    assert 0 < max(residuals.values()) <= 1e-5
    assert not findings(result)


def test_a_network_without_equilibria_reports_nothing(config, gather):
    run = config(estimator={"name": "backprop"}, shadows=[], probe={"every": 3}, steps=6)
    result = gather(train(run))
    assert result.ended.status == "finished"
    assert reported(result) == set()
    assert not {"draw/not_converged", "reference/not_converged"} & {key[0] for key in result.points}
    assert not any(key[0].startswith("equilibrium/") for key in result.points)


def test_a_probe_counts_unconverged_draws_and_measures_the_radius(config, gather):
    run = config(
        network={**SMALL, "scale": 0.5},
        estimator={"name": "backprop"},
        shadows=[{"name": "implicit_adjoint"}],
        probe={"every": 3, "draws": 4},
        steps=6,
    )
    result = gather(train(run))
    for label in (result.facts.labels["driver"], *result.facts.labels["shadows"]):
        assert result.of("draw/not_converged", "", label) == {0: 0.0, 3: 0.0}
    assert result.of("reference/not_converged", "", "") == {0: 0.0, 3: 0.0}
    radii = result.of("equilibrium/spectral_radius", "equilibrium", "")
    assert list(radii) == [0, 3]
    assert 0 < radii[0] <= 0.5 + 1e-6  # at most the spectral norm of W, since |tanh'| ≤ 1
    shares = result.of("equilibrium/spectral_radius_converged", "equilibrium", "")
    assert shares == {0: 1.0, 3: 1.0}


def test_the_radius_of_a_probe_is_that_of_its_weights_and_batch(config):
    run = Run(config(network=SMALL, shadows=[], probe=QUIET), Control(), None, (), None)
    run._trainer.update(0, run._trainer.objective(run._batches.at(0), 0))
    objective = run._trainer.objective(run._batches.at(1), 1)
    rows = dict(run._probes._spectral_radii(objective))
    module = run._trainer.module
    x = module.input(objective.x).detach()
    layer = module.equilibrium.layer
    z = layer._solve(x).z
    jacobian = torch.func.vmap(torch.func.jacrev(layer.cell))(z, x).detach()
    wanted = torch.linalg.eigvals(jacobian).abs().amax(1).max().item()
    found = rows["equilibrium/spectral_radius", "equilibrium", ""]
    assert found == pytest.approx(wanted, abs=0.01)


# --- the policy ---


def test_a_warning_comes_at_the_first_step_and_seldom_after(config, gather):
    run = config(
        network={**SMALL, "limit": 4}, estimator={"name": "backprop"}, shadows=[], probe=QUIET,
        steps=12,
    )  # fmt: skip
    result = gather(train(run))
    assert result.ended.status == "finished"
    assert [event.step for event in findings(result)] == [0, 9]
    first, tenth = (event.text for event in findings(result))
    size = run.batch_size
    assert f"{size} of {size} examples did not converge in a solve of an equilibrium at step 0" in (
        first
    )
    assert "(4 forward iterations, relative residual up to " in first
    assert "raise the limit or take another solver" in first
    assert tenth.endswith("(10 such steps so far)")
    label = result.facts.labels["driver"]
    assert set(result.of("estimator/not_converged", "", label).values()) == {float(size)}
    assert any("could not be compared" in event.text for event in result.events)


def test_a_resumed_run_goes_on_counting(config, gather, tmp_path):
    run = config(
        network={**SMALL, "limit": 4}, estimator={"name": "backprop"}, shadows=[], probe=QUIET,
        steps=12,
    )  # fmt: skip
    stop_at(6, run, tmp_path)
    rest = gather(train(run, checkpoint_dir=tmp_path))
    assert rest.facts.resumed_at == 6
    assert [event.step for event in findings(rest)] == [9]


def test_stop_ends_the_run_before_the_update_with_a_checkpoint(config, gather, tmp_path):
    """On digits the examples need more iterations as W grows; 11 are enough for the first steps."""
    options = {
        "network": {**SMALL, "scale": 0.3, "limit": 7, "solver": "anderson"},
        "estimator": {"name": "backprop"},
        "shadows": [],
        "probe": QUIET,
        "optimizer": {"name": "sgd", "lr": 1.0, "momentum": 0.9},
        "steps": 60,
    }
    warned = gather(train(config(**options)))
    label = warned.facts.labels["driver"]
    lost = warned.of("estimator/not_converged", "", label)
    first = next(step for step, count in lost.items() if count)
    assert 0 < first < 40
    stopped = gather(train(config(**options, on_unconverged_solve="stop"), checkpoint_dir=tmp_path))
    assert (stopped.ended.status, stopped.ended.step) == ("failed", first)
    assert f"did not converge in a solve of an equilibrium at step {first}" in stopped.ended.error
    assert "before the update (on_unconverged_solve: stop)" in stopped.ended.error
    assert stopped.of("estimator/not_converged", "", label)[first] == lost[first]
    losses = stopped.of("train/loss")
    assert losses == {s: v for s, v in warned.of("train/loss").items() if s <= first}
    rest = gather(train(config(**options), checkpoint_dir=tmp_path))
    assert rest.facts.resumed_at == first
    assert rest.curve(first) == warned.curve(first)


@pytest.mark.parametrize("policy", ["warn", "stop"])
def test_a_nan_inside_a_solve_is_said(policy, config, gather, tmp_path):
    run = config(
        network={**SMALL, "activation": "relu"}, estimator={"name": "backprop"}, shadows=[],
        probe=QUIET, optimizer={"name": "sgd", "lr": 900.0}, steps=30, on_unconverged_solve=policy,
    )  # fmt: skip
    result = gather(train(run, checkpoint_dir=tmp_path))
    label = result.facts.labels["driver"]
    counts = result.of("estimator/not_finite", "", label)
    step = next(step for step, count in counts.items() if count)
    sentence = f"{counts[step]:.0f} of {run.batch_size} examples met a number that is not finite"
    if policy == "stop":
        assert (result.ended.status, result.ended.step) == ("failed", step)
        assert result.ended.error.startswith(sentence)
        assert f"at step {step}" in result.ended.error
    else:
        # The run goes on until the next flush, so that further steps may be told.
        event, *_ = [e for e in findings(result) if "not finite" in e.text]
        assert event.step == step
        assert event.text.startswith(sentence)
        assert result.ended.status == "diverged"


def test_a_stop_at_a_solve_is_told_even_if_the_loss_is_not_finite(
    config, gather, tmp_path, monkeypatch
):
    """The weights are those before the update, which a checkpoint may hold."""
    estimate = Trainer.estimate

    def without_a_loss(*given):
        made = estimate(*given)
        return made._replace(loss=made.loss * math.nan)

    monkeypatch.setattr(Trainer, "estimate", without_a_loss)
    run = config(
        network={**SMALL, "limit": 4}, estimator={"name": "backprop"}, shadows=[], probe=QUIET,
        steps=3, on_unconverged_solve="stop",
    )  # fmt: skip
    result = gather(train(run, checkpoint_dir=tmp_path))
    assert (result.ended.status, result.ended.step) == ("failed", 0)
    assert "(on_unconverged_solve: stop)" in result.ended.error
    assert not math.isfinite(result.of("train/loss")[0])


def test_older_descriptions_have_no_policy(config):
    described = config().model_dump()
    del described["on_unconverged_solve"]
    assert RunConfig.model_validate(described).on_unconverged_solve == "warn"
    with pytest.raises(ValueError, match="'warn' or 'stop'"):
        RunConfig.model_validate({**described, "on_unconverged_solve": "halt"})


def radius(estimate, converged=True):
    return {
        "equilibrium": SpectralRadius(
            torch.tensor([0.2, estimate]).double(), torch.tensor([True, converged]),
            torch.tensor([5, 9]),
        )
    }  # fmt: skip


def test_a_radius_of_one_is_told_once_and_after_a_resume_not_again():
    watch = SolveWatch("warn")
    assert not list(watch.look_at_radii(10, radius(0.99)))
    (event,) = watch.look_at_radii(120, radius(1.07))
    assert event == Event(120, "finding", event.text)
    assert event.text == (
        "the spectral radius of ∂f/∂z in equilibrium reached 1.07 at step 120: the Neumann series "
        "does not converge there, and phantom gradients need not; lower the learning rate, add "
        "weight decay, or scale the cell's weights down"
    )
    assert not list(watch.look_at_radii(130, radius(1.2)))
    other = SolveWatch("warn")
    other.load(watch.state())
    assert not list(other.look_at_radii(140, radius(1.2)))
    (event,) = SolveWatch("warn").look_at_radii(120, radius(1.07, converged=False))
    assert (
        "is about 1.07 at step 120 by an estimate that did not converge: the Neumann" in event.text
    )
    (event,) = SolveWatch("warn").look_at_radii(120, radius(math.nan, converged=False))
    assert "is about inf at step 120 by an estimate that did not converge" in event.text


def test_events_of_many_steps_are_few():
    record = SolveRecord()
    record.numbers |= {"not_converged": 3.0, "forward_iterations": 9, "forward_residual": 0.1}
    record.unconverged, record.examples = {"forward": 3}, 8
    watch = SolveWatch("warn")
    steps = [event.step for step in range(1, 2001) for event in watch.look(step, record)]
    assert steps == [1, 10, 100, 1000]
    assert not list(watch.look(2001, None))
    fine = SolveRecord()
    assert not list(watch.look(2001, fine))
    assert watch.state() == {"unconverged": 2000, "not finite": 0, "radii": []}


# --- warm starts ---


WARM = {**SMALL, "warm_start": True}


def totals(result):
    return sum(result.of("estimator/forward_iterations", "", "backprop").values())


def test_a_warm_start_saves_iterations_and_leaves_the_curve(config, gather):
    """With the plain iteration, which forgets its start most slowly: 173 iterations instead of 189
    where this was written."""
    options = {
        "dataset": {"name": "digits"}, "estimator": {"name": "backprop"}, "shadows": [],
        "probe": QUIET, "steps": 12, "batch_size": 32, "optimizer": {"name": "sgd", "lr": 0.1},
    }  # fmt: skip
    plain = {"name": "implicit_conv", "channels": 4, "solver": "fixed_point"}
    cold = gather(train(config(**options, network=plain)))
    warm = gather(train(config(**options, network={**plain, "warm_start": True})))
    assert cold.ended.status == warm.ended.status == "finished"
    assert totals(warm) < totals(cold) - 8
    # Solutions to a relative residual of 1e-5, for 12 steps.
    pairs = zip(cold.of("train/loss").values(), warm.of("train/loss").values(), strict=True)
    assert all(a == pytest.approx(b, rel=2e-3) for a, b in pairs)


def test_a_resumed_run_with_a_warm_start_is_the_same_run(config, gather, tmp_path):
    run = config(network=WARM, estimator={"name": "backprop"}, shadows=[], probe=QUIET, steps=12)
    whole = gather(train(run))
    stop_at(6, run, tmp_path)
    rest = gather(train(run, checkpoint_dir=tmp_path))
    assert rest.ended.status == "finished", rest.ended
    assert rest.facts.resumed_at == 6
    assert rest.curve(6) == whole.curve(6)
    key = ("estimator/forward_residual", "", "backprop")
    assert rest.of(*key) == {s: v for s, v in whole.of(*key).items() if s >= 6}


def test_only_an_update_moves_the_start(config, tmp_path):
    described = config(
        network=WARM, shadows=[{"name": "implicit_adjoint"}], probe={"every": 1, "draws": 2}
    )
    run = Run(described, Control(), tmp_path, (), None)
    trainer = run._trainer
    stage = trainer.module.equilibrium.layer
    assert stage.mean.shape == (0,)
    objective = trainer.objective(run._batches.at(0), 0)
    list(run._probes.fire(0, objective))
    run._evaluate()
    estimate = trainer.estimate(0, objective)
    assert stage.mean.shape == (0,)
    trainer.apply(0, objective, estimate)
    assert stage.mean.shape == (12,)
    moved = stage.mean.clone()
    objective = trainer.objective(run._batches.at(1), 1)
    list(run._probes.fire(1, objective))
    run._evaluate()
    assert torch.equal(stage.mean, moved)
    trainer.update(1, objective)
    assert not torch.equal(stage.mean, moved)


def test_checkpoints_of_before_still_load(config, tmp_path):
    """They have no word of the solves, and a network without a warm start has no buffer."""
    run = Run(config(network=SMALL), Control(), tmp_path, (), None)
    assert "equilibrium.layer.mean" not in run._trainer.state()["module"]
    watch = SolveWatch("warn")
    watch.load({})
    assert watch.state() == SolveWatch("warn").state()
    assert isinstance(run._checkpoints, Checkpointing)


# --- the microscope ---


ANATOMY = {"anatomy": {"batches": 2}}


@pytest.fixture
def looked_at(config, gather, tmp_path):
    """A function of the solver's limit, a kind of microscope and its draws: what is seen at the
    end of a short run."""

    def measured(limit, kind, draws):
        run = config(
            network={**SMALL, "limit": limit}, estimator={"name": "backprop"}, shadows=[],
            probe=QUIET, steps=2,
        )  # fmt: skip
        gather(train(run, checkpoint_dir=tmp_path))
        request = {"run": "r1", "step": 2, "draws": draws, **kind}
        asked = MicroscopeConfig.model_validate({**run.model_dump(), "microscope": request})
        return gather(run_microscope(asked, None, folder=tmp_path))

    return measured


@pytest.mark.parametrize("limit", [4, 200])
def test_an_anatomy_says_what_did_not_converge(limit, looked_at):
    seen = looked_at(limit, ANATOMY, 4)
    assert seen.ended.status == "finished", seen.ended
    texts = [event.text for event in findings(seen)]
    assert len(texts) == (limit == 4)
    assert all("did not converge in a solve of an equilibrium" in text for text in texts)


def test_one_step_is_refused_in_a_sentence(looked_at):
    seen = looked_at(200, {"what_if": {}}, 4)
    assert seen.ended.status == "failed"
    assert seen.ended.error.startswith("an equilibrium has first derivatives alone")


@pytest.mark.parametrize("kind", [{}, {"sweep": {"field": "batch_size", "values": [4, 8]}}])
def test_a_microscope_counts_as_probes_do(kind, looked_at, config):
    seen = looked_at(4, kind, 8)
    assert seen.ended.status == "finished", seen.ended
    if kind:
        assert seen.of("sweep/draw/not_converged", "", "backprop") == {4: 8.0, 8: 8.0}
        assert seen.of("sweep/reference/not_converged", "", "") == {4: 4.0, 8: 8.0}
    else:
        assert seen.of("draw/not_converged", "", "backprop") == {8: 8.0}
        assert seen.of("reference/not_converged", "", "") == {0: float(config().batch_size)}

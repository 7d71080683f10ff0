"""The checks of an optimiser: torch's interface, as the lab's loop uses it."""

import io

import torch

from backend.conformance.optimizer_trials import OptimizerTrial, Updates
from backend.conformance.settings import describes_itself
from backend.conformance.surroundings import left_alone, under_seed
from backend.training.optimizers import Schedule
from estimators.statistics.formatting import counted

STEPS = 50
"""Updates in which a quadratic has to fall."""
BEFORE = 3
"""Updates before a state is saved, or the learning rate changes."""


def is_torchs(trial: OptimizerTrial) -> str:
    """`build` returns a torch optimiser of all the parameters, and `step` needs no closure."""
    made = trial.begin()
    grouped = [p for group in made.torch.param_groups for p in group["params"]]
    missing = [n for n, p in made.params.items() if not any(p is g for g in grouped)]
    assert not missing, f"build leaves out the parameter {', '.join(missing)}"
    rates = [group["lr"] for group in made.torch.param_groups]
    assert any(rate == trial.optimizer.lr for rate in rates), (
        f"lr is {trial.optimizer.lr}; the groups of build have {', '.join(map(str, rates))}"
    )
    schedule = trial.optimizer.schedule
    assert isinstance(schedule, Schedule), f"schedule is {schedule!r:.60}, not a Schedule"
    _takes_a_step(made)
    return f"torch's {type(made.torch).__name__}, lr {trial.optimizer.lr:g}"


def _takes_a_step(made: Updates) -> None:
    try:
        made.step()
    except TypeError as error:
        if "closure" not in str(error):
            raise
        raise AssertionError(
            "step needs a closure that computes the loss again; the lab hands over one gradient "
            "for each update"
        ) from error


def lowers_a_quadratic(trial: OptimizerTrial) -> str:
    """Updates down ½ ‖θ‖² lower it."""
    made = trial.begin()
    before = made.loss
    for _ in range(STEPS):
        made.step()
    after = made.loss
    for name, p in made.params.items():
        assert p.isfinite().all(), f"{name} is not finite after {STEPS} updates of ½ ‖θ‖²"
    assert after < before, f"{STEPS} updates take ½ ‖θ‖² from {before:.4g} to {after:.4g}"
    return f"½ ‖θ‖² from {before:.4g} to {after:.4g} in {STEPS} updates"


def keeps_its_state(trial: OptimizerTrial) -> str:
    """Saved after some updates and loaded into a new one, it goes on with the same bits."""
    made = trial.begin()
    for _ in range(BEFORE):
        made.step()
    file = io.BytesIO()
    torch.save(made.torch.state_dict(), file)
    file.seek(0)
    resumed = Updates(trial.optimizer, made.weights)
    resumed.torch.load_state_dict(torch.load(file, weights_only=True))
    for _ in range(2):
        made.step()
        resumed.step()
    assert not resumed.moved(made.weights), (
        "after its state_dict was loaded into a new one, its updates differ: keep what it depends "
        "on in self.state or in the param_groups"
    )
    weights = sum(p.numel() for p in made.params.values())
    return f"numbers that it keeps for each weight: {made.numbers() / weights:.3g}"


def follows_the_rate(trial: OptimizerTrial) -> str:
    """The learning rate in its groups, which the schedule sets, decides the size of an update."""
    assert _moves_otherwise(trial, 0), (
        "an update is the same at half the learning rate: read group['lr'] at each step"
    )
    if not _moves_otherwise(trial, BEFORE):
        return "the rate of the first update alone counts: schedules are without effect"
    still = trial.begin()
    before = still.weights
    still.step(factor=0.0)
    assert not still.moved(before), "an update at learning rate 0 moves the weights"
    return "half the rate gives another update, and rate 0 none"


def _moves_otherwise(trial: OptimizerTrial, steps: int) -> bool:
    """Whether the update after that many differs at half the learning rate."""
    whole, half = trial.begin(), trial.begin()
    for _ in range(steps):
        whole.step()
        half.step()
    whole.step()
    half.step(factor=0.5)
    return half.moved(whole.weights)


def takes_zero_gradients(trial: OptimizerTrial) -> str:
    """A parameter whose gradient is zero stays finite."""
    made = trial.begin()
    for _ in range(BEFORE):
        grads = made.weights
        grads["bias"].zero_()
        made.step(grads)
    for name, p in made.params.items():
        assert p.isfinite().all(), f"{name} is not finite after a gradient of zero"
    return ""


def leaves_gradients_alone(trial: OptimizerTrial) -> str:
    """An update reads the gradients and changes none of their numbers."""
    made = trial.begin()
    for _ in range(2):
        grads = made.weights
        before = {n: g.clone() for n, g in grads.items()}
        made.step(grads)
        changed = [n for n, g in grads.items() if not torch.equal(g, before[n])]
        assert not changed, f"step changes the gradient of {', '.join(changed)}; work on a copy"
    return ""


def repeats_its_updates(trial: OptimizerTrial) -> str:
    """Updates are decided by weights and gradients alone, without a global generator."""

    def run() -> Updates:
        made = trial.begin()
        for _ in range(BEFORE):
            made.step()
        return made

    with left_alone("step", "an optimiser is deterministic: noise belongs to an estimator"):
        first = run()
    again = under_seed(1, run)
    assert not again.moved(first.weights), "the same updates give other bits when they are repeated"
    return ""


def builds_every_setting(trial: OptimizerTrial) -> str:
    """Every count and choice builds, or is refused in a sentence."""
    refused = [f"{setting}: {reason}" for setting, reason in trial.settings.refused.items()]
    others = " but these" if refused else ""
    total = counted(len(trial.settings.made) - len(refused), "setting")
    return "; ".join([f"{total}; every count and choice builds{others}", *refused[:4]])


def has_help(trial: OptimizerTrial) -> str:
    """What the form shows."""
    return describes_itself(type(trial.optimizer))

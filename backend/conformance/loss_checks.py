"""The checks of a loss: one number for each example, its derivatives, its range, its evaluation."""

import torch
from torch import Tensor

from backend.conformance.loss_trials import BATCH, LossTrial
from backend.conformance.settings import describes_itself
from backend.conformance.surroundings import left_alone, under_seed
from backend.conformance.verdicts import NotOffered
from backend.training.losses.contract import Plan
from estimators.autodiff.calculus import value_and_grad
from estimators.measurement.inputs.coupling import coupled_by
from estimators.measurement.inputs.derivatives import disagreement
from estimators.measurement.inputs.randomness import refuse_random
from estimators.statistics.formatting import counted

SCALES = (1.0, 10.0, 100.0, 1000.0)
"""Standard deviations of the outputs on which a loss has to be finite."""
STEPS = 8
"""Updates of the run that the evaluation is asked for."""
RNG = "draw in prepare, from the rng that it gets"


def gives_a_loss_for_each_example(trial: LossTrial) -> str:
    """`chain` gives one loss for each example, (B,), or one number if it says so."""
    batch = trial.prepared()
    with left_alone("the loss", RNG):
        chain = trial.loss.chain(trial.build(), batch, trial.sample)
        losses = chain.losses(chain.forward(trial.params).detach())
    assert losses.isfinite().all(), "the losses at the initial weights are not finite"
    if losses.ndim == 0:
        return "one number for the batch: it says that it couples the examples"
    kind = "" if chain.views == 1 else f", {chain.views} views of each"
    return f"({len(losses)},) for {counted(BATCH, 'example')}{kind}"


def separates_its_examples(trial: LossTrial) -> str:
    """No example's loss follows another one, unless the loss says so."""
    chain, theta = trial.precise
    if chain.whole:
        return "the loss is one number"
    where = coupled_by(chain, theta)
    assert not (where and chain.separable), (
        "an example's loss depends on other examples of the batch, or on their number. If this is "
        "meant, pass separable=False to Chain; estimators then get one coefficient for the batch"
    )
    if chain.separable:
        return "an example's loss depends on its own output alone"
    if not where:
        return "separable is False, and no example's loss depends on another"
    return "examples are coupled, as separable=False says"


def is_finite_on_large_outputs(trial: LossTrial) -> str:
    """The losses and their derivatives are finite, however large the outputs are."""
    for scale in SCALES:
        outputs = trial.scores(scale).requires_grad_()
        with torch.enable_grad():
            losses = trial.chain.losses(outputs)
        where = f"for outputs of about {scale:g}"
        assert losses.isfinite().all(), f"{where}, a loss is {_first_broken(losses)}"
        (gradient,) = torch.autograd.grad(losses.sum(), outputs)
        assert gradient.isfinite().all(), f"{where}, a derivative is {_first_broken(gradient)}"
    return f"and its derivative, for outputs up to about {SCALES[-1]:,.0f}"


def agrees_in_its_derivatives(trial: LossTrial) -> str:
    """Forward mode, reverse mode and central differences are derivatives of one function."""
    chain, theta = trial.precise
    differing = disagreement(chain, theta)
    if differing is None:
        single = next(iter(theta.values())).dtype is torch.float64
        return f"all three ways agree in {'float64' if single else 'its own precision'}"
    assert not differing.forward, differing.words
    assert trial.loss.stops, (
        f"{differing.words}: the loss has a stop-gradient (.detach()). If this is meant, let the "
        "property stops say so"
    )
    return "forward and reverse mode agree; differences do not, because of its stop-gradient"


def repeats(trial: LossTrial) -> str:
    """The loss of a prepared batch is a function: nothing in it is random."""
    refuse_random(trial.chain, trial.params)
    output = trial.scores(1.0)
    first = trial.chain.losses(output.clone())
    target = trial.chain.y.clone()
    given = output.clone()
    again = under_seed(1, lambda: trial.chain.losses(given))
    assert torch.equal(first, again), "the same outputs give other bits"
    assert torch.equal(given, output), "it changes the outputs in place: work on a copy"
    assert torch.equal(trial.chain.y, target), "it changes the targets in place: work on a copy"
    return ""


def prepares_batches(trial: LossTrial) -> str:
    """`prepare` draws from its generator alone and leaves the data as they are."""
    prepare = trial.loss.prepare
    if prepare is None:
        return NotOffered("a batch is used as it is")
    x, y = trial.sample.batch(BATCH)
    before = x.clone(), y.clone()
    with left_alone("prepare", RNG):
        first = trial.prepared()
    again = under_seed(1, trial.prepared)
    prepare(x, y, torch.Generator().manual_seed(0))
    for part, same in zip(first, again, strict=True):
        assert torch.equal(part, same), f"prepare gives other bits for the same generator: {RNG}"
    unchanged = torch.equal(x, before[0]) and torch.equal(y, before[1])
    assert unchanged, "prepare changes the examples of the data set in place: work on a copy"
    assert len(first[0]) == len(first[1]), (
        f"prepare gives {len(first[0])} examples and {len(first[1])} classes"
    )
    return f"{BATCH} examples become {counted(len(first[0]), 'row')}"


def takes_its_smallest_batch(trial: LossTrial) -> str:
    """A batch of `min_batch_size` examples has a finite loss with a gradient."""
    least = trial.loss.min_batch_size
    assert least in range(1, 1000), f"min_batch_size is {least!r}, not a small whole number"
    reason = _unusable(trial, least)
    assert not reason, f"on a batch of {least}, which min_batch_size allows, {reason}"
    fewer = least > 1 and not _unusable(trial, least - 1)
    return f"{least}" + (f", although {least - 1} would do" if fewer else "")


def _unusable(trial: LossTrial, size: int) -> str:
    """Why a batch of that size cannot be learned from; "" if it can."""
    try:
        loss, gradient = value_and_grad(trial.objective(size), trial.params)
    except (Exception, SystemExit) as error:  # a plug-in may fail in any way
        return f"it raises {type(error).__name__}: {error}"
    if not loss.isfinite():
        return f"the loss is {loss.item()}"
    return "" if any(g.any() for g in gradient.values()) else "the gradient is zero"


def evaluates(trial: LossTrial) -> str:
    """`evaluation` gives metrics of training, validation and test, and changes nothing."""
    module = trial.build()
    module.train()
    before = {n: t.clone() for n, t in module.state_dict().items()}
    with left_alone("evaluation", "draw from stream(plan.seed, ...)"):
        plan = Plan(trial.sample.load(0), STEPS, BATCH, 0)
        evaluation = trial.loss.evaluation(module, trial.sample, plan)
        due = [step for step in range(STEPS) if evaluation.due(step)]
        along, last = [*evaluation.along(0)], [*evaluation.last()]
    assert due, f"it is due at none of {STEPS} steps"
    for when, pairs, parts in (
        ("along", along, ("train/", "validation/")),
        ("last", last, ("test/",)),
    ):
        for name, value in pairs:
            assert str(name).startswith(parts), (
                f"{when} gives {name!r}; its metrics begin with {' or '.join(parts)}"
            )
            assert isinstance(value, Tensor), f"{name} is {value!r:.40}, not a tensor"
            assert value.numel() == 1, f"{name} has {value.numel()} numbers, not one"
            assert value.isfinite(), f"{name} is {value.item()}"
    for name, pairs in (("validation/loss", along), ("test/loss", last)):
        assert name in dict(pairs), f"there is no {name}"
    assert module.training, "the network is left in evaluation mode"
    changed = [n for n, t in module.state_dict().items() if not torch.equal(t, before[n])]
    assert not changed, f"evaluation changes {', '.join(changed[:4])} of the network"
    return ", ".join(name for name, _ in (*along, *last))


def has_settings(trial: LossTrial) -> str:
    """Every count and choice can be made, or is refused in a sentence."""
    refused = [f"{setting}: {reason}" for setting, reason in trial.settings.refused.items()]
    others = " but these" if refused else ""
    return "; ".join([f"every count and choice can be made{others}", *refused[:4]])


def has_help(trial: LossTrial) -> str:
    """What the form shows."""
    return describes_itself(type(trial.loss))


def _first_broken(t: Tensor) -> float:
    return t[~t.isfinite()][0].item()

"""`examined`: an objective held to what estimators take for granted, once, before it is used.

That it is a function of the given weights (nothing in it is random, and the loss does not read the
network's weights by itself), that examples are not coupled where its claim to be
separable says so, and that forward mode, reverse mode and differences are derivatives of the same
function. Whoever makes an objective calls it: `measure` and its siblings, a training run, the
microscope, `gradlab check`.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch

from estimators.core.contract import Estimator, Need, Params, UnsupportedError
from estimators.core.objective import Chain
from estimators.implicit.solvers.record import SolveRecord, recording_solves
from estimators.measurement.inputs.alone import Place, hidden_place, place_of
from estimators.measurement.inputs.coupling import coupled_by
from estimators.measurement.inputs.derivatives import disagreement
from estimators.measurement.inputs.nearby import examinable
from estimators.measurement.inputs.randomness import generators_kept, refuse_random
from estimators.requirements import require
from estimators.statistics.formatting import counted

LOST = (
    "The loss stays one number, so that every example gets the same coefficient, with up to as "
    "many times the variance as there are examples"
)


class Examined(NamedTuple):
    """An objective that estimators can be trusted on, and what the reader must know about it."""

    chain: Chain
    notices: tuple[str, ...] = ()
    """Sentences without a full stop."""


def examined(
    chain: Chain,
    params: Params,
    estimators: Mapping[str, Estimator],
    *,
    stops: bool = False,
) -> Examined:
    """Examine an objective near `params`, on a few of its examples.

    Args:
        chain: the objective.
        params: the parameters that estimators get.
        estimators: {label: estimator}: those that are to work on it.
        stops: the loss has a stop-gradient on purpose, so that differences of the loss may be
            others than its derivatives.

    Returns:
        The objective, as one number instead of a mean over examples where these are coupled.

    Raises:
        RandomObjectiveError: network or loss is random.
        UnsupportedError: an estimator cannot work on it, or the loss reads weights by itself.
    """
    with generators_kept(chain.x):  # a random module in a pass that is not compared moves them
        return _examined(chain, params, estimators, stops)


def _examined(
    chain: Chain, params: Params, estimators: Mapping[str, Estimator], stops: bool
) -> Examined:
    refuse_random(chain, params)
    precise, theta = examinable(chain, params)
    _refuse_weights_in_the_loss(precise, theta)
    notices = []
    where = coupled_by(precise, theta) if chain.separable else ""
    if where:
        chain = chain.as_one_number()
        for estimator in estimators.values():
            require(estimator, chain, params)
        if needs_examples(estimators):
            notices.append(
                f"{where} couples the examples of a batch: an example's loss depends on others. "
                f"{LOST}"
            )
    with recording_solves() as solves:
        differing = disagreement(precise, theta)
    if differing is not None and not solves.converged:
        notices.append(_unsolved(solves))  # then no derivative is that of the other's function
    else:
        place = (
            hidden_place(precise, theta)
            if differing is None
            else place_of(precise, theta, differing)
        )
        if place is not None:
            _refuse(place, estimators)
            if place.differing.difference and not stops:
                notices.append(_stopped(place))
    return Examined(chain, tuple(notices))


def needs_examples(estimators: Mapping[str, Estimator]) -> bool:
    """Whether one of them makes use of a loss for each example."""
    needs = {need for estimator in estimators.values() for need in estimator.needs()}
    return bool(needs & {Need.SITES, Need.SEPARABLE})


def _refuse_weights_in_the_loss(chain: Chain, params: Params) -> None:
    """Raise UnsupportedError if the loss has a derivative by the module's own parameters.

    An estimator evaluates the network at weights that it puts into the module for the forward pass
    alone. A weight penalty in the loss would stay at the module's own weights.
    """
    own = {n: p for n, p in chain.module.named_parameters() if p.requires_grad}
    with torch.no_grad():
        output = chain.forward(params)
    with torch.enable_grad():
        total = chain.losses(output).sum()
    if not own or not total.requires_grad:
        return
    grads = torch.autograd.grad(total, list(own.values()), allow_unused=True)
    read = [name for name, g in zip(own, grads, strict=True) if g is not None]
    if read:
        names = ", ".join(read[:3]) + (f" and {len(read) - 3} more" if len(read) > 3 else "")
        raise UnsupportedError(
            f"the loss reads weights of the network by itself ({names}), beside its output, and an "
            "estimator cannot move them there: leave a weight penalty to the optimiser "
            "(weight_decay), or return it from the network's forward pass with the output",
            network=True,
        )


def _refuse(where: Place, estimators: Mapping[str, Estimator]) -> None:
    """Raise UnsupportedError for estimators that use a derivative which is wrong."""
    place, differing = where
    if not differing.forward:
        return
    if differing.difference:
        raise UnsupportedError(
            f"the exact gradient by reverse mode is not the derivative of the loss: in {place}, "
            f"reverse mode stops or differs ({differing.words}). torch.no_grad() stops reverse "
            "mode alone: freeze parameters with requires_grad_(False), or cut with .detach(), "
            "which stops forward mode as well",
            network=True,
        )
    forward = [
        label for label, e in estimators.items() if {Need.FORWARD_MODE, Need.SITES} & {*e.needs()}
    ]
    if forward:
        raise UnsupportedError(
            f"{', '.join(forward)}: tangents are pushed forward, and forward mode is wrong in "
            f"{place} ({differing.words}). Correct its jvp, write the operation out, or choose an "
            "estimator without forward mode, such as spsa or direct_feedback_alignment",
            network=True,
        )


def _unsolved(solves: SolveRecord) -> str:
    lost = int(solves.numbers["not_converged"])
    return (
        "the derivatives in forward and in reverse mode could not be compared, since "
        f"{lost} of {counted(solves.examples, 'example')} did not converge in a solve of an "
        "equilibrium in double precision: raise the limit, damp the solver, or scale the cell's "
        "weights down"
    )


def _stopped(where: Place) -> str:
    return (
        f"the loss changes otherwise than its derivative says, because of {where.words} "
        f"({where.differing.words}): a stop-gradient (.detach(), .data) or a derivative of its "
        "own. An estimator that takes differences of the loss, such as spsa, estimates another "
        "gradient than the exact one here"
    )

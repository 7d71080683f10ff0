"""Trial passes: whether torch can derive a network in the ways that estimators need.

Each runs the derivative once, on signals and tangents of zero, and raises UnsupportedError with
the module, the operation and a remedy where torch cannot. A network that has passed is not tried
again.
"""

from collections.abc import Callable

import torch

from estimators.autodiff.calculus import (
    Cut,
    cut_at_sites,
    cut_at_stages,
    pull_back,
    push_forward,
    push_forward_from_sites,
    value_and_grad,
)
from estimators.autodiff.refusal import BACKWARD, FORWARD, refusing
from estimators.core.contract import Params
from estimators.core.objective import Chain, Objective
from estimators.core.structure import PerNetwork

_PASSED = PerNetwork[bool]()
"""Networks that were tried, by what was tried and by the names of the parameters."""


def weights_move(objective: Objective, params: Params) -> None:
    """Push a tangent of zero from every weight to the loss."""

    def run() -> object:
        return push_forward(objective, params, [torch.zeros_like(p) for p in params.values()])

    _try_once(objective, "weights move", FORWARD, params, run)


def sites_move(chain: Chain, params: Params) -> None:
    """Push a tangent of zero from every site to the losses."""
    run = lambda: push_forward_from_sites(chain, params, torch.zeros_like)  # noqa: E731
    _try_once(chain, "sites move", FORWARD, params, run)


def loss_goes_back(objective: Objective, params: Params) -> None:
    """Derive the loss by every weight, in reverse mode."""
    run = lambda: value_and_grad(objective, params)  # noqa: E731
    _try_once(objective, "loss", BACKWARD, params, run)


def sites_go_back(chain: Chain, params: Params) -> None:
    """Pull a signal of zero back from every site, to the site before."""
    run = lambda: _pull_zeros(cut_at_sites(chain, params))  # noqa: E731
    _try_once(chain, "sites", BACKWARD, params, run)


def stages_go_back(chain: Chain, params: Params) -> None:
    """Pull a signal of zero back from every boundary, to the boundary before."""
    run = lambda: _pull_zeros(cut_at_stages(chain, params))  # noqa: E731
    _try_once(chain, "stages", BACKWARD, params, run)


def share_trials(chain: Chain, twin: Chain) -> None:
    """Let two networks share what they have passed: what one has, the other is not tried for.

    For networks of the same layers that differ in their sizes alone: derivatives exist for all
    sizes or for none. That they are such is for the caller to know.
    """
    _PASSED.share(chain, twin)


def _pull_zeros(cut: Cut) -> object:
    return pull_back(cut, [torch.zeros_like(z) for z in cut.places])


def _try_once(
    objective: Objective, what: str, doing: str, params: Params, run: Callable[[], object]
) -> None:
    if not isinstance(objective, Chain):
        with refusing(None, doing):
            run()
        return
    key = what, tuple(params)
    if _PASSED.get(objective, key) is None:
        with refusing(objective.module, doing):
            run()
        _PASSED.put(objective, key, True)

"""Whether torch has forward-mode derivatives of all that a pass runs; if not, of what it lacks."""

import re
from collections.abc import Callable

import torch

from estimators.autodiff.calculus import push_forward, push_forward_from_sites
from estimators.core.contract import Params, UnsupportedError
from estimators.core.objective import Chain, Objective
from estimators.core.structure import PerNetwork

_LACKING = re.compile(r"forward AD with (\w+)")

_SERVED = PerNetwork[bool]()
"""Networks that were tried, by what moved and by the names of the parameters."""


def weights_move(objective: Objective, params: Params) -> None:
    """Push a tangent of zero from every weight. Raises UnsupportedError naming what has no rule."""

    def run() -> object:
        return push_forward(objective, params, [torch.zeros_like(p) for p in params.values()])

    if isinstance(objective, Chain):
        _try_once(objective, "weights", params, run)
    else:
        try_forward(run)


def sites_move(chain: Chain, params: Params) -> None:
    """Push a tangent of zero from every site. Raises UnsupportedError naming what has no rule."""
    run = lambda: push_forward_from_sites(chain, params, torch.zeros_like)  # noqa: E731
    _try_once(chain, "sites", params, run)


def try_forward(run: Callable[[], object]) -> None:
    """Call `run`. Raises UnsupportedError naming an operation without a forward derivative."""
    try:
        run()
    except NotImplementedError as error:
        lacking = _LACKING.search(str(error))
        what = lacking[1] if lacking else "a torch.autograd.Function without jvp"
        raise UnsupportedError(
            f"torch cannot push tangents forward through {what}: write that operation out, or "
            "choose an estimator that takes losses or backward passes alone, such as spsa, "
            "node_perturbation or feedback_alignment",
            network=True,
        ) from error


def _try_once(chain: Chain, what: str, params: Params, run: Callable[[], object]) -> None:
    key = what, tuple(params)
    if _SERVED.get(chain, key) is None:
        try_forward(run)
        _SERVED.put(chain, key, True)

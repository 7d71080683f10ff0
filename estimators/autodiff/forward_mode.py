"""Whether torch has forward-mode derivatives of all that a pass runs; if not, of what it lacks."""

import re
from collections.abc import Callable, Hashable
from typing import Any

import torch

from estimators.autodiff.calculus import push_forward, push_forward_from_sites
from estimators.core.contract import Params, UnsupportedError
from estimators.core.objective import Chain, Objective

_LACKING = re.compile(r"forward AD with (\w+)")


def weights_move(objective: Objective, params: Params) -> None:
    """Push a tangent of zero from every weight. Raises UnsupportedError naming what has no rule."""
    known = objective.known if isinstance(objective, Chain) else {}
    still = [torch.zeros_like(p) for p in params.values()]
    _try("weights", known, tuple(params), lambda: push_forward(objective, params, still))


def sites_move(chain: Chain, params: Params) -> None:
    """Push a tangent of zero from every site. Raises UnsupportedError naming what has no rule."""
    run = lambda: push_forward_from_sites(chain, params, torch.zeros_like)  # noqa: E731
    _try("sites", chain.known, tuple(params), run)


def try_forward(run: Callable[[], object]) -> None:
    """`run()`. Raises UnsupportedError where torch cannot push a tangent through an operation of it."""
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


def _try(where: str, known: dict[Any, Any], names: Hashable, run: Callable[[], object]) -> None:
    """Tried once a network: what a chain knows is shared by those on other batches."""
    key = "pushed forward", where, names
    if key not in known:
        try_forward(run)
        known[key] = True

"""The auxiliary networks of a chain's blocks: one behind each boundary, with a local loss."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from estimators.autodiff.block_pass import outputs_of_blocks
from estimators.auxiliary.local_loss import (
    LocalLossName,
    local_losses,
    predictions,
    with_similarity,
)
from estimators.auxiliary.networks import (
    AuxiliaryName,
    AuxiliaryNorm,
    auxiliary_network,
    first_weights,
    share_of_products,
)
from estimators.core.contract import Params, UnsupportedError
from estimators.core.objective import Chain
from estimators.core.structure import PerNetwork
from estimators.core.vectors import dense


@dataclass(frozen=True)
class Choice:
    """Which auxiliary networks, with which loss."""

    name: AuxiliaryName
    width: int
    norm: AuxiliaryNorm
    loss: LocalLossName


class LocalSignal(NamedTuple):
    """What one auxiliary network says of its block's output h."""

    at_output: Tensor
    """∂ℓ/∂h, (B, ...)."""
    grads: dict[str, Tensor]
    """By its own parameters."""
    loss: Tensor
    """()."""
    accuracy: Tensor | None
    """Of its prediction, (); None where the targets are not classes."""


@dataclass(frozen=True, eq=False)
class Auxiliary:
    """The auxiliary network behind one boundary, as a chain from h to its local losses."""

    block: str
    chain: Chain
    outputs: int

    def names(self, values: Params) -> dict[str, Tensor]:
        """This network's own tensors among those of all blocks."""
        prefix = self.chain.stages[0] + "."
        return {n: v for n, v in values.items() if n.startswith(prefix)}

    def signal(self, h: Tensor, y: Tensor, weights: Params, *, train: bool) -> LocalSignal:
        """The local loss at h, and its gradients: by h, and if `train` by the weights."""
        own = {n: w.detach().requires_grad_(train) for n, w in self.names(weights).items()}
        start = h.detach().requires_grad_()
        here = self.chain.on(start, y)
        with torch.enable_grad():
            output = here.forward(own)
            loss = here.loss(output)
        leaves = [start, *(own.values() if train else ())]
        grads = torch.autograd.grad(loss, leaves, materialize_grads=True)
        by_name = {n: dense(g) for n, g in zip(own, grads[1:], strict=False)}
        accuracy = _accuracy(predictions(output.detach(), self.outputs), y)
        return LocalSignal(grads[0], by_name, loss.detach(), accuracy)


def _accuracy(prediction: Tensor, y: Tensor) -> Tensor | None:
    if y.is_floating_point() or y.ndim != 1 or prediction.ndim != 2:
        return None
    return (prediction.argmax(1) == y).to(prediction.dtype).mean()


_AUXILIARIES = PerNetwork[tuple[Auxiliary, ...]]()


def auxiliaries_of(chain: Chain, choice: Choice) -> tuple[Auxiliary, ...]:
    """An auxiliary network for each boundary. Raises UnsupportedError where one does not fit."""
    return _AUXILIARIES.get_or_make(chain, choice, lambda: _make(chain, choice))


def _make(chain: Chain, choice: Choice) -> tuple[Auxiliary, ...]:
    ends, (outputs,) = outputs_of_blocks(chain)
    names = [place.name for place in chain.boundaries]
    made = zip(names, ends, strict=True)
    return tuple(_auxiliary(chain, choice, name, h, outputs) for name, h in made)


def _auxiliary(chain: Chain, choice: Choice, block: str, h: Tensor, outputs: int) -> Auxiliary:
    shape = tuple(h.shape[1:])
    field = f"auxiliary is {choice.name}"
    try:
        network = auxiliary_network(
            choice.name, shape, outputs, width=choice.width, norm=choice.norm, like=h
        )
        if choice.loss == "prediction_and_similarity":
            field = f"local_loss is {choice.loss}"
            network = with_similarity(network, shape, like=h)
    except UnsupportedError as error:
        said = f"{field}, which does not fit {block}: {error}"
        raise UnsupportedError(said, network=True) from None
    few = slice(0, 2)
    module = nn.Sequential(OrderedDict({f"auxiliary of {block}": network}))
    separable = chain.separable and choice.norm != "batch" and choice.loss == "prediction"
    return Auxiliary(
        block,
        Chain(
            module,
            h[few].detach(),
            chain.y[few],
            local_losses(choice.loss, chain._losses, outputs),
            separable=separable,
            views=chain.views,
        ),
        outputs,
    )


def drawn_weights(auxiliaries: tuple[Auxiliary, ...], rng: Generator) -> dict[str, Tensor]:
    """First weights of all networks, by the names that their chains give them."""
    weights: dict[str, Tensor] = {}
    for auxiliary in auxiliaries:
        (stage,) = auxiliary.chain.stages
        network = auxiliary.chain.module.get_submodule(stage)
        weights |= {f"{stage}.{n}": w for n, w in first_weights(network, rng).items()}
    return weights


_SHARES = PerNetwork[float]()


def share_of_auxiliaries(chain: Chain, choice: Choice) -> float:
    """Products of a forward pass of all auxiliary networks, as a share of the network's own."""

    def share() -> float:
        few = chain.on(chain.x[:2], chain.y[:2])
        networks = [auxiliary.chain for auxiliary in auxiliaries_of(chain, choice)]
        return share_of_products(
            lambda: [network.forward({}) for network in networks], lambda: few.forward({})
        )

    return _SHARES.get_or_make(chain, choice, share)

"""One estimate of every method against one `.backward()`, beside its floating-point limit

The limit is the ratio of what the method multiplies (matrix products and convolutions, as
torch counts them) to what backprop does: no implementation with these passes gets below it.
"""

from collections.abc import Callable, Iterator
from time import process_time

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from backend.training.networks.cnn import CNN
from backend.training.networks.contract import Network
from backend.training.networks.local_mixer import LocalMixer
from backend.training.networks.mlp import MLP
from benchmarks.table import Row, interleaved
from estimators import (
    Chain,
    Estimator,
    ForwardGradient,
    UnsupportedError,
    discover,
    require,
    stream,
)

SMALL, LARGE = "MLP 64-128-128-10", "MLP 784-1024-1024-10"
CONVOLUTIONS, MIXER = "CNN on 1×8×8", "LocalMixer M/8/16, batch 8"
NETWORKS: dict[str, tuple[Network, tuple[int, ...], int, int]] = {
    SMALL: (MLP(width=128, depth=2), (64,), 64, 20),
    LARGE: (MLP(width=1024, depth=2), (784,), 64, 7),
    CONVOLUTIONS: (CNN(), (1, 8, 8), 64, 10),
    MIXER: (LocalMixer(size="M/8/16"), (3, 32, 32), 8, 5),
}
"""Network, shape of an example, batch size, rounds."""
BUDGETS = {
    (LARGE, "forward_gradient"): 1.4,
    (LARGE, "forward_gradient, normal"): 2.6,
    **{(name, "activity_forward_gradient"): 1.2 for name in (SMALL, LARGE)},
    (CONVOLUTIONS, "activity_forward_gradient"): 1.5,
    **{(name, "fdfa"): 1.8 for name in (SMALL, LARGE, CONVOLUTIONS)},
}


def methods() -> dict[str, Estimator]:
    """Every registered estimator as it comes, and normal tangents."""
    found = {name: entry.cls() for name, entry in discover().estimators.items()}
    return {**found, "forward_gradient, normal": ForwardGradient(noise="normal")}


def rows() -> list[Row]:
    torch.set_num_threads(1)  # what a slot of a small machine has; and steadier
    return [row for name in NETWORKS for row in _one(name)]


def _one(name: str) -> Iterator[Row]:
    network, shape, batch, rounds = NETWORKS[name]
    module: nn.Sequential = network.build(shape, 10, stream(0, "init"))
    x, y = torch.randn(batch, *shape), torch.randint(10, (batch,))
    chain = Chain(module, x, y)
    params = {k: p.detach() for k, p in module.named_parameters()}

    def peer() -> None:
        module.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(module(x), y).backward()

    calls = {
        method: _call(estimator, chain, params)
        for method, estimator in methods().items()
        if _served(estimator, chain, params)
    }
    base, *times = interleaved(peer, *calls.values(), rounds=rounds, clock=process_time)
    work = _flops(peer)
    for (method, call), seconds in zip(calls.items(), times, strict=True):
        limit = f"limit {_flops(call) / work:.2f} ×; " if work else ""
        note = f"{limit}{seconds * 1e3:.2f} ms beside {base * 1e3:.2f} ms"
        yield Row(f"{name}: {method}", seconds / base, BUDGETS.get((name, method)), note=note)


def _served(estimator: Estimator, chain: Chain, params: dict[str, torch.Tensor]) -> bool:
    try:
        require(estimator, chain, params)
    except UnsupportedError:
        return False
    return True


def _call(
    estimator: Estimator, chain: Chain, params: dict[str, torch.Tensor]
) -> Callable[[], None]:
    """Estimates one behind the other, so that what is done now and then counts."""
    rng = stream(0, "estimator")
    state = estimator.init(chain, params, rng)

    def step() -> None:
        nonlocal state
        estimate = estimator.estimate(chain, params, state, rng)
        state = estimate.state
        for _ in estimate.grads.values():  # a lazy gradient is made tensor by tensor
            pass

    return step


class _Counter(TorchDispatchMode):
    """Floating-point operations of what runs inside, without a hook on any module."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func._overloadpacket):
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


def _flops(call: Callable[[], None]) -> int:
    with _Counter() as counter:
        call()
    return counter.total

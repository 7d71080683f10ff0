"""Local losses: memory beside depth and units, time beside backprop"""

import torch
from torch import nn

from backend.training.networks.local_mixer import LocalMixer
from benchmarks.mezo import peak
from benchmarks.table import Row, interleaved
from estimators import (
    ActivityForwardGradient,
    Backprop,
    Chain,
    Estimator,
    ForwardGradient,
    stream,
)
from estimators.local._replicated import Pattern, replicated_mean
from estimators.local.local_losses import LocalLosses

CIFAR = (3, 32, 32)
UNITS = ("patch", "group", "channel")
LOCAL = {
    "LG-BP": LocalLosses(Backprop()),
    "LG-FG-A": LocalLosses(ActivityForwardGradient()),
}
TIMED = {
    "BP": Backprop(),
    "L-BP": LocalLosses(Backprop(), greedy=False),
    "LG-BP": LOCAL["LG-BP"],
    "FG-W": ForwardGradient(),
    "LG-FG-W": LocalLosses(ForwardGradient()),
    "FG-A": ActivityForwardGradient(),
    "LG-FG-A": LOCAL["LG-FG-A"],
}


def rows() -> list[Row]:
    torch.set_num_threads(1)
    return [*sizes(), *depth(), *units(), *times()]


def sizes() -> list[Row]:
    """The paper says 17.3M; it is 17.3M with a hundred classes."""
    counted = {n: LocalMixer(size="L/32/64").count((3, 224, 224), n) for n in (100, 1000)}
    return [
        Row(f"LocalMixer L/32/64, {n} classes: parameters", c / 1e6, None, "M",
            note=f"{c:,} beside the paper's 17.3M")
        for n, c in counted.items()
    ]  # fmt: skip


# --- memory ---


def depth() -> list[Row]:
    """Bytes that autograd keeps at once, 12 blocks against 3: what depends on depth grows 4 ×."""
    found = []
    for name, estimator in {"BP": Backprop(), **LOCAL}.items():
        shallow, deep = (_kept(estimator, *_mixer(blocks, 16)) for blocks in (3, 12))
        budget = None if name == "BP" else 1.05
        note = f"{deep / 2**20:.2f} MiB beside {shallow / 2**20:.2f} MiB"
        found.append(Row(f"{name}: activations kept, 12 blocks / 3", deep / shallow, budget,
                         note=note))  # fmt: skip
    return found


class Kept:
    """Bytes saved for backward passes, each storage once, as long as a graph holds them."""

    def __init__(self) -> None:
        self.now = self.peak = 0
        self._held: dict[int, int] = {}

    def pack(self, t: torch.Tensor) -> "_Held":
        return _Held(self, t)

    def add(self, key: int, size: int) -> None:
        self._held[key] = self._held.get(key, 0) + 1
        if self._held[key] == 1:
            self.now += size
            self.peak = max(self.peak, self.now)

    def drop(self, key: int, size: int) -> None:
        self._held[key] -= 1
        if not self._held[key]:
            self.now -= size


class _Held:
    def __init__(self, kept: Kept, t: torch.Tensor) -> None:
        storage = t.untyped_storage()
        self._kept, self.t = kept, t
        self._what = storage.data_ptr(), storage.nbytes()
        kept.add(*self._what)

    def __del__(self) -> None:
        self._kept.drop(*self._what)


def _kept(estimator: Estimator, chain: Chain, params: dict) -> int:
    """The most that one estimate keeps for backward passes at any time, parameters left out."""
    rng = stream(0, "estimator")
    state = estimator.init(chain, params, rng)
    estimator.estimate(chain, params, state, rng)
    weights = {p.untyped_storage().data_ptr() for p in params.values()}
    kept = Kept()

    def pack(t: torch.Tensor):
        return t if t.untyped_storage().data_ptr() in weights else kept.pack(t)

    with torch.autograd.graph.saved_tensors_hooks(
        pack, lambda h: h.t if isinstance(h, _Held) else h
    ):
        estimator.estimate(chain, params, state, rng)
    return kept.peak


def units() -> list[Row]:
    """The aggregator's memory, forwards and backwards, beside that of the features themselves."""
    found = []
    for patches, groups in ((1, 1), (64, 1), (64, 16)):
        fused, made = (_aggregated(patches, groups, fused) for fused in (True, False))
        what = f"aggregator, {patches * groups:,} losses an example: memory / the features'"
        found.append(Row(f"{what}, fused", fused, 1.1))
        found.append(Row(f"{what}, replicas made", made, None))
    return found


def _aggregated(patches: int, groups: int, fused: bool, batch: int = 8) -> float:
    """The most bytes alive in a forward and a backward pass, in units of h."""
    torch.manual_seed(0)
    h = torch.randn(batch, 64, 16, 32, requires_grad=True)
    head, y = nn.Linear(512, 10).requires_grad_(False), torch.randint(10, (batch,))

    def losses(features: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(head(features), y, reduction="none")

    per = tuple(u for u, n in zip(UNITS, (patches, groups), strict=False) if n > 1)

    def call():
        if fused:
            found = replicated_mean(h, losses, Pattern(UNITS, per)).mean()
        else:
            found = _made(h, head, y, patches, groups)
        return torch.autograd.grad(found, h)

    return peak(call) / h.untyped_storage().nbytes()


def _made(h, head, y, patches: int, groups: int) -> torch.Tensor:
    """The same losses from replicas in memory: (B, P, G, G, C/G)."""
    pooled = h.mean(1, keepdim=True)
    own = h / 64 + (pooled - h / 64).detach() if patches > 1 else pooled
    if groups > 1:
        mask = torch.eye(16)[..., None]
        own = own.unsqueeze(2)
        own = mask * own + ((1 - mask) * own).detach()
    logits = head(own.flatten(-2))
    wanted = y.view(-1, *[1] * (logits.ndim - 2)).expand(logits.shape[:-1])
    return nn.functional.cross_entropy(logits.flatten(0, -2), wanted.flatten())


# --- time ---


def times() -> list[Row]:
    """One estimate on M/8/16 beside one of backprop's."""
    chain, params = _built(LocalMixer(size="M/8/16"), CIFAR, 8)

    def call(estimator: Estimator):
        rng = stream(0, "estimator")
        state = estimator.init(chain, params, rng)
        return lambda: estimator.estimate(chain, params, state, rng)

    base, *others = interleaved(*map(call, TIMED.values()), rounds=7, warm=2)
    return [
        Row(f"LocalMixer M/8/16: {name}", seconds / base, None,
            note=f"{seconds * 1e3:.0f} ms beside {base * 1e3:.0f} ms, batch 8")
        for name, seconds in zip(list(TIMED)[1:], others, strict=True)
    ]  # fmt: skip


def _mixer(blocks: int, batch: int) -> tuple[Chain, dict]:
    network = LocalMixer(blocks=blocks, patches=4, channels=64, groups=8)
    return _built(network, (1, 8, 8), batch)


def _built(network: LocalMixer, shape: tuple[int, ...], batch: int) -> tuple[Chain, dict]:
    module = network.build(shape, 10, stream(0, "init"))
    rng = stream(0, "data")
    x, y = torch.rand(batch, *shape, generator=rng), torch.randint(10, (batch,), generator=rng)
    return Chain(module, x, y), {n: p.detach() for n, p in module.named_parameters()}

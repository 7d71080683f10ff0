"""What measuring costs: 64 draws, batched, by an oracle, by a law; memory of 1,024 draws"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import Generator, Tensor

from backend.training.networks import cnn
from backend.training.networks.contract import Network
from backend.training.networks.mlp import MLP
from benchmarks.table import Row, interleaved
from estimators import ActivityForwardGradient, Backprop, Chain, Estimator, ForwardGradient, stream
from estimators.autodiff.calculus import push_forward, value_and_grad
from estimators.core.noise import tangents
from estimators.core.vectors import scale_
from estimators.measurement.draws.moments import Moments
from estimators.measurement.draws.stream import draws
from estimators.measurement.estimates.observation import Observation, observe, point
from estimators.measurement.estimates.theory import law_of
from estimators.perturbation._directions.draws import oracle_numbers

K = 64
LARGE = "MLP 784-1024-1024-10"
SMALL = "MLP 64-128-128-10"
CNN = "CNN on 1×8×8"
NETWORKS: dict[str, tuple[Network, tuple[int, ...]]] = {
    SMALL: (MLP(width=128, depth=2), (64,)),
    LARGE: (MLP(width=1024, depth=2), (784,)),
    CNN: (cnn.CNN(), (1, 8, 8)),
}
LAW = {SMALL: 50, LARGE: 100}
BATCHED = {SMALL: 2.0, LARGE: 1.0, CNN: 1.0}
ORACLE = {(LARGE, "normal"): 1.5, (LARGE, "rademacher"): 8, (CNN, "rademacher"): 40}
ORACLES, LAWS = {SMALL: 8, LARGE: 4, CNN: 32}, {SMALL: 64, LARGE: 32, CNN: 32}
"""Calls one behind the other that make one time: about as long as the 64 draws they stand for,
which find what the processor keeps at hand by the second of them."""

Noise = Literal["rademacher", "normal"]


def rows() -> list[Row]:
    torch.set_num_threads(1)
    found = [row for name in NETWORKS for row in compared(name, *problem(name))]
    return [*found, *_microscope(), _memory()]


def problem(name: str) -> tuple[Chain, dict[str, Tensor]]:
    """A network of the benchmark with a batch of 64."""
    network, shape = NETWORKS[name]
    return on_batch(network, shape, 64, "cpu")


def on_batch(
    network: Network, shape: tuple[int, ...], batch: int, device: str
) -> tuple[Chain, dict[str, Tensor]]:
    """A network on random examples of 10 classes."""
    module = network.build(shape, 10, stream(0, "init")).to(device)
    x, y = torch.randn(batch, *shape), torch.randint(10, (batch,))
    params = {n: p.detach() for n, p in module.named_parameters()}
    return Chain(module, x.to(device), y.to(device)), params


def compared(name: str, chain: Chain, params: dict[str, Tensor]) -> list[Row]:
    """64 draws side by side, by an oracle and by a law, against 64 dual-number JVPs."""
    small = sum(p.numel() for p in params.values()) < 10**6
    found = []
    for noise in ("rademacher", "normal"):
        estimator = ForwardGradient(noise=noise)
        calls = [
            _duals(chain, params, noise),
            _draw(chain, params, estimator),
            _tangents(params, noise),
            _honest(chain, params, estimator),
            _oracle(chain, params, estimator),
            _law(chain, params, estimator),
        ]
        calls = [_finished(call, chain) for call in calls]
        inner = [1] * 4 + [ORACLES.get(name, 4), LAWS.get(name, 8)]
        loop, many, noises, honest, oracle, lawful = interleaved(
            *calls, rounds=7 if small else 5, inner=inner, warm=1
        )
        what = f"{name}, {noise}"
        found += [
            Row(f"{what}: {K} batched draws against the dual-number loop", loop / many,
                BATCHED.get(name), at_most=False,
                note=f"{many * 1e3:.1f} beside {loop * 1e3:.1f} ms; {noises * 1e3:.1f} ms of "
                "each are its random numbers"),
            Row(f"{what}: oracle against {K} dual-number JVPs", loop / oracle,
                ORACLE.get((name, noise)), at_most=False, note=f"{oracle * 1e3:.1f} ms"),
            Row(f"{what}: law against {K} honest draws and their moments", honest / lawful,
                LAW.get(name), at_most=False,
                note=f"{lawful * 1e3:.2f} beside {honest * 1e3:.1f} ms; {loop / lawful:.0f} × "
                "against the loop alone"),
        ]  # fmt: skip
    return found


def _finished(call: Callable[[], object], chain: Chain) -> Callable[[], object]:
    """The call, until the device has done what it was told."""
    if not chain.x.is_cuda:
        return call

    def waited() -> None:
        call()
        torch.cuda.synchronize()

    return waited


def _tangents(params: dict[str, Tensor], noise: Noise) -> Callable[[], object]:
    """The random numbers of 64 draws."""

    def call() -> None:
        rng = _stream(params)
        for _ in range(K):
            tangents(params, noise, rng)

    return call


def _stream(params: dict[str, Tensor]) -> Generator:
    return stream(0, "probe", device=next(iter(params.values())).device)


def _duals(chain: Chain, params: dict[str, Tensor], noise: Noise) -> Callable[[], object]:
    """One JVP after another, each with a tangent of its own."""

    def call() -> None:
        rng = _stream(params)
        for _ in range(K):
            v = tangents(params, noise, rng)
            slope = push_forward(chain, params, v)[1]
            scale_(v, slope)

    return call


def _draw(chain: Chain, params: dict[str, Tensor], e: Estimator) -> Callable[[], object]:
    def call() -> None:
        for _ in draws(chain, params, e, None, K):
            pass

    return call


def _oracle(chain: Chain, params: dict[str, Tensor], e: ForwardGradient) -> Callable[[], object]:
    def call() -> object:
        exact = value_and_grad(chain, params)[1]
        return oracle_numbers(e.noise, params, exact, K, _stream(params))

    return call


def _law(chain: Chain, params: dict[str, Tensor], e: Estimator) -> Callable[[], object]:
    """The moments in closed form, as `_honest` has them measured."""

    def call() -> object:
        exact = value_and_grad(chain, params)[1]
        found = law_of(e, chain, params, None, exact)
        assert found is not None
        return found

    return call


def _honest(chain: Chain, params: dict[str, Tensor], e: Estimator) -> Callable[[], object]:
    def call() -> None:
        moments = Moments(value_and_grad(chain, params)[1])
        for chunk in draws(chain, params, e, None, K):
            moments.add(chunk)

    return call


def _microscope() -> list[Row]:
    """Three estimators, 256 draws each, on the CNN."""
    chain, params = problem(CNN)
    watched = {
        "fg": (ForwardGradient(), None),
        "activity": (ActivityForwardGradient(), None),
        "backprop": (Backprop(), None),
    }

    def first() -> None:
        one = next(observe(chain, params, watched, 256))
        one.cosines()

    def all_() -> None:
        for one in observe(chain, params, watched, 256):
            one.cosines()

    early, late = interleaved(first, all_, rounds=3, warm=1)
    return [
        Row("3 estimators × 256 draws on the CNN: first histogram", early, 1, "s"),
        Row("3 estimators × 256 draws on the CNN: complete", late, 20, "s"),
    ]


def _memory() -> Row:
    """In a process of its own: the peak of 1,024 draws over that of 2, in gradients."""
    code = "from benchmarks.measurement import peak; print(*peak())"
    out = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    extra, sketch = (float(x) for x in out)
    note = f"and {sketch:.1f} for the sketch; draws, exact gradient and mean included"
    return Row("1,024 draws on 1.9M parameters: memory in gradients", extra, 6, "", note=note)


def peak(count: int = 1024) -> tuple[float, float]:
    """(gradients, the sketch in gradients) beyond what the process holds before the first draw."""
    torch.set_num_threads(1)
    chain, params = problem(LARGE)
    gradient = sum(p.numel() * 4 for p in params.values())
    for _ in range(2):  # what torch loads and what its allocator keeps is there from now on
        ForwardGradient().estimate(chain, params, None, stream(0, "probe"))
        value_and_grad(chain, params)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _bytes("VmRSS")
    one = Observation("it", ForwardGradient(), None, point(chain, params))
    for _ in one.take(count):
        pass
    sketch = one.sketch
    assert sketch is not None
    kept = sum(t.numel() * 4 for t in sketch._places.values())
    kept += count * (256 + 8 * len(params)) * 4
    return (_bytes("VmHWM") - before - kept) / gradient, kept / gradient


def _bytes(what: str) -> int:
    """A line of what Linux says of the process; the peak of `getrusage` is inherited."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(what))

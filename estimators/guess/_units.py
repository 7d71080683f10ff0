"""Vectors of a block in the three granularities, by reverse mode: pulled back from a cotangent."""
# pyright: reportPrivateImportUsage=false

from collections.abc import Callable
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.func import jvp, vjp, vmap

from estimators.autodiff.block_pass import BlockPass, names_in, tangents_of_output
from estimators.core.contract import Params
from estimators.core.noise import Noise, noise
from estimators.core.objective import Chain
from estimators.core.vectors import dense

Unit = Literal["output_and_example", "tensor", "tensor_and_example"]
"""What has one scalar: a block's output and example, a tensor, or a tensor and example."""

OfExample = Callable[[Tensor, Tensor], dict[str, Tensor]]
"""Of an example's input and its vector."""


def is_by_example(unit: Unit) -> bool:
    """Whether each example has a scalar of its own."""
    return unit != "tensor"


def vectors_of(run: BlockPass, block: int, signal: Tensor, unit: Unit) -> dict[str, Tensor]:
    """The block's vectors that a cotangent at its output stands for.

    Returns:
        {"": the cotangent itself, (B, ...)} for block outputs; else gradients by parameter, of
        the batch or (B, *shape) of each example. Both are of the mean loss: 1/B is included.
    """
    if unit == "output_and_example":
        return {"": signal}
    if unit == "tensor":
        return run.back(block, signal, to_params=True)[1]
    return _example_grads(run.parts[block], run.params, run.inputs[block], run.y, signal)


def exact_vectors(run: BlockPass, block: int, unit: Unit) -> dict[str, Tensor]:
    """`vectors_of` the exact cotangent ∂L/∂h. Ask for the last block first."""
    if unit == "tensor":
        return run.exact_grads(block)
    return vectors_of(run, block, run.exact_signal(block), unit)


def random_vectors(
    run: BlockPass, block: int, unit: Unit, kind: Noise, rng: Generator
) -> dict[str, Tensor]:
    """Noise in the shapes of the block's vectors."""
    if unit == "output_and_example":
        return {"": noise(run.outputs[block], kind, rng)}
    params = {n: run.params[n] for n in names_in(run.parts[block], run.params)}
    if unit == "tensor":
        return {n: noise(p, kind, rng) for n, p in params.items()}
    count = len(run.outputs[block])
    return {n: noise(p.new_empty(count, *p.shape), kind, rng) for n, p in params.items()}


def gradients(run: BlockPass, block: int, vectors: Params, unit: Unit) -> dict[str, Tensor]:
    """The gradient by the block's parameters that vectors of a granularity stand for."""
    if unit == "output_and_example":
        return run.back(block, vectors[""], to_params=True)[1]
    return dict(vectors) if unit == "tensor" else {n: v.sum(0) for n, v in vectors.items()}


def output_tangents(run: BlockPass, block: int, vectors: Params, unit: Unit) -> Tensor:
    """The tangents of the block's output along each of its vectors, (K, B, ...)."""
    if unit == "output_and_example":
        return vectors[""].unsqueeze(0)
    part, h = run.parts[block], run.inputs[block]
    if unit == "tensor":
        return tangents_of_output(part, run.params, h, run.y, vectors)
    return _example_tangents(part, run.params, h, run.y, vectors)


def _example_grads(
    part: Chain, params: Params, h: Tensor, y: Tensor, signal: Tensor
) -> dict[str, Tensor]:
    own = {n: params[n].detach() for n in names_in(part, params)}

    def pulled(x: Tensor, c: Tensor) -> dict[str, Tensor]:
        return vjp(_on_example(part, x, y), own)[1](c[None])[0]

    def by_autograd(x: Tensor, c: Tensor) -> dict[str, Tensor]:
        leaves = {n: p.detach().requires_grad_() for n, p in own.items()}
        with torch.enable_grad():
            end = _on_example(part, x, y)(leaves)
        grads = torch.autograd.grad(end, list(leaves.values()), c[None], materialize_grads=True)
        return {n: dense(g) for n, g in zip(leaves, grads, strict=True)}

    return _over_examples(pulled, by_autograd, h, signal) if own else {}


def _example_tangents(part: Chain, params: Params, h: Tensor, y: Tensor, vectors: Params) -> Tensor:
    own = {n: params[n].detach() for n in names_in(part, params)}

    def moved_by(name: str) -> Tensor:
        def moved(x: Tensor, v: Tensor) -> dict[str, Tensor]:
            run = _on_example(part, x, y)
            alone = lambda w: run({**own, name: w})  # noqa: E731
            return {"": jvp(alone, (own[name],), (v,))[1][0]}

        def by_dual_numbers(x: Tensor, v: Tensor) -> dict[str, Tensor]:
            return {"": tangents_of_output(part, params, x[None], y[:1], {name: v})[0, 0]}

        return _over_examples(moved, by_dual_numbers, h, vectors[name])[""]

    return torch.stack([moved_by(name) for name in vectors])


def _on_example(part: Chain, x: Tensor, y: Tensor) -> Callable[[Params], Tensor]:
    # A copy at each call, because the block may begin with an in-place non-linearity.
    return lambda own: part.on(x[None].clone(), y[:1]).forward(own)


def _over_examples(
    function: OfExample, alone: OfExample, h: Tensor, each: Tensor
) -> dict[str, Tensor]:
    """`function` of all examples in one batch; where torch.func does not allow it, `alone` of one
    after the other."""
    try:
        return vmap(function)(h, each)
    except RuntimeError:
        rows = [alone(x, c) for x, c in zip(h, each, strict=True)]
        return {n: torch.stack([row[n] for row in rows]) for n in rows[0]}

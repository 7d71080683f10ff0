"""FDFA's feedback against the mean Jacobian, over α: squared bias and variance, in ‖J‖²

An MLP 64-128-128-10 on digits is trained by backprop; feedback with eight seeds of noise and
several α watches it. At the end, B is compared with the mean Jacobian over the training images.
"""

import torch
from sklearn.datasets import load_digits

from backend.training.networks.mlp import MLP
from benchmarks.table import Row
from estimators import Backprop, Chain, stream
from estimators.feedback._direct import mean_jacobian
from estimators.feedback.fdfa import FDFA

ALPHAS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
STEPS, SEEDS, BATCH, LR = 500, 8, 64, 0.1


def rows() -> list[Row]:
    torch.set_num_threads(1)
    feedback, jacobian = _watched()  # (alphas, seeds, outputs, units), (outputs, units)
    size = jacobian.square().sum()
    variance = feedback.var(1).sum((1, 2)) / size
    distance = (feedback.mean(1) - jacobian).square().sum((1, 2)) / size
    bias = distance - variance / SEEDS  # less the noise of the mean
    return [
        Row(f"α = {alpha}: {name}", value.item(), None, unit="")
        for alpha, *values in zip(ALPHAS, bias, variance, bias + variance, strict=True)
        for name, value in zip(("squared bias", "variance", "both"), values, strict=True)
    ]


def _watched() -> tuple[torch.Tensor, torch.Tensor]:
    digits = load_digits()
    x, y = torch.tensor(digits.data / 16).float(), torch.tensor(digits.target)
    module = MLP(width=128, depth=2).build((64,), 10, stream(0, "init"))
    params = {n: p.detach().clone() for n, p in module.named_parameters()}
    whole, order = Chain(module, x, y), torch.Generator().manual_seed(0)
    draw, noise = FDFA(rate=1.0), [stream(seed, "estimator") for seed in range(SEEDS)]
    state = draw.init(whole, params, noise[0])
    feedback = torch.zeros(len(ALPHAS), SEEDS, *state[1].shape)
    rates = torch.tensor(ALPHAS).view(-1, 1, 1, 1)
    for _ in range(STEPS):
        picked = torch.randint(len(x), (BATCH,), generator=order)
        batch = whole.on(x[picked], y[picked])
        drawn = torch.stack([draw.advance(batch, params, state, rng)[1] for rng in noise])
        feedback.lerp_(drawn.expand_as(feedback), rates.expand_as(feedback))
        grads = Backprop().estimate(batch, params, None, noise[0]).grads
        params = {n: p - LR * grads[n] for n, p in params.items()}
    return feedback, mean_jacobian(whole, params)

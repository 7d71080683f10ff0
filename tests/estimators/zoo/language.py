"""Language models: the lab's transformer, on tokens with a target at each position."""

import torch

from backend.training.networks.gpt import GPT
from estimators.core.token_loss import token_cross_entropy
from tests.estimators.zoo.foreign import CLASSES, EXAMPLES, Foreign, Network, network

POSITIONS = 4


def _gpt(**fields) -> Network:
    """Weights larger than GPT-2's, so that attention is not almost uniform."""
    made = GPT(width=4, heads=2, depth=1, mlp_ratio=1, **fields)
    module = made.build((POSITIONS,), CLASSES, torch.Generator().manual_seed(1))
    for p in module.parameters():
        p.data.normal_(std=0.6)
    text = torch.randint(CLASSES, (EXAMPLES, POSITIONS + 1))
    return network(module, text[:, :-1], token_cross_entropy, text[:, 1:])


LANGUAGE = [
    Foreign("gpt", _gpt),
    Foreign("gpt_tied", lambda: _gpt(tied=True)),
]

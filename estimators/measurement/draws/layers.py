"""The layers that numbers are given for: the whole network, its stages, its tensors."""

import torch
from torch import Tensor

from estimators.core.objective import Chain, Objective


def layers_of(objective: Objective, names: list[str]) -> tuple[tuple[str, ...], Tensor]:
    """The layers' names, and which tensors belong to each, 0/1, (T, G)."""
    stages: dict[str, list[str]] = {}
    if isinstance(objective, Chain):
        for name in names:
            stages.setdefault(objective.stage_of(name), []).append(name)
        stages.pop("", None)
    members = {"": names, **stages, **{name: [name] for name in names}}
    groups = torch.tensor(
        [[float(n in layer) for layer in map(set, members.values())] for n in names],
        dtype=torch.float64,
    )
    return tuple(members), groups

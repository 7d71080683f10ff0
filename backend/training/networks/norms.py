"""Normalisation between a linear map and its site."""

from typing import Literal

from torch import nn

Normalisation = Literal["none", "layer", "group", "batch"]

GROUP_SIZE = 8  # channels or units in a group, if the number is a multiple of it


def norm(kind: Normalisation, features: int, *, image: bool) -> nn.Module | None:
    """The normalisation of activations (B, features), or of images (B, features, H, W).

    On images, layer normalisation covers channels, height and width together.
    """
    if kind == "batch":
        return nn.BatchNorm2d(features) if image else nn.BatchNorm1d(features)
    if kind == "layer":
        return nn.GroupNorm(1, features) if image else nn.LayerNorm(features)
    if kind == "group":
        return nn.GroupNorm(features // GROUP_SIZE if features % GROUP_SIZE == 0 else 1, features)
    return None

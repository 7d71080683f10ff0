"""Splitting nested dicts, lists and tuples into tensors and a JSON skeleton, and joining them."""

from typing import Any

import torch
from torch import Tensor

Tensors = dict[str, Tensor]


def flatten(value: Any, path: str = "") -> tuple[Tensors, Any]:
    """{path: tensor}, and everything else as plain JSON.

    Raises TypeError for a value of another type, naming its path.
    """
    tensors: Tensors = {}
    return tensors, _skeleton(value, path, tensors)


def unflatten(tensors: Tensors, skeleton: Any, device: torch.device | str = "cpu") -> Any:
    """The inverse of `flatten`; tensors that were not on the CPU go to `device`."""
    kind, body = skeleton
    if kind == "tensor":
        path, home = body
        return tensors[path] if home == "cpu" else tensors[path].to(device)
    if kind == "dict":
        return {key: unflatten(tensors, inner, device) for key, inner in body}
    if kind in ("list", "tuple"):
        items = [unflatten(tensors, inner, device) for inner in body]
        return tuple(items) if kind == "tuple" else items
    return body


def _skeleton(value: Any, path: str, tensors: Tensors) -> Any:
    if isinstance(value, Tensor):
        tensors[path] = value
        return ["tensor", [path, value.device.type]]
    if isinstance(value, dict):
        return ["dict", [[k, _skeleton(v, f"{path}/{k}", tensors)] for k, v in value.items()]]
    if type(value) in (list, tuple):
        kind = type(value).__name__
        return [kind, [_skeleton(v, f"{path}/{i}", tensors) for i, v in enumerate(value)]]
    if value is None or isinstance(value, bool | int | float | str):
        return ["value", value]
    raise TypeError(
        f"{path or 'the state'} is {type(value).__name__}, which a checkpoint cannot hold; "
        "allowed are tensors, numbers, strings and None in dicts, lists and tuples"
    )

"""Reading and writing checkpoints: safetensors files whose header holds the rest as JSON."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save

from backend.training.checkpoints.files import (
    UNSIGNED,
    checkpoint_steps,
    path_of,
    sign,
    surplus,
)
from backend.training.checkpoints.tree import flatten, unflatten


def write(folder: Path, step: int, state: Mapping[str, Any], *, durable: bool = True) -> Path:
    """Write the state of `step`, completely or not at all, and delete surplus checkpoints.

    One that is not `durable` may be lost in a power cut, which its hash reveals.

    Raises OSError if the disk is full, and then leaves the earlier checkpoints as they were.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors, skeleton = flatten(dict(state))
    # safetensors rejects tensors that share memory, as those of a tied state do.
    own = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
    path = path_of(folder, step)
    _write_whole(path, sign(save(own, {"skeleton": json.dumps(skeleton), **UNSIGNED})), durable)
    for old in surplus(checkpoint_steps(folder), path.stat().st_size):
        path_of(folder, old).unlink()
    return path


def read(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The state that was passed to `write`; tensors that were on a GPU go to `device`."""
    with safetensors.safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return unflatten(tensors, json.loads(file.metadata()["skeleton"]), device)


def _write_whole(path: Path, data: bytes, durable: bool) -> None:
    part = path.parent / "unfinished.part"
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)  # an incomplete checkpoint is of no use
        raise
    if durable:
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)  # the rename itself must survive a power cut
        os.close(folder)

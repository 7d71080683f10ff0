"""The checkpoint files of a run: names, damage, and which to keep. Needs no torch."""

import errno
import json
import re
from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from typing import Any

from safetensors import safe_open

NEWEST_KEPT = 2
"""The newest checkpoints are kept; the second serves if a disk loses the first."""
MAX_BETWEEN = 9
"""Checkpoints kept between the first and the newest ones."""
MAX_BYTES_BETWEEN = 256 * 2**20
"""Bytes that those may take together."""
HEADER_LENGTH_BYTES, METADATA = 8, "__metadata__"
"""Of the safetensors format: the size of the header's length, and the key that is no tensor."""
_NAME = re.compile(r"step-(\d{12})\.safetensors")


def is_full(error: OSError) -> bool:
    """Whether a write failed because the disk or the user's quota is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def path_of(folder: Path, step: int) -> Path:
    """The file of the checkpoint of `step`."""
    return folder / f"step-{step:012d}.safetensors"


def checkpoint_steps(folder: Path) -> list[int]:
    """The steps of the checkpoints in `folder`, ascending; empty if there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(int(m[1]) for p in folder.iterdir() if (m := _NAME.fullmatch(p.name)))


def damage(path: Path) -> str:
    """An error message if the checkpoint is damaged, else "". Raises FileNotFoundError.

    Only the header is read: it says how long the file must be.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header = int.from_bytes(file.read(HEADER_LENGTH_BYTES), "little")
        text = file.read(header) if header <= size - HEADER_LENGTH_BYTES else b""
    try:
        entries = json.loads(text)
        ends = (t["data_offsets"][1] for name, t in entries.items() if name != METADATA)
        end = max(ends, default=0)
        whole = "skeleton" in entries[METADATA] and size == HEADER_LENGTH_BYTES + header + end
    except (ValueError, LookupError, TypeError, AttributeError):
        whole = False
    return "" if whole else damage_message(path)


def damage_message(path: Path) -> str:
    """The error message for a checkpoint that cannot be read."""
    step, size = int(path.stem.removeprefix("step-")), path.stat().st_size
    return f"the checkpoint of step {step:,} is damaged or cut short ({size:,} bytes)"


def config_at(path: Path) -> dict[str, Any]:
    """The part of a run's configuration that may have changed by a checkpoint.

    `{"lr": …, "estimators": [driver, shadows …]}`, without `estimators` if they never changed.
    Raises ValueError if the checkpoint cannot be read.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            skeleton = json.loads(file.metadata()["skeleton"])
        trainer = _without_tensors(skeleton)["trainer"]
        config: dict[str, Any] = {"lr": trainer["lr"]}
        roles = stored_roles(trainer)
        if roles is not None:
            config["estimators"] = [member["estimator"] for member in roles["members"]]
    except Exception as error:  # a damaged file can raise many kinds of exceptions
        raise ValueError(damage_message(path)) from error
    return config


def stored_roles(trainer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The estimator roles in a checkpoint's trainer state; None in the oldest checkpoints.

    Older checkpoints have them under the key "lineup".
    """
    return trainer.get("roles", trainer.get("lineup"))


def _without_tensors(skeleton: Any) -> Any:
    """The numbers and strings of a skeleton (see `backend.training.checkpoints.tree`)."""
    kind, body = skeleton
    if kind == "dict":
        return {key: _without_tensors(inner) for key, inner in body}
    if kind in ("list", "tuple"):
        return [_without_tensors(inner) for inner in body]
    return body if kind == "value" else None


def resume_step(folder: Path) -> int:
    """The step at which the next attempt starts."""
    return max(checkpoint_steps(folder), default=0)


def surplus(steps: Sequence[int], size: int) -> list[int]:
    """Which of the ascending `steps`, of `size` bytes each, to delete.

    The first and the newest are kept, and between them those that lie evenly in √step, within
    the limits above. The choice depends on the existing files alone, so that a later attempt
    makes the same one.
    """
    kept, deleted = list(steps), []
    most = 1 + NEWEST_KEPT + min(MAX_BETWEEN, MAX_BYTES_BETWEEN // max(size, 1))
    while len(kept) > most:
        between = range(1, len(kept) - NEWEST_KEPT)
        closest = min(between, key=lambda at: sqrt(kept[at + 1]) - sqrt(kept[at - 1]))
        deleted.append(kept.pop(closest))
    return deleted

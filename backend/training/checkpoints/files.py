"""The checkpoint files of a run: names, damage, and which to keep. Needs no torch."""

import errno
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import sqrt
from pathlib import Path
from typing import IO, Any

from safetensors import safe_open

from backend.config import with_former_defaults

NEWEST_KEPT = 2
"""The newest checkpoints are kept; the second serves if a disk loses the first."""
MAX_BETWEEN = 9
"""Checkpoints kept between the first and the newest ones."""
MAX_BYTES_BETWEEN = 256 * 2**20
"""Bytes that those may take together."""
HEADER_LENGTH_BYTES, METADATA = 8, "__metadata__"
"""Of the safetensors format: the size of the header's length, and the key that is no tensor."""
_UNSIGNED = b'"sha256":"' + b"0" * 64 + b'"'
_SIGNED = re.compile(rb'"sha256":"[0-9a-f]{64}"')
"""In the header; within the skeleton, which is a JSON string, every quote is escaped."""
UNSIGNED = {"sha256": "0" * 64}
"""The header's entry for `sign`."""
_NAME = re.compile(r"step-(\d{12})\.safetensors")


class CheckpointError(Exception):
    """A run cannot go on from its checkpoints; the message is for people."""


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


def sign(data: bytes) -> bytes:
    """A checkpoint with the SHA-256 of itself in its header, in the place of `UNSIGNED`."""
    digest = hashlib.sha256(data).hexdigest().encode()
    place = data.index(_UNSIGNED)
    signed = _UNSIGNED.replace(b"0" * 64, digest)
    return b"".join((data[:place], signed, memoryview(data)[place + len(signed) :]))


def damage(path: Path) -> str:
    """An error message if the checkpoint cannot be read or is not as it was written, else "".

    The header says how long the file must be, and its hash. Checkpoints of earlier versions have no
    hash. Raises FileNotFoundError.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            whole = _is_whole(file, size)
    except FileNotFoundError:
        raise
    except OSError as error:
        return f"the checkpoint of step {_step(path):,} cannot be read ({error.strerror})"
    return "" if whole else damage_message(path)


def _is_whole(file: IO[bytes], size: int) -> bool:
    start = file.read(HEADER_LENGTH_BYTES)
    length = int.from_bytes(start, "little")
    header = file.read(length) if length <= size - HEADER_LENGTH_BYTES else b""
    try:
        entries = json.loads(header)
        ends = (t["data_offsets"][1] for name, t in entries.items() if name != METADATA)
        end = max(ends, default=0)
        whole = "skeleton" in entries[METADATA] and size == HEADER_LENGTH_BYTES + length + end
        return whole and _has_its_hash(start + header, file, entries[METADATA].get("sha256"))
    except (ValueError, LookupError, TypeError, AttributeError):
        return False


def _has_its_hash(start: bytes, rest: IO[bytes], expected: str | None) -> bool:
    if expected is None:  # a checkpoint of an earlier version
        return True
    digest = hashlib.sha256(_SIGNED.sub(_UNSIGNED, start, count=1))
    while block := rest.read(2**20):
        digest.update(block)
    return digest.hexdigest() == expected


def newest_sound(folder: Path) -> tuple[int | None, dict[int, str]]:
    """The step of the newest checkpoint that is not damaged, or None; and what is wrong with the
    newer ones, by step."""
    wrong: dict[int, str] = {}
    for step in reversed(checkpoint_steps(folder)):
        try:
            message = damage(path_of(folder, step))
        except FileNotFoundError:  # deleted at this moment
            continue
        if not message:
            return step, wrong
        wrong[step] = message
    return None, wrong


def put_away(folder: Path, step: int) -> None:
    """Rename a damaged checkpoint, so that it is neither offered nor counted any more."""
    path = path_of(folder, step)
    with suppress(OSError):  # it is passed over again the next time
        path.rename(path.with_suffix(".damaged"))


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def damage_message(path: Path) -> str:
    """The error message for a checkpoint that cannot be read."""
    size = path.stat().st_size
    return f"the checkpoint of step {_step(path):,} is damaged or cut short ({size:,} bytes)"


def config_at(path: Path) -> dict[str, Any]:
    """The part of a run's configuration that may have changed by a checkpoint.

    `{"lr": …, "estimators": [driver, shadows …]}`, without `estimators` if they never changed.
    Raises FileNotFoundError if there is no such checkpoint, and ValueError if it cannot be read.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            skeleton = json.loads(file.metadata()["skeleton"])
        trainer = _without_tensors(skeleton)["trainer"]
        config: dict[str, Any] = {"lr": trainer["lr"]}
        roles = stored_roles(trainer)
        if roles is not None:
            config["estimators"] = [member["estimator"] for member in roles["members"]]
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged file can raise many kinds of exceptions
        raise ValueError(damage_message(path)) from error
    return config


def stored_roles(trainer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The estimator roles in a checkpoint's trainer state; None in the oldest checkpoints.

    Older checkpoints have them under the key "lineup", and estimators without newer fields.
    """
    roles = trainer.get("roles", trainer.get("lineup"))
    if roles is None:
        return None
    members = [
        {**member, "estimator": with_former_defaults(member["estimator"])}
        for member in roles["members"]
    ]
    return {**roles, "members": members}


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
    return newest_sound(folder)[0] or 0


def spread(steps: int) -> list[int]:
    """Steps at which a run of `steps` writes checkpoints for the microscope and for forks, evenly
    in √step: for 20,000 steps 200, 800, 1,800, …, 16,200."""
    parts = MAX_BETWEEN + 1
    return sorted({steps * k * k // parts**2 for k in range(1, parts)} - {0})


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

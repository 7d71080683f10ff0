"""Which checkpoints a folder holds. Needs no torch: the server asks where a run resumes."""

import errno
import json
import re
from collections.abc import Sequence
from math import sqrt
from pathlib import Path

KEPT = 2
"""The newest ones, of which the second is for a disk that loses the first."""
BETWEEN = 9
"""Most of those between the first and the newest ones."""
ROOM = 256 * 2**20
"""Most bytes that those between may take together."""
LENGTH, METADATA = 8, "__metadata__"
"""Of safetensors: the bytes that tell how long the header is; what in it is no tensor."""
_NAME = re.compile(r"step-(\d{12})\.safetensors")


def is_full(error: OSError) -> bool:
    """Whether a write failed for lack of room: of the disk, or of the user's share of it."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def path_of(folder: Path, step: int) -> Path:
    return folder / f"step-{step:012d}.safetensors"


def checkpoint_steps(folder: Path) -> list[int]:
    """The steps of the checkpoints in `folder`, ascending; none if there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(int(m[1]) for p in folder.iterdir() if (m := _NAME.fullmatch(p.name)))


def damage(path: Path) -> str:
    """What is wrong with a checkpoint as far as its header tells; "" if nothing is.

    The header says how long the file must be, so that nothing else need be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header = int.from_bytes(file.read(LENGTH), "little")
        text = file.read(header) if header <= size - LENGTH else b""
    try:
        said = json.loads(text)
        held = max((t["data_offsets"][1] for n, t in said.items() if n != METADATA), default=0)
        whole = "skeleton" in said[METADATA] and size == LENGTH + header + held
    except (ValueError, LookupError, TypeError, AttributeError):
        whole = False
    return "" if whole else damaged(path)


def damaged(path: Path) -> str:
    """The words for a checkpoint that cannot be read."""
    step, size = int(path.stem.removeprefix("step-")), path.stat().st_size
    return f"the checkpoint of step {step:,} is damaged or cut short ({size:,} bytes)"


def resume_step(folder: Path) -> int:
    """The step at which the next attempt starts."""
    return max(checkpoint_steps(folder), default=0)


def surplus(steps: Sequence[int], size: int) -> list[int]:
    """Which of the ascending `steps`, of `size` bytes each, need not be kept.

    The first and the newest stay; between them those that lie evenly in √step, as far as there
    is room. It asks for nothing but what is there, so a later attempt thins as this one would.
    """
    kept, gone = list(steps), []
    most = 1 + KEPT + min(BETWEEN, ROOM // max(size, 1))
    while len(kept) > most:
        between = range(1, len(kept) - KEPT)
        least = min(between, key=lambda at: sqrt(kept[at + 1]) - sqrt(kept[at - 1]))
        gone.append(kept.pop(least))
    return gone

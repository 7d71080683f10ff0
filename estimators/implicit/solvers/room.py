"""`require_room`: refuse a solve whose history the device has no memory for, before it begins."""

from pathlib import Path

import torch
from torch import Tensor

from estimators.core.contract import UnsupportedError

SMALL = 64 * 2**20
"""Bytes of a history that is not compared with the memory that is free."""


class NoRoomError(UnsupportedError, MemoryError):
    """The history of a solver does not fit into the memory of the device."""


def require_room(solver: str, kept: int, like: Tensor) -> None:
    """Check that `kept` states like this one, (B, n), fit into the free memory of its device.

    Args:
        solver: What keeps them, and the field to lower: "Broyden(memory=20)".
        kept: States of each example.
        like: The state, (B, n).

    Raises:
        NoRoomError: They do not. Where the free memory cannot be read, none is raised.
    """
    size = history_size(kept, like)
    if size <= SMALL or like.is_meta:
        return
    free = free_memory(like.device)
    if free is not None and size > free:
        raise NoRoomError(too_large(solver, kept, like, f"{_words(free)} are free"))


def too_large(solver: str, kept: int, like: Tensor, there: str) -> str:
    """The sentence on a history that does not fit; `there` says what the device has."""
    rows, units = like.shape
    return (
        f"{solver} keeps {kept:,} states of {rows:,} examples × {units:,} numbers, "
        f"{_words(history_size(kept, like))}, and {there} on {like.device}: lower the solver's "
        "memory, or take a smaller batch"
    )


def history_size(kept: int, like: Tensor) -> int:
    """Bytes of `kept` states like this one."""
    return kept * like.numel() * like.itemsize


def free_memory(device: torch.device) -> int | None:
    """Bytes that can be allocated on a device; None where that cannot be read."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    if device.type != "cpu":
        return None
    try:  # of Linux; the limits of control groups are not read
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if "MemAvailable" in line)
    except (OSError, ValueError, StopIteration):
        return None


def _words(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"

"""Whether examples fit where a run needs them: on its device, or in memory."""

from dataclasses import dataclass, field
from typing import Literal

import torch

from backend.machine_memory import capacity, free
from backend.training.examples.part import Device

Storage = Literal["auto", "memory", "streamed"]
"""Where stored examples lie during a run."""
SHARE = 0.4
"""Of what is free, that the examples of a run may take unless it is asked for."""


def memory_of(device: torch.device) -> tuple[int, int]:
    """Bytes that a device has, and that are free."""
    if device.type == "cuda":
        available, there = torch.cuda.mem_get_info(device)
        return there, available
    return capacity(), free()


def size_of(device: torch.device) -> int:
    """Bytes that a device has, which is faster to find out than what is free."""
    return memory_of(device)[0] if device.type == "cuda" else capacity()


@dataclass
class Room:
    """Decides once for a device whether all parts of a data set are copied there."""

    size: int
    """Bytes of all parts."""
    storage: Storage = "auto"
    """auto: by what is free. memory: copied. streamed: not copied."""
    _decided: dict[torch.device, bool] = field(default_factory=dict)

    def suffices(self, device: Device) -> bool:
        """Whether the parts are copied to `device`; the same answer for each of them."""
        place = torch.device(device)
        if place not in self._decided:
            self._decided[place] = self._suffices(place)
        return self._decided[place]

    def _suffices(self, device: torch.device) -> bool:
        if self.storage != "auto":
            return self.storage == "memory"
        return self.size <= SHARE * memory_of(device)[1]

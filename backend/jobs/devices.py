"""The devices of this machine, found without torch, and the slots in which runs are placed."""

import os
import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass

_QUERY = ["nvidia-smi", "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"]


@dataclass(frozen=True)
class Device:
    """A device by its name in a configuration: cpu or cuda:N."""

    name: str
    description: str
    visible: str = ""
    """The value of CUDA_VISIBLE_DEVICES for a process that uses this device alone."""


@dataclass(frozen=True)
class Slot:
    """A place for one run at a time: a device and a share of the cores."""

    number: int
    device: Device
    threads: int

    def serves(self, device: str) -> bool:
        """Whether a run with this `device` (auto, cpu, cuda:N) may be placed here."""
        return device in ("auto", "cpu", self.device.name)

    def environment(self, device: str) -> dict[str, str]:
        """Environment variables of the run's process."""
        return {"CUDA_VISIBLE_DEVICES": "" if device == "cpu" else self.device.visible}


def cpu() -> Device:
    """The CPU."""
    return Device("cpu", f"{cores()} cores")


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def detect() -> list[Device]:
    """The CPU, then the NVIDIA GPUs in CUDA_VISIBLE_DEVICES, in its order."""
    try:
        answer = subprocess.run(_QUERY, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return [cpu()]  # no driver, no GPU
    return [cpu(), *gpus(answer.stdout, os.environ.get("CUDA_VISIBLE_DEVICES"))]


def gpus(listing: str, visible: str | None) -> list[Device]:
    """The GPUs of nvidia-smi's `listing` that `visible` (CUDA_VISIBLE_DEVICES) names."""
    rows = [[cell.strip() for cell in line.split(",")] for line in listing.splitlines() if line]
    wanted = (
        [row[0] for row in rows] if visible is None else [v.strip() for v in visible.split(",")]
    )
    chosen = []
    for name in wanted:
        row = next((r for r in rows if name == r[0] or (name and r[1].startswith(name))), None)
        if row is None:  # CUDA ignores everything after an unknown name
            break
        chosen.append(row)
    return [
        Device(f"cuda:{n}", f"{name}, {int(mebibytes) / 1024:.0f} GiB", visible=uuid)
        for n, (_, uuid, name, mebibytes) in enumerate(chosen)
    ]


def divide(devices: Sequence[Device], available: int, count: int | None = None) -> list[Slot]:
    """`count` slots; by default one for each GPU, or on a machine without GPUs half as many as
    there are `available` cores, at least two.

    All cores but one are divided evenly, with at least one thread for each slot. One core is left
    to the server: a parallel operation waits for its slowest thread, and a run that competes with
    the server for cores is slower than one with a thread less, as measured.
    """
    places = [d for d in devices if d.name != "cpu"] or [d for d in devices if d.name == "cpu"]
    default = len(places) if places[0].name != "cpu" else max(2, available // 2)
    count = count or default
    threads = max(1, (available - 1) // count)
    return [Slot(n, places[n % len(places)], threads) for n in range(count)]


def refusal(device: str, slots: Collection[Slot]) -> str | None:
    """An error message if no slot serves `device`, else None."""
    if any(slot.serves(device) for slot in slots):
        return None
    available = ", ".join(dict.fromkeys(["auto", "cpu", *(slot.device.name for slot in slots)]))
    return f"no slot of this lab serves {device}; there are slots for {available}"

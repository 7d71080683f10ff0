"""The scalars that a loop logs: their names in the lab, and their values until the next flush."""

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.attach import arguments
from backend.series.points import Points, unit_of
from backend.training.point_buffer import Key, numbers_of

PREFIX = "log/"
"""What the names of scalars begin with that the lab has no chart of its own for."""
PARTS = ("train/", "validation/", "test/")
_KINDS = ("loss", "accuracy")
MAX_NAME = 190
MAX_NAMES = 10_000
"""Names in one run, each of which is a series."""
_NO_TEXT = ("Cc", "Cs")
"""Unicode's control characters and surrogates, which a database or a page does not take."""


class Scalars:
    """Keeps values, a column for each name; of a name that is logged twice at one step, the later
    one.

    This runs at every step of a loop, so it appends to lists and does all else in `flush`.
    """

    def __init__(self) -> None:
        self._step = 0
        self._present: dict[Key, float | Tensor] = {}
        self._columns: dict[Key, tuple[list[int], list[float | Tensor]]] = {}
        self._keys: dict[str, Key] = {}

    def begin(self, step: int) -> None:
        """Keep what was logged so far; what comes now is of `step`."""
        if step != self._step:
            self.end()
            self._step = step

    def end(self) -> None:
        """Keep what was logged at the present step."""
        for key, value in self._present.items():
            steps, values = self._columns.get(key) or self._columns.setdefault(key, ([], []))
            steps.append(self._step)
            values.append(value)
        self._present = {}

    def flush(self) -> Iterator[Points]:
        """All that was kept, by name, and forget it; tensors are read with one synchronisation of
        the device."""
        columns, self._columns = self._columns, {}
        lengths = [len(steps) for steps, _ in columns.values()]
        flat = [value for _, values in columns.values() for value in values]
        numbers = numbers_of(flat) if any(isinstance(v, Tensor) for v in flat) else np.array(flat)
        ends = np.cumsum(lengths)
        for (key, (steps, _)), end, count in zip(columns.items(), ends, lengths, strict=True):
            values = numbers[end - count : end]
            yield Points(*key, unit_of(key[0]), np.array(steps, dtype=np.int64), values)

    def log(self, values: Mapping[str, Any]) -> None:
        """Keep values of the present step. Raises TypeError or ValueError for what is no scalar."""
        if not isinstance(values, Mapping):
            raise TypeError(arguments.refusal("values", values, "a mapping such as {'loss': 0.5}"))
        for name, value in values.items():
            key = self._keys.get(name) or self._named(name)
            self._present[key] = _scalar(name, value)

    def _named(self, name: str) -> Key:
        if len(self._keys) >= MAX_NAMES:
            raise ValueError(
                f"{name!r:.80} is one name of a scalar too many; a run has at most {MAX_NAMES:,}"
            )
        self._keys[name] = key = (metric_of(name), "", "")
        return key


def metric_of(name: str) -> str:
    """The metric under which a scalar is kept: `loss` is `train/loss`, and the lab's own names of
    parts of the data stay; others get a prefix. Raises ValueError for what is no name."""
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME:
        raise ValueError(
            f"{name!r:.80} is no name of a scalar; text of 1 to {MAX_NAME} characters is allowed"
        )
    if any(unicodedata.category(c) in _NO_TEXT for c in name):
        raise ValueError(f"{name!r} is no name of a scalar; it holds a control character")
    if name in _KINDS:
        return f"train/{name}"
    part, _, kind = name.partition("/")
    if f"{part}/" in PARTS and kind in (*_KINDS, "learning_rate"):
        return name
    return f"{PREFIX}{name}"


def _scalar(name: str, value: Any) -> float | Tensor:
    """A number, or a copy of a tensor on a device that is read at the next flush."""
    if isinstance(value, Tensor):
        if value.numel() != 1:
            shape = tuple(value.shape)
            raise ValueError(f"{name!r} is a tensor of shape {shape}; one number is allowed")
        if value.is_complex() or value.is_meta:
            what = "complex" if value.is_complex() else "on the device meta, without a value"
            raise ValueError(f"{name!r} is a tensor that is {what}; a number is allowed")
        if value.device.type == "cpu":
            return float(value.detach().item())
        # A copy, because the loop may go on to change it in place.
        return value.detach().reshape(()).to(torch.float64, copy=True)
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(arguments.refusal(repr(name), value, "a number")) from None

"""The scalars that a loop logs: their names in the lab, and their values until the next flush."""

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.attach import arguments
from backend.series.points import Points, unit_of
from backend.training.point_buffer import numbers_of

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
    """Keeps values, a row for each step; of a name that is logged twice at one step, the later one.

    `begin` and `log` run at every step of a loop: they check, and all else is done in `flush`.
    """

    def __init__(self) -> None:
        self._step = 0
        self._present: dict[str, float | Tensor] = {}
        self._rows: list[tuple[int, dict[str, float | Tensor]]] = []
        self._metrics: dict[str, str] = {}

    def begin(self, step: int) -> None:
        """Keep what was logged so far; what comes now is of `step`."""
        if step != self._step:
            self.end()
            self._step = step

    def end(self) -> None:
        """Keep what was logged at the present step."""
        if self._present:
            self._rows.append((self._step, self._present))
            self._present = {}

    def flush(self) -> Iterator[Points]:
        """All that was kept, by name, and forget it; tensors are read with one synchronisation of
        the device."""
        pieces: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for metrics, steps, table in self._tables():
            for metric, column in zip(metrics, table.T, strict=True):
                pieces.setdefault(metric, []).append((steps, column.copy()))
        for metric, parts in pieces.items():
            yield Points(metric, "", "", unit_of(metric), *_in_order(parts))

    def _tables(self) -> Iterator[tuple[tuple[str, ...], np.ndarray, np.ndarray]]:
        """The rows by their metrics: (metrics, steps (R,), values (R, M))."""
        rows, self._rows = self._rows, []
        tables: dict[tuple[str, ...], list[tuple[int, dict[str, float | Tensor]]]] = {}
        for row in rows:
            tables.setdefault(tuple(row[1]), []).append(row)
        flat = [v for table in tables.values() for _, values in table for v in values.values()]
        tensors = set(map(type, flat)) - {float}
        numbers = numbers_of(flat) if tensors else np.array(flat, dtype=np.float64)
        at = 0
        for metrics, table in tables.items():
            steps = np.array([step for step, _ in table], dtype=np.int64)
            end = at + len(table) * len(metrics)
            yield metrics, steps, numbers[at:end].reshape(len(table), len(metrics))
            at = end

    def log(self, values: Mapping[str, Any]) -> None:
        """Keep values of the present step. Raises TypeError or ValueError for what is no scalar."""
        if not isinstance(values, Mapping):
            raise TypeError(arguments.refusal("values", values, "a mapping such as {'loss': 0.5}"))
        metrics, present = self._metrics, self._present
        for name, value in values.items():
            metric = metrics.get(name) or self._named(name)
            present[metric] = value if type(value) is float else _scalar(name, value)

    def _named(self, name: str) -> str:
        if len(self._metrics) >= MAX_NAMES:
            raise ValueError(
                f"{name!r:.80} is one name of a scalar too many; a run has at most {MAX_NAMES:,}"
            )
        self._metrics[name] = metric = metric_of(name)
        return metric


def _in_order(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of one metric, by step: it may have been logged with others or without."""
    if len(parts) == 1:
        return parts[0]
    steps, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(steps)
    return steps[order], values[order]


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
        return _read(name, value)
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(arguments.refusal(repr(name), value, "a number")) from None


def _read(name: str, value: Tensor) -> float | Tensor:
    if value.numel() != 1:
        shape = tuple(value.shape)
        raise ValueError(f"{name!r} is a tensor of shape {shape}; one number is allowed")
    if value.is_complex() or value.is_meta:
        what = "complex" if value.is_complex() else "on the device meta, without a value"
        raise ValueError(f"{name!r} is a tensor that is {what}; a number is allowed")
    if value.is_cpu:
        return float(value.item())
    # A copy, because the loop may go on to change it in place.
    return value.detach().reshape(()).to(torch.float64, copy=True)

"""A buffer of points on the device; each flush moves them to the CPU in one copy."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.series.points import Points, unit_of

Key = tuple[str, str, str]
"""(metric, layer, estimator)"""

LOSS: Key = ("train/loss", "", "")
LOSSES = (LOSS, ("validation/loss", "", ""), ("test/loss", "", ""))
"""Where these are not finite, the run has diverged."""

_HAS_GRAPH, _ON_CPU = attrgetter("requires_grad"), attrgetter("is_cpu")


class PointBuffer:
    """Keeps scalars, each at a step of a series; tensors are not read before `flush`."""

    def __init__(self, driver: str, *, ends: bool = True) -> None:
        self.driver, self._ends = driver, ends
        """The label under which `add_step` keeps the driver's numbers; set it after a flush."""
        self._singles: list[tuple[Key, int, float | Tensor]] = []
        self._rows: list[tuple[tuple[str, ...], int, list[Tensor]]] = []

    def add(self, key: Key, step: int, value: Tensor | float) -> None:
        """Keep a scalar, on any device."""
        self._singles.append((key, step, value))

    def add_step(self, step: int, loss: Tensor, info: Mapping[str, Any]) -> None:
        """Keep the loss of a step and the numbers that the driver reports (`Estimate.info`).

        This runs at every step, so it only drops autograd graphs, which would otherwise live
        until the flush. Names become keys in `flush`; `map` is faster than a loop.
        """
        values = [loss, *info.values()]
        if set(map(type, values)) != {Tensor}:
            info = dict(_flat(info))
            values = [loss, *info.values()]
        if any(map(_HAS_GRAPH, values)):
            values = [v.detach() for v in values]
        self._rows.append((tuple(info), step, values))

    def flush(self) -> tuple[list[Points], int | None]:
        """All that was kept, by series, and the first step whose loss was not finite.

        Points after that step are dropped, unless the buffer was made with `ends=False`.
        """
        columns: dict[Key, list[tuple[np.ndarray, np.ndarray]]] = {}
        for key, steps, values in (*self._read_singles(), *self._read_rows()):
            columns.setdefault(key, []).append((steps, values))
        self._singles, self._rows = [], []
        series = {key: _joined(pieces) for key, pieces in columns.items()}
        broken = _first_broken(series) if self._ends else None
        return list(_points(series, broken)), broken

    def _read_singles(self) -> Iterator[tuple[Key, np.ndarray, np.ndarray]]:
        values = numbers_of([value for _, _, value in self._singles])
        order = sorted(range(len(values)), key=lambda i: self._singles[i][0])
        for key, group in groupby(order, key=lambda i: self._singles[i][0]):
            places = list(group)
            steps = np.array([self._singles[i][1] for i in places], dtype=np.int64)
            yield key, steps, values[places]

    def _read_rows(self) -> Iterator[tuple[Key, np.ndarray, np.ndarray]]:
        for names, group in groupby(self._rows, key=itemgetter(0)):
            rows = list(group)
            steps = np.array([step for _, step, _ in rows], dtype=np.int64)
            values = _read_tensors([value for _, _, row in rows for value in row])
            table = values.reshape(len(rows), -1).T
            for key, column in zip((LOSS, *map(self._key, names)), table, strict=True):
                yield key, steps, column.copy()

    def _key(self, name: str) -> Key:
        name, _, layer = name.partition("\0")
        return f"estimator/{name}", layer, self.driver


def _flat(info: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """`{key: scalar or {layer: scalar}}` as flat keys, key NUL layer; numbers become tensors."""
    for name, value in info.items():
        layers = value if isinstance(value, Mapping) else {"": value}
        for layer, scalar in layers.items():
            yield f"{name}\0{layer}" if layer else name, torch.as_tensor(scalar)


def _read_tensors(values: Sequence[Tensor]) -> np.ndarray:
    if all(map(_ON_CPU, values)):
        # On the CPU there is nothing to synchronise, and item() is the fastest way.
        return np.array(list(map(Tensor.item, values)), dtype=np.float64)
    return numbers_of(values)


def numbers_of(values: Sequence[Tensor | float]) -> np.ndarray:
    """The numbers in float64, with one synchronisation of the device."""
    remote = [i for i, v in enumerate(values) if isinstance(v, Tensor) and not v.is_cpu]
    numbers = np.empty(len(values))
    if not remote:
        numbers[:] = [v.item() if isinstance(v, Tensor) else v for v in values]
        return numbers
    stacked = torch.stack([torch.as_tensor(values[i]).reshape(()).double() for i in remote])
    numbers[remote] = stacked.cpu().numpy()
    for i in set(range(len(values))) - set(remote):
        numbers[i] = float(values[i])
    return numbers


def _joined(pieces: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    if len(pieces) == 1:
        return pieces[0]
    steps, values = zip(*pieces, strict=True)
    return np.concatenate(steps), np.concatenate(values)


def _first_broken(series: Mapping[Key, tuple[np.ndarray, np.ndarray]]) -> int | None:
    broken = [
        int(steps[~np.isfinite(values)][0])
        for steps, values in (series[key] for key in LOSSES if key in series)
        if not np.isfinite(values).all()
    ]
    return min(broken, default=None)


def _points(
    series: Mapping[Key, tuple[np.ndarray, np.ndarray]], last: int | None
) -> Iterator[Points]:
    for key, (steps, values) in series.items():
        kept = len(steps) if last is None else int(np.searchsorted(steps, last, "right"))
        if kept:
            yield Points(*key, unit_of(key[0]), steps[:kept], values[:kept])

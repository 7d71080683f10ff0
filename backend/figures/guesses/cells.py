"""The value of one cell: read from the runs of its members, the mean over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan

import numpy as np

from backend.figures.data.metrics import is_of_the_run, metric_of_part, split_of
from backend.figures.data.query import Query
from backend.figures.data.select import is_microscope, is_tensor
from backend.figures.data.source import SeriesLike, Source
from backend.figures.guesses.members import Member
from backend.figures.guesses.places import differences
from backend.figures.reference import Reference
from estimators.statistics.formatting import counted, short
from estimators.statistics.reference import HATCH, ROUNDED
from estimators.statistics.student import Sample, half_width

CHOSEN_BY = (("validation/accuracy", 1), ("validation/loss", -1))
"""By what the optimiser's setting is chosen, and whether more is better."""


@dataclass(frozen=True)
class Cell:
    """What a cell shows: the mean over its members that have a value."""

    members: tuple[Member, ...]
    values: tuple[float, ...]
    """One for each member; NaN where it has none."""
    rounded: frozenset[int] = frozenset()
    """Places of the members whose exact gradient is rounding at all points that were read."""
    notes: tuple[str, ...] = ()
    tuned: bool = False
    """Whether its members' optimiser was the best of several."""

    @property
    def sample(self) -> Sample:
        """The values that are finite."""
        return Sample.from_values(self.values)

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs that its value is of; those without a value where there is none."""
        pairs = zip(self.members, self.values, strict=True)
        with_value = [member.run_id for member, value in pairs if isfinite(value)]
        return tuple(dict.fromkeys(with_value or [member.run_id for member in self.members]))

    @property
    def missing(self) -> list[str]:
        """`#4 diverged`, for each member without a value."""
        pairs = zip(self.members, self.values, strict=True)
        return [
            self._without(at, member)
            for at, (member, value) in enumerate(pairs)
            if not isfinite(value)
        ]

    def _without(self, at: int, member: Member) -> str:
        number = f"#{member.run.number} " if member.run.number else ""
        if at in self.rounded:
            return f"{number}{HATCH} {ROUNDED}"
        return f"{number}{member.run.status}" if number else "no value"

    def words(self, name: str) -> list[str]:
        """All that is to be said of its value: interval, seeds, runs without one."""
        what, sample = metric_of_part(name), self.sample
        said = [f"{what.short} {short(sample.mean)}{what.suffix}"] if sample.count else []
        if sample.count > 1:
            half = half_width(sample.count) * sample.standard_error
            ends = f"{short(sample.mean - half)} … {short(sample.mean + half)}"
            said.append(f"mean over {sample.count} seeds, 95 % t-interval {ends}")
        elif sample.count and self.members[0].seed:
            said.append("one seed: no interval")
        if self.missing:
            count = counted(len(self.members), "run")
            said.append(
                f"{len(self.missing)} of {count} without a value: " + ", ".join(self.missing)
            )
        return [*said, *self.notes]


class Reader:
    """Reads what a member has of a metric; the series of each run once."""

    def __init__(self, source: Source, query: Query) -> None:
        self._source, self._query = source, query
        self._series: dict[str, Sequence[SeriesLike]] = {}

    def has(self, member: Member, name: str) -> bool:
        """Whether the member has points of a metric."""
        return bool(self._of(member, name))

    def read(self, member: Member, name: str) -> float:
        """The metric's value of a member: its newest point, or the mean of its latest ones; over
        all blocks where the whole network has none. NaN where nothing finite is there."""
        layers = {series.layer: series for series in self._of(member, name)}
        asked = "" if is_of_the_run(name) else self._query.layer
        if asked or asked in layers:
            return self._pooled(member, name, layers.get(asked))
        names = dict.fromkeys(layers)
        blocks = [each for each in layers if not is_tensor(member.run, each, names)]
        values = [self._pooled(member, name, layers[each]) for each in blocks]
        return float(np.mean(values)) if values else nan

    def rounded(self, member: Member, name: str) -> bool:
        """Whether the exact gradient is rounding at all points that would be read."""
        exact, newest = Reference(self._source, member.run_id), self._newest(member, name)
        return any(
            series.layer == self._query.layer and not len(exact.kept(series, newest))
            for series in self._of(member, name)
        )

    def _newest(self, member: Member, name: str) -> int:
        return 1 if is_at_a_point(member, name) else self._query.window

    def _of(self, member: Member, name: str) -> list[SeriesLike]:
        if member.run_id not in self._series:
            self._series[member.run_id] = self._source.series(member.run_id)
        label = "" if is_of_the_run(name) else member.label
        return [
            series
            for series in self._series[member.run_id]
            if series.metric == name and series.estimator == label and series.count
        ]

    def _pooled(self, member: Member, name: str, series: SeriesLike | None) -> float:
        if series is None:
            return nan
        exact = Reference(self._source, member.run_id)
        values = exact.kept(series, self._newest(member, name))
        finite = values[np.isfinite(values)]
        # A run that has diverged has no value, whatever it had before.
        if not len(finite) or not isfinite(values[-1]):
            return nan
        return float(finite.mean())


def is_at_a_point(member: Member, name: str) -> bool:
    """Whether the newest point of a series is the whole answer: a part of the data is judged at
    once, a microscope's measures are of all draws so far."""
    return split_of(name) in ("validation", "test") or is_microscope(member.run)


def cell_of(reader: Reader, members: Sequence[Member], name: str) -> Cell:
    """A cell of members that differ in their optimiser and in their seed alone."""
    groups: dict[tuple[tuple[str, str], ...], list[Member]] = {}
    for member in members:
        groups.setdefault(tuple(sorted(member.optimizer.items())), []).append(member)
    chosen, notes = next(iter(groups.values())), []
    if len(groups) > 1:
        chosen, notes = _best(reader, list(groups.values()))
    unique = _one_a_seed(chosen)
    if len(unique) < len(chosen):
        notes.append(f"{counted(len(chosen) - len(unique), 'older run')} of the same seed left out")
    values = tuple(reader.read(member, name) for member in unique)
    rounded = frozenset(at for at, member in enumerate(unique) if reader.rounded(member, name))
    return Cell(tuple(unique), values, rounded, tuple(notes), tuned=len(groups) > 1)


def _one_a_seed(members: Sequence[Member]) -> list[Member]:
    """Runs of one seed are the same run: the latest stands for all."""
    latest = {(member.seed, member.label): member for member in members}
    return list(latest.values())


def _best(reader: Reader, groups: list[list[Member]]) -> tuple[list[Member], list[str]]:
    """The members whose optimiser is the best on the validation part; in words how many lost."""
    words = differences([group[0].optimizer for group in groups])
    for name, sign in CHOSEN_BY:
        scores = [_score(reader, group, name, sign) for group in groups]
        if max(scores) > -inf:
            best = scores.index(max(scores))
            by = f"best of {len(groups)} optimisers by {name.replace('/', ' ')}"
            return groups[best], [f"{words[best]}: {by}"]
    return groups[0], [f"{words[0]}: first of {len(groups)} optimisers, none validated yet"]


def _score(reader: Reader, group: Sequence[Member], name: str, sign: int) -> float:
    """The mean over seeds; a setting that diverges with one of them is the worst."""
    values = [reader.read(member, name) for member in group]
    return sign * float(np.mean(values)) if all(map(isfinite, values)) else -inf


def by_place(members: Sequence[Member]) -> Mapping[tuple[str, tuple[str, str]], list[Member]]:
    """{(target, column): its members}."""
    cells: dict[tuple[str, tuple[str, str]], list[Member]] = {}
    for member in members:
        if member.place:
            cells.setdefault((member.place.target, member.place.column), []).append(member)
    return cells


def panels(members: Sequence[Member]) -> list[list[Member]]:
    """Members of one setting together, those with the most fields first.

    An estimator without auxiliary networks has no fields about them: it stands in every panel
    whose other fields are its own.
    """
    settings = {frozenset(member.setting.items()) for member in members}
    widest = [each for each in settings if not any(each < other for other in settings)]
    groups = [
        [member for member in members if frozenset(member.setting.items()) <= setting]
        for setting in widest
    ]
    ordered = sorted(groups, key=lambda group: members.index(group[0]))
    return [sorted(group, key=lambda member: -len(member.setting)) for group in ordered]


def rows_of_others(members: Sequence[Member]) -> dict[str, list[Member]]:
    """{name: members} of estimators of another kind, those of different settings apart."""
    groups: dict[tuple[str, tuple[tuple[str, str], ...]], list[Member]] = {}
    for member in members:
        key = (member.label, tuple(sorted(member.setting.items())))
        groups.setdefault(key, []).append(member)
    words = differences([dict(setting) for _, setting in groups])
    names = [
        f"{label} ({said})" if said else label
        for (label, _), said in zip(groups, words, strict=True)
    ]
    return dict(zip(names, groups.values(), strict=True))

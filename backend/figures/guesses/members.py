"""The estimators that the grid compares: the drivers of several runs, or all those of one run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.figures.data.select import described, driver, is_microscope
from backend.figures.data.source import RunLike, Source
from backend.figures.guesses.places import Flat, Place, flat, place_of, variant_of

NO_SETTING = (
    "name", "seed", "device", "estimator", "shadows", "probe", "optimizer", "microscope",
)  # fmt: skip
"""Fields of a run that do not make it another experiment, or are compared on their own."""

ADDED = {"rates": "", "schedule.warmup": "0"}
"""Fields of optimisers that older runs do not have, at the values that stand for those runs."""


@dataclass(frozen=True)
class Member:
    """One estimator of one run."""

    run_id: str
    run: RunLike
    label: str
    place: Place | None
    """None for an estimator of another kind."""
    setting: Flat = field(default_factory=dict)
    """What else makes it another experiment: members that differ in it are not averaged."""
    optimizer: Flat = field(default_factory=dict)
    """The fields of its optimiser, which are tuned for each cell."""

    @property
    def seed(self) -> str:
        """The run's seed, by which members of one setting are told apart."""
        return str(self.run.config.get("seed", ""))


@dataclass(frozen=True)
class Members:
    """All members, and sentences on what is left out."""

    all: tuple[Member, ...]
    left_out: tuple[str, ...] = ()
    several: bool = True
    """Whether they are the drivers of several runs."""

    @property
    def placed(self) -> list[Member]:
        """Those that have a cell."""
        return [member for member in self.all if member.place]

    @property
    def others(self) -> list[Member]:
        """Those of another kind."""
        return [member for member in self.all if not member.place]


def of_runs(source: Source, run_ids: Sequence[str]) -> Members:
    """The drivers of several runs, or the driver and the shadows of a single one."""
    if len(run_ids) == 1:
        run = source.run(run_ids[0])
        return Members(tuple(_estimators(run_ids[0], run)), several=False)
    members, left_out = [], []
    for run_id in run_ids:
        run = source.run(run_id)
        if is_microscope(run):
            left_out.append(f"#{run.number} is a microscope and is left out")
        elif words := _changed(run):
            left_out.append(f"#{run.number} is left out: {words}")
        else:
            members.append(_driver(run_id, run))
    return Members(tuple(members), tuple(left_out))


def _changed(run: RunLike) -> str:
    """What of several drivers a run's results come from; "" where one drove from the start."""
    drives = run.facts.get("drives") or []
    return f"its driver was changed at step {drives[1][0]:,}" if len(drives) > 1 else ""


def _driver(run_id: str, run: RunLike) -> Member:
    description = _mapping(run.config.get("estimator"))
    of_estimator = variant_of(description) if place_of(description) else {}
    rest = {name: value for name, value in run.config.items() if name not in NO_SETTING}
    return Member(
        run_id,
        run,
        driver(run),
        place_of(description),
        {**of_estimator, **flat(rest)},
        _optimizer_of(run),
    )


def setting_of(run: RunLike) -> dict[str, str]:
    """All of a run's configuration by which two runs differ, except for their seed and names."""
    rest = {name: value for name, value in run.config.items() if name not in NO_SETTING}
    optimizer = {f"optimizer.{name}": value for name, value in _optimizer_of(run).items()}
    return flat({**rest, "estimator": run.config.get("estimator")}) | optimizer


def _optimizer_of(run: RunLike) -> Flat:
    fields = flat(_mapping(run.config.get("optimizer")))
    return {name: value for name, value in fields.items() if ADDED.get(name) != value}


def _estimators(run_id: str, run: RunLike) -> Iterator[Member]:
    for label, description in described(run).items():
        place = place_of(description)
        yield Member(run_id, run, label, place, variant_of(description) if place else {})


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

"""`StudyFile`: configurations to tune and compare, and the runs that this takes.

The file names a base configuration, what each compared configuration has in place of it, the grid
of learning rates, the seeds that tune and the other seeds that are reported.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from backend.config import RunConfig, Seed, Strict
from backend.sentences import sentence

Rate = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Rates = Annotated[list[Rate], Field(min_length=1, max_length=32)]
Seeds = Annotated[list[Seed], Field(min_length=1, max_length=256)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]


class StudyFileError(ValueError):
    """A study file is not valid; the message has a line for each problem."""


class Compared(Strict):
    """One of the configurations: what it has in place of the base's."""

    label: Name
    """Its name in the results."""
    rates: Rates | None = None
    """Learning rates of this configuration. Empty: those of the file."""
    config: dict[str, Any] = Field(default={})
    """Fields of a run's configuration; each replaces the base's as a whole."""


class StudyFile(Strict):
    """A study: what `gradlab tune` reads."""

    name: Name
    """By this name, the runs of an interrupted study are found again."""
    base: dict[str, Any]
    """A run's configuration without seed and learning rate."""
    configs: Annotated[list[Compared], Field(min_length=1, max_length=256)]
    """The configurations to compare."""
    rates: Rates
    """The grid of learning rates."""
    tuning_seeds: Seeds
    """Seeds with which the rates are tuned, on validation."""
    seeds: Seeds
    """Other seeds, with which results are reported, on test; every configuration has the same."""
    baseline: Name
    """The label of the configuration that the others are compared with."""
    metric: Literal["accuracy", "readout_accuracy"] = "accuracy"
    """accuracy, or that of a linear readout, for runs that minimise InfoNCE."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        labels = [each.label for each in self.configs]
        lists: dict[str, list[Any]] = {
            "label": labels,
            "tuning_seeds": self.tuning_seeds,
            "seeds": self.seeds,
        }
        for name, values in (*lists.items(), *self._grids()):
            twice = next((v for v in values if values.count(v) > 1), None)
            if twice is not None:
                raise ValueError(f"{name} {twice} comes twice; give each once")
        shared = sorted({*self.seeds} & {*self.tuning_seeds})
        if shared:
            raise ValueError(
                f"seed {shared[0]} is in seeds and in tuning_seeds; results of a seed that tuned "
                "the rates would look too good: give other seeds"
            )
        if self.baseline not in labels:
            raise ValueError(f"baseline is {self.baseline}; the labels are {', '.join(labels)}")
        for where, config in (("base", self.base), *((c.label, c.config) for c in self.configs)):
            _refuse_tuned_fields(where, config)
        return self

    def _grids(self) -> list[tuple[str, list[Any]]]:
        return [("rate", grid) for grid in (self.rates, *(c.rates or [] for c in self.configs))]

    def grid(self, compared: Compared) -> list[float]:
        """The learning rates of a configuration, ascending."""
        return sorted(compared.rates or self.rates)

    def config(self, compared: Compared, rate: float) -> dict[str, Any]:
        """The run's configuration at a learning rate, without its seed."""
        merged = {**self.base, **compared.config}
        optimizer = {**merged.get("optimizer", {"name": "sgd"}), "lr": rate}
        return {**merged, "optimizer": optimizer, "name": self._run_name(compared, rate)}

    def _run_name(self, compared: Compared, rate: float) -> str:
        return f"{self.name}: {compared.label}, lr {rate:g}"


class Planned(NamedTuple):
    """A run of a study: which configuration, at which rate, with which seed."""

    label: str
    rate: float
    seed: int


def tuning_runs(study: StudyFile) -> list[Planned]:
    """The grid: every configuration at each of its rates with each tuning seed."""
    return [
        Planned(compared.label, rate, seed)
        for compared in study.configs
        for rate in study.grid(compared)
        for seed in study.tuning_seeds
    ]


def reported_runs(study: StudyFile, chosen: Mapping[str, float | None]) -> list[Planned]:
    """Every configuration at its chosen rate with each of the other seeds.

    `chosen` is {label: rate}; a configuration without one (None) is left out.
    """
    return [
        Planned(label, rate, seed)
        for label, rate in chosen.items()
        if rate is not None
        for seed in study.seeds
    ]


def parse(document: Mapping[str, Any]) -> StudyFile:
    """The study in a document. Raises StudyFileError."""
    try:
        return StudyFile.model_validate(document)
    except ValidationError as error:
        lines = [f"{_place(e)}{sentence(e, _allowed(e['loc']), 'a study')}" for e in error.errors()]
        raise StudyFileError("\n".join(lines)) from None


def _place(error: Any) -> str:
    place = ".".join(map(str, error["loc"]))
    return f"{place}: " if place else ""


def _allowed(loc: tuple[int | str, ...]) -> list[str]:
    return list((Compared if loc[:1] == ("configs",) else StudyFile).model_fields)


def _refuse_tuned_fields(where: str, config: Mapping[str, Any]) -> None:
    for name, instead in (("seed", "seeds and tuning_seeds"), ("name", "name and label")):
        if name in config:
            raise ValueError(f"{where} has a {name}; {instead} of the study give it")
    optimizer = config.get("optimizer")
    if isinstance(optimizer, Mapping) and "lr" in optimizer:
        raise ValueError(f"{where} has optimizer.lr; rates of the study give it")
    unknown = sorted({*config} - {*RunConfig.model_fields})
    if unknown:
        raise ValueError(f"{where} has {unknown[0]!r}, which is no field of a run's configuration")

"""`StudyFile`: the document of a study. `parse` reads it, also one of the first format.

The document names a base configuration, what each method has in its place, further fields that
vary, the seeds that are reported, and how a field is tuned before.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from backend.config import MAX_NAME_LENGTH, RunConfig, Seed, Strict, printable
from backend.figures.data.metrics import larger_is_better
from backend.sentences import sentence, unknown

FORMAT = 2
"""The newest format that this version reads."""
LEARNING_RATE = "optimizer.lr"
EVALUATED = ("accuracy", "readout_accuracy", "loss", "own_view", "bits_per_token")
"""Metrics of the validation and the test part."""
PROBED = (
    "cosine", "cosine_mean", "scaled_error", "relative_variance", "relative_squared_bias",
    "relative_mse", "snr", "positive",
)  # fmt: skip
"""Measures of a run's driver by its last probe."""

STEP_SECONDS = "step_seconds"
"""Training time of a run divided by its steps."""

Path = Annotated[str, StringConstraints(pattern=r"^[a-z_0-9]+(\.[a-z_0-9]+)*$", max_length=100)]
"""A field of a run's configuration: `steps`, `optimizer.lr`, `estimator.inner.tangents`."""
Number = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
Numbers = Annotated[list[Number], Field(min_length=1, max_length=64)]
Seeds = Annotated[list[Seed], Field(min_length=1, max_length=1000)]
Label = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=80),
    AfterValidator(printable),
]
StudyName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NAME_LENGTH),
    AfterValidator(printable),
]
Values = Annotated[list[Any], Field(min_length=1, max_length=10_000)]


class StudyFileError(ValueError):
    """A study is not valid; the message has a line for each problem."""


class Method(Strict):
    """One of the methods that are compared: what it has in place of the base's fields."""

    label: Label
    """Its name in the results."""
    config: dict[str, Any] = Field(default={})
    """Fields of a run's configuration; each replaces the base's as a whole."""
    rates: Numbers | None = None
    """Its own values of the tuned field. Empty: those of `tuning`."""


class Also(Strict):
    """A second field that is tuned together with the first."""

    field: Path
    """A field of a run's configuration, such as estimator.sigma."""
    values: Annotated[list[bool | int | float | str], Field(min_length=1, max_length=64)]
    """Its values, each of which is tried with every value of the first field."""


class Tuning(Strict):
    """A field's best value for each variant, on validation and with seeds of its own."""

    field: Path = LEARNING_RATE
    """The field that is tuned."""
    values: Numbers
    """Its values, a log grid."""
    also: Also | None = None
    """One more field."""
    seeds: Seeds
    """Seeds of the tuning runs; none of them is reported."""
    steps: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Steps of a tuning run. Empty: those of a reported run."""
    widen: Annotated[int, Field(ge=0, le=16)] = 3
    """Values by which the grid may grow, by its own ratio, while the best lies at its edge."""
    halving: Annotated[int, Field(ge=1, le=16)] = 1
    """1: every value gets all steps. η ≥ 2: successive halving, the best 1/η go on."""


class Budget(Strict):
    """What every variant may spend on one run."""

    kind: Literal["steps", "forwards", "seconds"] | None = None
    """steps; forwards: declared cost, in forward passes of the base's batch; seconds: of training,
    measured once before the runs and turned into steps. Empty: the memory alone is limited."""
    amount: Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)] | None = None
    """Steps, forward passes or seconds."""
    memory: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = None
    """GiB that a run may need, as predicted. Empty: no limit."""
    fit: Path | None = None
    """The field that is made smaller where a run would need more, such as batch_size."""
    timings: dict[str, Number] = Field(default={})
    """{variant: seconds of a step}, for an exact replay of a budget in seconds. Empty: measured."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, other in (("kind", "amount"), ("amount", "kind"), ("memory", "fit"),
                            ("fit", "memory")):  # fmt: skip
            if getattr(self, name) is not None and getattr(self, other) is None:
                raise ValueError(f"{name} is given without {other}; give both or neither")
        if self.kind is None and self.memory is None:
            raise ValueError("it limits nothing; give kind and amount, or memory and fit, or both")
        return self


class GalleryPlace(Strict):
    """The entry of the gallery that a study carries out."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]+$", max_length=120)]
    """The entry's name."""
    length: Literal["short", "full"]
    """Whether it takes minutes, or as long as the paper's experiment asks for."""
    stand_in: bool = False
    """Whether the data are a stand-in for those of the paper."""


class StudyFile(Strict):
    """A study: which runs are made, and what of them is compared."""

    format: Literal[2] = 2
    """The format of this document."""
    name: StudyName
    """Its name in the lab."""
    base: dict[str, Any]
    """A run's configuration, without seed and name."""
    methods: Annotated[list[Method], Field(max_length=1000)] = Field(default=[])
    """The methods to compare. Empty: one, the base itself."""
    grid: dict[Path, Values] = Field(default={})
    """{field: values}: every method is run at each combination."""
    points: Annotated[list[dict[Path, Any]], Field(max_length=10_000)] = Field(
        default=[], alias="list"
    )
    """[{field: value}]: the combinations one by one, in place of a grid."""
    seeds: Seeds = Field(default=[0])
    """Seeds whose results are reported, the same for every variant."""
    tuning: Tuning | None = None
    """How a field is tuned for each variant. Empty: no tuning."""
    metric: Annotated[str, StringConstraints(pattern=r"^[a-z_]+$", max_length=60)] = "accuracy"
    """What is compared: accuracy, readout_accuracy or loss (validation/… for tuning, test/… in the
    report), a measure of the driver such as scaled_error or cosine, or step_seconds."""
    budget: Budget | None = None
    """What each run may spend. Empty: the steps or epochs of its configuration."""
    baseline: Annotated[str, StringConstraints(min_length=1, max_length=400)] | None = None
    """The method or variant that the others are compared with."""
    gallery: GalleryPlace | None = None
    """Given by the gallery for its own studies."""

    @field_validator("metric")
    @classmethod
    def _measured(cls, metric: str) -> str:
        metrics = [*EVALUATED, *PROBED, STEP_SECONDS]
        if metric not in metrics:
            raise ValueError(unknown("metric", metric, metrics))
        return metric

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.grid and self.points:
            raise ValueError("grid and list are given; give one of both")
        for name, values in self._lists():
            twice = next((v for i, v in enumerate(values) if v in values[:i]), None)
            if twice is not None:
                raise ValueError(f"{name} {twice} comes twice; give each once")
        self._check_points()
        self._check_configs()
        self._check_budget()
        if self.tuning:
            self._check_tuning(self.tuning)
        elif rated := next((m.label for m in self.methods if m.rates), None):
            raise ValueError(f"{rated} has rates, and the study has no tuning; give tuning")
        return self

    def _lists(self) -> Iterator[tuple[str, Sequence[Any]]]:
        yield "label", [method.label for method in self.methods]
        yield "seeds", self.seeds
        yield from ((f"{field}:", values) for field, values in self.grid.items())
        if self.tuning:
            yield "tuning.seeds", self.tuning.seeds
            yield "tuning.values", self.tuning.values
            yield from ((f"rates of {m.label}:", m.rates) for m in self.methods if m.rates)
            if self.tuning.also:
                yield "tuning.also.values", self.tuning.also.values

    def _check_points(self) -> None:
        fields = {field: None for point in self.points for field in point}
        for i, point in enumerate(self.points, 1):
            lacking = next((field for field in fields if field not in point), None)
            if lacking is not None:
                raise ValueError(
                    f"entry {i} of list has no {lacking}, which other entries have; give every "
                    "entry the same fields"
                )

    def _check_configs(self) -> None:
        given_elsewhere = {"seed": "seeds of the study", "name": "name and label"}
        if self.tuning:
            given_elsewhere[self.tuning.field] = "values of tuning"
            if self.tuning.also:
                given_elsewhere[self.tuning.also.field] = "values of tuning.also"
        for where, config in (("base", self.base), *((m.label, m.config) for m in self.methods)):
            for field, instead in given_elsewhere.items():
                if _has(config, field):
                    raise ValueError(f"{where} has {_article(field)}; {instead} give it")
            strange = sorted({*config} - {*RunConfig.model_fields})
            if strange:
                raise ValueError(
                    f"{where} has {strange[0]!r}, which is no field of a run's configuration"
                )
        for field in self.varied:
            if field in given_elsewhere:
                raise ValueError(f"{field} is varied; {given_elsewhere[field]} give it")
            first = field.partition(".")[0]
            if first not in RunConfig.model_fields:
                problem = unknown("field", first, [*RunConfig.model_fields], "a run")
                raise ValueError(f"{field} is varied: {problem}")

    def _check_budget(self) -> None:
        if self.budget is None:
            return
        given = ("steps", "epochs") if self.budget.kind else ()
        for field in self.varied:
            if field in (*given, self.budget.fit):
                raise ValueError(f"{field} is varied, and the budget gives it; leave one out")
        tuned = [self.tuning.field, self.tuning.also and self.tuning.also.field] if (
            self.tuning) else []  # fmt: skip
        if self.budget.fit and self.budget.fit in (*tuned, "steps", "epochs", "seed"):
            raise ValueError(
                f"budget.fit is {self.budget.fit}, which does not stay what it is made; give "
                "batch_size, or a field by which a run needs less memory"
            )

    def _check_tuning(self, tuning: Tuning) -> None:
        shared = sorted({*self.seeds} & {*tuning.seeds})
        if shared:
            raise ValueError(
                f"seed {shared[0]} is in seeds and in tuning.seeds; results of a seed that tuned "
                "would look too good: give other seeds"
            )
        if tuning.also and tuning.also.field == tuning.field:
            raise ValueError(f"tuning.also.field is {tuning.field} again; give another field")

    @property
    def varied(self) -> list[str]:
        """The fields that vary beside the methods."""
        return [*self.grid] or [*self.points[0]] if self.grid or self.points else []

    @property
    def larger_is_better(self) -> bool:
        """Whether the larger value of the metric is the better one."""
        return larger_is_better(self.metric)

    @property
    def tuning_metric(self) -> str:
        """The series by which values are chosen: never one of the test part."""
        return f"validation/{self.metric}" if self.metric in EVALUATED else self.metric

    @property
    def reported_metric(self) -> str:
        """The series that is reported."""
        return reported_metric(self.metric)

    def document(self) -> dict[str, Any]:
        """The study as plain JSON, which `parse` reads again."""
        return self.model_dump(mode="json", by_alias=True)


def reported_metric(metric: str) -> str:
    """The series of a reported run that a metric is."""
    return f"test/{metric}" if metric in EVALUATED else metric


def parse(document: Mapping[str, Any]) -> StudyFile:
    """The study in a document. Raises StudyFileError."""
    number = document.get("format", 1 if "configs" in document else FORMAT)
    if type(number) is not int or not 1 <= number <= FORMAT:
        newer = type(number) is int and number > FORMAT
        raise StudyFileError(
            f"format: the study has format {number!r}; this version of the lab reads formats up to "
            f"{FORMAT}" + (": upgrade the lab" if newer else "")
        )
    first = number == 1
    try:
        if first:
            return StudyFile.model_validate(FirstFormat.model_validate(document).upgraded())
        return StudyFile.model_validate(document)
    except ValidationError as error:
        lines = [f"{_place(e)}{_sentence(e, first=first)}" for e in error.errors()]
        raise StudyFileError("\n".join(lines)) from None


class FirstFormat(Strict):
    """The first format: `configs` at `rates`, tuned with `tuning_seeds`."""

    format: Literal[1] = 1
    name: StudyName
    base: dict[str, Any]
    configs: Annotated[list[Method], Field(min_length=1, max_length=256)]
    rates: Numbers
    tuning_seeds: Seeds
    seeds: Seeds
    baseline: Label
    metric: Literal["accuracy", "readout_accuracy"] = "accuracy"

    def upgraded(self) -> dict[str, Any]:
        """The same study in the present format; its grid is not widened."""
        kept = {name: getattr(self, name) for name in ("name", "base", "seeds", "metric")}
        return {
            **kept,
            "baseline": self.baseline,
            "methods": [method.model_dump() for method in self.configs],
            "tuning": {"values": self.rates, "seeds": self.tuning_seeds, "widen": 0},
        }


def _has(config: Mapping[str, Any], field: str) -> bool:
    """Whether a configuration gives a field."""
    part: Any = config
    for name in field.split("."):
        if not isinstance(part, Mapping) or name not in part:
            return False
        part = part[name]
    return True


def _article(field: str) -> str:
    return field if "." in field else f"a {field}"


def _place(error: Any) -> str:
    place = ".".join(map(str, error["loc"]))
    return f"{place}: " if place else ""


_OWNERS: Mapping[str, type[Strict]] = {
    "methods": Method, "configs": Method, "tuning": Tuning, "budget": Budget,
}  # fmt: skip


def _sentence(error: Any, *, first: bool) -> str:
    loc = error["loc"]
    owner = Also if "also" in loc else _OWNERS.get(str(loc[0])) if len(loc) > 1 else None
    fields = [*(owner or (FirstFormat if first else StudyFile)).model_fields]
    fields = ["list" if name == "points" else name for name in fields]
    return sentence(error, fields, "a study" if owner is None else f"{loc[0]} of a study")

"""What a measure says of several estimators, from the values that a figure pools of each.

A sentence names at most three: of more, the best, the worst and their number. It orders two only
where their means can be told apart.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from backend.figures.data.metrics import larger_is_better, metric
from backend.figures.data.select import Line
from backend.figures.drawing.names import distinct
from backend.figures.summary.pooled import Pooled, tied
from backend.figures.words.names import one_line, short_names
from backend.figures.words.numbers import percent, times, two_digits
from backend.figures.words.sentences import (
    MIN_PROBES,
    counted,
    fitting,
    in_words,
    joined,
    too_early,
    within,
)

NAMED = 3
"""Most estimators that a sentence names."""
LAYER = 24
"""Most characters of a layer's name in a sentence."""


@dataclass(frozen=True)
class Voice:
    """How a measure is said."""

    verbs: tuple[str, ...]
    """With `{}` for a value, from the longest to the shortest."""
    value: Callable[[float], str]
    zero: str = ""
    """The verb of a value that is exactly 0; empty: as of every other."""
    nothing: str = ""
    """What is said of an estimator whose interval holds 0; empty: as of every other."""
    zeros: str = ""
    """The same of several."""
    nearest_to_one: bool = False
    """Whether a value is the better, the nearer it is to 1."""
    prefix: str = ""
    """What the values are, before them, where no verb says so."""
    ends: tuple[str, str] = ("best", "worst")
    """What the first and the last of many are called."""


VOICES = {
    "cosine": Voice(
        ("points {} along the gradient", "points {} along"),
        percent,
        nothing="no alignment found of",
    ),
    "scaled_error": Voice(
        ("leaves {} of the error at its best rate", "leaves {} of the error"), percent
    ),
    "relative_variance": Voice(
        ("scatters {} the squared gradient", "scatters {}"),
        times,
        zero="does not scatter",
        zeros="do not scatter",
        ends=("least", "most"),
    ),
    "norm_ratio": Voice(
        ("is {} as long as the gradient", "is {} as long"),
        times,
        nearest_to_one=True,
        ends=("nearest", "furthest"),
    ),
}


def takeaway(
    name: str,
    pooled: Sequence[Pooled],
    layer: str = "",
    exact: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """What a measure says of these lines; "" where there is no value.

    Args:
        name: the metric.
        pooled: its latest values of each line.
        layer: the layer, "" for the whole network.
        exact: the stages in which an estimator is exact, which the network's mean hides.
    """
    usable = [each for each in pooled if each.sample.count]
    if not usable:
        rounding = pooled and all("gradient is rounding" in each.faults for each in pooled)
        return fitting("The exact gradient is only rounding here") if rounding else ""
    if early := _too_early(usable):
        return early
    ready = [each for each in usable if _is_ready(each)]
    voice = voice_of(name)
    ranked = sorted(ready, key=lambda each: _badness(name, voice, each.mean))
    names = line_names([each.line for each in ranked])
    rank = _Ranked(voice, ranked, [names[each.line.key] for each in ranked], layer, exact or {})
    return rank.sentence()


def line_names(lines: Sequence[Line]) -> dict[tuple[str, str], str]:
    """{(run's id, label): its short name}; with its run where there are several runs."""
    short = short_names(line.label for line in lines)
    if len({line.run_id for line in lines}) < 2:
        return {line.key: short[line.label] for line in lines}
    alone = len(short) == 1
    return {line.key: _with_run(line, "" if alone else short[line.label]) for line in lines}


def _with_run(line: Line, name: str) -> str:
    number = line.run.number
    run = f"#{number}" if number is not None else one_line(line.run.name)[:LAYER]
    return f"{name} {run}".strip()


def _is_ready(each: Pooled) -> bool:
    # A microscope has one point, of all draws.
    return each.sample.count >= MIN_PROBES or _at_a_point(each)


def _at_a_point(each: Pooled) -> bool:
    return "microscope" in each.line.run.config


def _too_early(usable: Sequence[Pooled]) -> str:
    if any(_is_ready(each) for each in usable):
        return ""
    return too_early(max(each.sample.count for each in usable))


def voice_of(name: str) -> Voice:
    """How a metric is said; of one without words of its own, as a number."""
    value = percent if metric(name).fraction else two_digits
    return VOICES.get(name) or Voice(("{}",), value, prefix=f"{metric(name).short}: ")


def _badness(name: str, voice: Voice, mean: float) -> float:
    if voice.nearest_to_one:
        return abs(math.log(mean)) if mean > 0 else math.inf
    return -mean if larger_is_better(name) else mean


@dataclass(frozen=True)
class _Ranked:
    """Estimators from the best to the worst, and how their measure is said."""

    voice: Voice
    ranked: Sequence[Pooled]
    names: Sequence[str]
    layer: str
    exact: Mapping[str, Sequence[str]]

    def sentence(self) -> str:
        count = len(self.ranked)
        zeros = sum(each.mean == 0 for each in self.ranked) if self.voice.zeros else 0
        if zeros > 1:
            parts = self._with_zeros(zeros)
        elif count == 1:
            parts = self._single()
        elif count <= NAMED:
            parts = self._few()
        else:
            parts = self._many()
        layer = distinct((one_line(self.layer),), LAYER)[one_line(self.layer)]
        if "cannot be told apart" not in parts[0]:
            parts = [self.voice.prefix + part for part in parts]
        return fitting(*(within(layer, part) for part in parts), *parts[-1:])

    def _with_zeros(self, zeros: int) -> list[str]:
        """Several that are exactly 0, and the others."""
        count, last = len(self.ranked), f"{self.names[-1]} {self._value(-1)}"
        head = f"{joined(self.names[:zeros])} {self.voice.zeros}"
        short = f"{zeros} of {counted(count, self._noun())} {self.voice.zeros}"
        if zeros == count:
            return [head, short]
        rest = ", ".join(f"{self.names[at]} {self._value(at)}" for at in range(zeros, count))
        most = f"{self.voice.ends[1]} {last}" if count - zeros > 1 else last
        few = [f"{head}, {rest}"] if count <= NAMED else []
        return [*few, *([f"{head}, {most}"] if zeros < NAMED else []), f"{short}, {most}", short]

    def _value(self, at: int) -> str:
        return self.voice.value(self.ranked[at].mean)

    def _said(self, at: int, verb: str) -> str:
        """`DFA points 51 % along`."""
        if self.voice.zero and self.ranked[at].mean == 0:
            return f"{self.names[at]} {self.voice.zero}"
        return f"{self.names[at]} {verb.format(self._value(at))}"

    def _exact_part(self) -> str:
        """That a stage is exact for the best one, which its mean hides."""
        stages = self.exact.get(self.ranked[0].line.label, ()) if not self.layer else ()
        if not stages:
            return ""
        if len(stages) > 1:
            return f", {in_words(len(stages))} stages exact"
        return f", its {one_line(stages[0])} exact"

    def _is_nothing(self, at: int) -> bool:
        low, high = self.ranked[at].interval
        return bool(self.voice.nothing) and low <= 0 <= high

    def _single(self) -> list[str]:
        if self._is_nothing(0):
            ends = " to ".join(map(self.voice.value, self.ranked[0].interval))
            return [
                f"{self.voice.nothing} {self.names[0]}: {ends}",
                f"{self.voice.nothing} {self.names[0]}",
            ]
        why = self._exact_part()
        return [f"{self._said(0, verb)}{reason}" for reason in _once(why) for verb in self._verbs]

    def _noun(self) -> str:
        """What is compared: estimators of a run, runs of one estimator, or lines of both."""
        if len({each.line.run_id for each in self.ranked}) == 1:
            return "estimator"
        return "run" if len({each.line.label for each in self.ranked}) == 1 else "line"

    @property
    def _verbs(self) -> tuple[str, ...]:
        return self.voice.verbs

    def _few(self) -> list[str]:
        values = [f"{name} {self._value(at)}" for at, name in enumerate(self.names)]
        if tied(self.ranked[0], self.ranked[1]):
            return self._tied(values)
        why, best = self._exact_part(), self.voice.ends[0]
        rest = ", ".join(values[1:])
        return [
            *(f"{self._said(0, verb)}{why}, {rest}" for verb in self._verbs),
            f"{self._said(0, self._verbs[-1])}{why}, {best} of {len(values)}",
            f"{values[0]}{why}, {best} of {len(values)}",
            *(f"{self._said(0, verb)}, {best} of {len(values)}" for verb in self._verbs[-1:]),
        ]

    def _tied(self, values: Sequence[str]) -> list[str]:
        """The best two, which cannot be told apart."""
        both, rest = joined(values[:2]), values[2:]
        equal = "cannot be told apart"
        what = metric(self.ranked[0].line.series.metric).short
        if len(self.ranked) == 2:
            return [f"{both} {equal} by {what}", f"{both} {equal}", f"{joined(self.names)} {equal}"]
        if all(tied(self.ranked[0], each) for each in self.ranked[1:]):
            return [
                f"{joined(values)} {equal} by {what}",
                f"{joined(values)} {equal}",
                f"{joined(self.names)} {equal}",
                f"the three {equal} by {what}",
            ]
        return [
            f"{both} {equal}, {rest[0]}",
            f"{both} {equal}",
            f"{joined(self.names[:2])} {equal}",
        ]

    def _many(self) -> list[str]:
        total, verbs = counted(len(self.ranked), self._noun()), self._verbs
        last = (
            ""
            if tied(self.ranked[-1], self.ranked[-2])
            else f"{self.voice.ends[1]} {self.names[-1]} "
        )
        worst = f", {last}{self._value(-1)}" if last else ""
        if tied(self.ranked[0], self.ranked[1]):
            equal = [each for each in self.ranked if tied(self.ranked[0], each)]
            if len(equal) == len(self.ranked):
                what = metric(self.ranked[0].line.series.metric).short
                return [f"the {total} cannot be told apart by {what}"]
            best = f"the best {len(equal)} of {total} cannot be told apart"
            return [f"{best}, at {self._value(0)}{worst}", f"{best}, at {self._value(0)}", best]
        why, best = self._exact_part(), self.voice.ends[0]
        return [
            *(f"{self._said(0, verb)}{why}, {best} of {total}{worst}" for verb in verbs),
            f"{self._said(0, verbs[-1])}{why}, {best} of {len(self.ranked)}{worst}",
            f"{self._said(0, verbs[-1])}{why}, {best} of {len(self.ranked)}",
            f"{self.names[0]} {self._value(0)}, {best} of {len(self.ranked)}",
        ]


def _once(text: str) -> list[str]:
    return [text, ""] if text else [""]

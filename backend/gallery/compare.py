"""`compare`: published figures beside the measured ones, and whether their orders agree."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from backend.gallery.entry import Published
from backend.strict_json import finite_or_none
from backend.studies.measure import POINTS, number
from backend.studies.table import Row, StudyTable
from estimators.statistics.formatting import counted
from estimators.statistics.student import Sample, half_width


@dataclass(frozen=True)
class Pair:
    """A method's published figure and the one that was measured here."""

    label: str
    published: float
    measured: Sample
    """Over seeds, in the published quantity; of a tuned value, the value alone."""

    @property
    def half_width(self) -> float:
        """Half of Student's 95 % interval of the measured mean; NaN for fewer than two seeds."""
        return half_width(self.measured.count) * self.measured.standard_error


@dataclass(frozen=True)
class Comparison:
    """Published figures of one quantity beside the measured ones."""

    published: Published
    pairs: list[Pair]

    @property
    def order(self) -> str:
        """Whether pairs that are far apart in the paper have the same order here, or ""."""
        gap = self.published.gap
        measured = [pair for pair in self.pairs if pair.measured.count]
        if gap is None or len(measured) < 2:
            return ""
        # Decimal figures such as 3.31 − 2.81 are not exact in binary.
        distant = [
            (first, second)
            for first, second in combinations(measured, 2)
            if abs(first.published - second.published) >= gap - 1e-9
        ]
        reversed_pairs = [
            f"{first.label} and {second.label}"
            for first, second in distant
            if (first.published - second.published)
            * (first.measured.mean - second.measured.mean) <= 0
        ]  # fmt: skip
        of_percent = self.published.unit == "%"
        unit = " points" if of_percent else f" {self.published.unit}".rstrip()
        same, total = len(distant) - len(reversed_pairs), counted(len(distant), "pair")
        said = (
            f"{same} of {total} that are at least {gap:g}{unit} apart in the "
            "publication are in the same order here"
        )
        return f"{said}; the others: {', '.join(reversed_pairs)}" if reversed_pairs else said

    def document(self) -> dict[str, Any]:
        """As JSON, with the numbers in words as well."""
        published = self.published
        return {
            "quantity": published.quantity,
            "source": published.source,
            "provenance": published.provenance,
            "unit": published.unit,
            "order": self.order,
            "rows": [
                {
                    "label": pair.label,
                    "published": pair.published,
                    "mean": finite_or_none(pair.measured.mean) if pair.measured.count else None,
                    "half_width": finite_or_none(pair.half_width),
                    "seeds": pair.measured.count,
                    "words": words(pair),
                }
                for pair in self.pairs
            ],
        }


def words(pair: Pair) -> str:
    """The measured number: `2.4 ± 0.1`; "" where there is none yet."""
    if not pair.measured.count:
        return ""
    half = pair.half_width
    spread = f" ± {number(half, half)}" if pair.measured.count > 1 else ""
    return f"{number(pair.measured.mean, half)}{spread}"


def compare(published: Published, table: StudyTable, baselines: Mapping[str, str]) -> Comparison:
    """Set published figures beside the rows of a study's table.

    Only the methods that the study has are listed: at short length it may have fewer. `baselines`
    are {variant: the variant that it is compared with}.
    """
    rows = {row.label: row for row in table.rows}
    pairs = [
        Pair(label, value, _converted(rows[label], rows.get(baselines.get(label, "")), published))
        for label, value in published.values.items()
        if label in rows
    ]
    return Comparison(published, pairs)


def _converted(row: Row, base: Row | None, published: Published) -> Sample:
    """The values of a row's seeds in the published quantity."""
    conversion = published.conversion
    if conversion == "tuned":
        value = row.choice.value if row.choice else None
        return Sample.from_values([] if value is None else [float(value)])
    values = _by_seed(row)
    if conversion == "ratio":
        of_base = _by_seed(base) if base else {}
        shared = [seed for seed in values if of_base.get(seed)]
        return Sample.from_values(values[seed] / of_base[seed] for seed in shared)
    if conversion == "accuracy":
        return Sample.from_values(POINTS * value for value in values.values())
    if conversion == "error":
        return Sample.from_values(POINTS * (1 - value) for value in values.values())
    return Sample.from_values(values.values())


def _by_seed(row: Row) -> dict[int, float]:
    return {
        cell.seed: cell.value
        for cell in row.cells
        if cell.state == "finished" and cell.value is not None
    }

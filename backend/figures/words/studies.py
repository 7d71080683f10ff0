"""What the figures of a study say: variants compared over seeds, and tuned values."""

from collections.abc import Mapping, Sequence

from backend.figures.drawing.names import distinct
from backend.figures.words.names import one_line, short_name
from backend.figures.words.numbers import two_digits
from backend.figures.words.sentences import counted, fitting
from backend.studies.measure import Measure
from backend.studies.table import Row, StudyTable
from backend.studies.tuning_plan import Choice
from backend.studies.verdicts import Verdict
from estimators.statistics.paired import unpaired

NAMED = 3
"""Most variants that a sentence names."""
LONGEST = 28
"""Most characters of a variant's name in a sentence."""
MANY_SEEDS = 200
"""More seeds than this are told as more than so many."""


def variant_names(labels: Sequence[str]) -> dict[str, str]:
    """{label: at most LONGEST characters}: the method as people write it, then what it varies."""
    written = {}
    for label in dict.fromkeys(labels):
        method, comma, fields = label.partition(", ")
        written[label] = one_line(f"{short_name(method)}{comma}{fields}")
    if len(set(written.values())) < len(written):
        written = {label: one_line(label) for label in written}
    shown = distinct(tuple(written.values()), LONGEST)
    return {label: shown[text] for label, text in written.items()}


def of_table(table: StudyTable) -> str:
    """Which variant is best, where that can be told; "" before a run has ended."""
    rows = [row for row in table.rows if row.sample.count]
    if not rows:
        return ""
    measure = table.measure
    ranked = sorted(rows, key=lambda row: row.sample.mean, reverse=measure.higher_is_better)
    names = variant_names([row.label for row in table.rows])
    said = [f"{names[row.label]} {_value(measure, row.sample.mean)}" for row in ranked]
    head = measure.title
    if len(ranked) == 1:
        return fitting(f"{head}: {said[0]}", said[0])
    if min(row.sample.count for row in ranked[:2]) < 2 and not measure.exact:
        few = ", ".join(said[:NAMED]) if len(said) <= NAMED else f"{said[0]}, worst {said[-1]}"
        return fitting(f"{head}, one seed each: {few}", f"{head}, one seed each: {said[0]}")
    if _tied(measure, ranked[0], ranked[1]):
        both = f"{said[0]} and {said[1]}"
        return fitting(
            f"{head}: {both} cannot be told apart", f"{both} cannot be told apart",
            f"the best two of {counted(len(rows), 'variant')} cannot be told apart",
        )  # fmt: skip
    if len(said) <= NAMED:
        return fitting(f"{head}: {', '.join(said)}", f"{head}: {said[0]}, best of {len(said)}")
    return fitting(
        f"{head}: {said[0]}, best of {len(said)}, worst {said[-1]}",
        f"{head}: {said[0]}, best of {len(said)}",
    )


def _tied(measure: Measure, first: Row, second: Row) -> bool:
    """Whether the means over seeds of the two can not be told apart at 95 %."""
    if measure.exact:
        return first.sample.mean == second.sample.mean
    errors = first.sample.standard_error, second.sample.standard_error
    count = min(first.sample.count, second.sample.count)
    verdict = unpaired(first.sample.mean, second.sample.mean, errors, count).verdict
    return verdict not in ("larger", "smaller")


def _value(measure: Measure, value: float) -> str:
    """Two digits with the unit; percent where it is a fraction."""
    unit = measure.suffix or ""
    return f"{two_digits(value * measure.scale)}{unit}"


def of_verdicts(verdicts: Sequence[Verdict]) -> str:
    """Who beats whom, or how many more seeds would tell."""
    if not verdicts:
        return ""
    paired = [verdict for verdict in verdicts if verdict.comparison.pairs]
    if not paired:
        return fitting("Too early to say: no paired seeds yet")
    names = variant_names([label for v in paired for label in (v.first, v.second)])
    decided = [verdict for verdict in paired if verdict.decided]
    if not decided:
        return _undecided(paired, names)
    clearest = min(decided, key=lambda verdict: verdict.p)
    better = clearest.leading
    worse = clearest.first if better == clearest.second else clearest.second
    unit = " points" if clearest.measure.fraction else clearest.measure.suffix
    by = f"{two_digits(abs(clearest.comparison.difference) * clearest.measure.scale)}{unit}"
    head = f"{names[better]} beats {names[worse]} by {by}"
    if len(paired) == 1:
        seeds = f", over {counted(clearest.comparison.pairs, 'paired seed')}"
        return fitting(head + seeds, head)
    count = f"{len(decided)} of {counted(len(paired), 'comparison')} decided"
    return fitting(f"{head}, clearest of {len(paired)}, {len(decided)} decided",
                   f"{head}, {count}", head, count)  # fmt: skip


def _undecided(paired: Sequence[Verdict], names: Mapping[str, str]) -> str:
    needed = [verdict.more_seeds for verdict in paired if verdict.more_seeds is not None]
    more = ""
    if needed and min(needed) > MANY_SEEDS:
        more = f", more than {MANY_SEEDS} more seeds needed"
    elif needed:
        more = f", about {counted(min(needed), 'more seed')} needed"
    if len(paired) == 1:
        both = f"{names[paired[0].first]} and {names[paired[0].second]}"
        return fitting(f"{both} cannot be told apart{more}", f"the two cannot be told apart{more}")
    total = counted(len(paired), "comparison")
    return fitting(f"none of {total} is decided{more}")


def of_choices(choices: Mapping[str, Choice]) -> str:
    """The tuned value of each variant; "" before one is chosen."""
    chosen = {label: choice for label, choice in choices.items() if choice.value is not None}
    if not chosen:
        return ""
    names = variant_names([*choices])
    field = next(iter(chosen.values())).field.rpartition(".")[2]
    head = "best rate" if field == "lr" else f"best {one_line(field.replace('_', ' '))}"
    said = [f"{names[label]} {two_digits(choice.value or 0.0)}" for label, choice in chosen.items()]
    edge = sum(choice.at_edge for choice in chosen.values())
    note = f", {edge} at the edge of what was tried" if edge else ""
    short = f", {edge} at the edge" if edge else ""
    if len(said) > NAMED:
        values = sorted(choice.value or 0.0 for choice in chosen.values())
        span = f"from {two_digits(values[0])} to {two_digits(values[-1])}"
        return fitting(f"{head} of {counted(len(said), 'variant')}: {span}{note}")
    return fitting(f"{head}: {', '.join(said)}{note}", f"{head}: {', '.join(said)}{short}",
                   f"{head}: {said[0]}{short}")  # fmt: skip

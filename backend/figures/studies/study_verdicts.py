"""The verdicts of a study: differences with their intervals, sorted, about a line at zero."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from backend.figures.data.source import Floats
from backend.figures.drawing import canvas, style
from backend.figures.drawing.scales import Scale, choose
from backend.figures.drawing.text import clipped, hover_head, plain
from backend.figures.info import FigureInfo
from backend.figures.studies.labels import colour, short_labels
from backend.figures.words import studies as words_of
from backend.studies.measure import Measure
from backend.studies.verdict_words import MOST_SEEDS
from backend.studies.verdicts import Verdict
from estimators.statistics.formatting import counted

INFO = FigureInfo(
    title="Verdicts",
    help="The mean difference of each comparison over paired seeds. Thick: its own 95 % interval; "
    "thin: the interval that holds together with those of all comparisons (Bonferroni). A filled "
    "mark is decided with all comparisons in view (Holm), a hollow one is not.",
    reading="Only a filled mark shows which of the two is better.",
    parameters=(),
    charts=(),
)
ROWS = 40
"""Most comparisons that are drawn."""
LABEL = 22
"""Most characters of a variant's name."""
ROW, LINE = 44, 14
"""Pixels of a comparison: a line of words, and its mark with the intervals below; and of another
line of words, where there is no baseline."""


def figure(verdicts: Sequence[Verdict]) -> go.Figure:
    """Draw the comparisons of one measure, the largest advantage first.

    Of more than `ROWS`, the clearest are drawn. Raises ValueError for verdicts of two measures.
    """
    measures = {verdict.measure for verdict in verdicts}
    if len(measures) > 1:
        names = ", ".join(sorted(measure.name for measure in measures))
        raise ValueError(f"verdicts of {names} were given; one measure is allowed")
    with_pairs = [verdict for verdict in verdicts if verdict.comparison.pairs]
    clearest = sorted(with_pairs, key=_unclear)[:ROWS]
    shown = sorted(clearest, key=lambda verdict: -verdict.advantage)
    tally = canvas.Tally(len(shown), len(with_pairs), "the clearest")
    for words in _notes(verdicts):
        tally.say(words)
    tally.conclude(words_of.of_verdicts(verdicts))
    measure = shown[0].measure if shown else None
    ends = np.array([end for each in shown for end in _ends(each, each.joint_half)], np.float64)
    scale = choose("signed" if measure and measure.scaling == "log" else "linear", ends)
    seconds = {verdict.second for verdict in shown}
    baseline = seconds.pop() if len(seconds) == 1 else ""
    zero = {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1}
    return canvas.finish(
        [trace for at, each in enumerate(shown) for trace in _traces(at, each, scale)],
        tally,
        title=f"{INFO.title} by {plain(measure.title)}" if measure else INFO.title,
        height=130 + (ROW if baseline else ROW + LINE) * max(2, len(shown)),
        margin={"l": 16, "r": 16, "t": 44, "b": 60},
        showlegend=False,
        nothing="no paired seeds yet",
        annotations=_labels(shown, baseline),
        xaxis=canvas.axis(_axis_title(measure, baseline), tickangle=0, **canvas.few(scale)),
        yaxis=canvas.axis(
            "", tickmode="array", tickvals=list(range(len(shown))), showticklabels=False,
            range=[max(len(shown), 1) - 0.6, -0.8], fixedrange=True, showgrid=False,
        ),
        shapes=[{**zero, "line": {"color": style.GREY, "width": 1.5, "dash": "dot"}}],
    )  # fmt: skip


def _notes(verdicts: Sequence[Verdict]) -> list[str]:
    """How many are decided, the clearest of all in a sentence, and how many have no pair."""
    if not verdicts:
        return []
    decided = sum(verdict.decided for verdict in verdicts)
    without = sum(not verdict.comparison.pairs for verdict in verdicts)
    missing = [f"{counted(without, 'comparison')} without a paired seed"] if without else []
    return [
        f"{decided} of {counted(len(verdicts), 'comparison')} decided",
        min(verdicts, key=_unclear).sentence,
        *missing,
    ]


def _unclear(verdict: Verdict) -> float:
    """By which comparisons are sorted, the clearest first."""
    return 2.0 if np.isnan(verdict.p) else verdict.p


def _axis_title(measure: Measure | None, baseline: str) -> str:
    if measure is None:
        return ""
    unit = "points" if measure.fraction else measure.unit
    than = f"minus that of {plain(clipped(baseline, 26))}" if baseline else "first minus second"
    side = "right" if measure.higher_is_better else "left"
    better = f"{side} is better" if baseline else f"{side} if the first is better"
    title = f"{plain(measure.title)} ({unit})" if unit else plain(measure.title)
    return f"{title}<br>{than}, {better}"


def _ends(verdict: Verdict, half: float) -> Floats:
    """Low end, difference and high end, in the units of the axis."""
    difference = verdict.comparison.difference
    reach = np.nan_to_num(half, nan=0.0)
    return np.array([difference - reach, difference, difference + reach]) * verdict.measure.scale


def _traces(at: int, verdict: Verdict, scale: Scale) -> list[go.Scatter]:
    shade = colour(verdict.first)
    low, x, high = scale.positions(_ends(verdict, verdict.half)).tolist()
    low_joint, _, high_joint = scale.positions(_ends(verdict, verdict.joint_half)).tolist()
    name = plain(f"{verdict.first} − {verdict.second}")
    bar = {"type": "data", "array": [high - x], "arrayminus": [x - low], "symmetric": False}
    joint = go.Scatter(
        x=[low_joint, high_joint], y=[at, at], mode="lines", hoverinfo="skip",
        line={"color": shade, "width": 1.5}, opacity=0.7, name=name, meta={"unlisted": True},
    )  # fmt: skip
    own = go.Scatter(
        x=[x], y=[at], mode="markers", name=name, text=[plain(verdict.sentence)],
        error_x={**bar, "width": 0, "thickness": 5, "color": shade} if low < high else None,
        marker={"symbol": "circle" if verdict.decided else "circle-open", "size": 13,
                "color": shade, "line": {"width": 2.5, "color": shade}},
        hovertemplate=f"{hover_head(name)}<br>%{{text}}<extra></extra>",
    )  # fmt: skip
    return [joint, own] if verdict.comparisons > 1 else [own]


def _labels(shown: Sequence[Verdict], baseline: str) -> list[dict[str, Any]]:
    """The words above each row; beside the plot they would leave no room on a phone."""
    labels = {label for verdict in shown for label in (verdict.first, verdict.second)}
    names = short_labels(sorted(labels), LABEL)
    return [
        {
            "text": _words(verdict, names, baseline), "name": "unlisted", "x": 0, "xref": "paper",
            "xanchor": "left", "y": at, "yref": "y", "yanchor": "bottom", "yshift": 8,
            "showarrow": False, "font": {"size": 11}, "align": "left",
        }
        for at, verdict in enumerate(shown)
    ]  # fmt: skip


def _words(verdict: Verdict, names: Mapping[str, str], baseline: str) -> str:
    first, second = names[verdict.first], names[verdict.second]
    difference = verdict.comparison.difference
    gap = ("+" if difference > 0 else "") + verdict.measure.gap(difference, verdict.half)
    more = verdict.more_seeds
    seeds = "too few seeds" if more is None else f"{min(more, MOST_SEEDS)} more seeds"
    sign = "" if more is None else "> " if more > MOST_SEEDS else "≈ "
    state = "decided" if verdict.decided else plain(f"{sign}{seeds}")
    numbers = f"{plain(gap)} · {state}"
    if baseline:
        return f"{plain(first)} · {numbers}"
    return f"{plain(first)} − {plain(second)}<br>{numbers}"

"""`gradlab probe`: parse estimators from the command line; print measures, laws and verdicts."""

import math
import re
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from backend.terminal.client import Client
from estimators.statistics.formatting import upper_bound
from estimators.statistics.law_check import LAW, MAX_ERRORS, MIN_DRAWS, check_measure
from estimators.statistics.reference import (
    HATCH,
    HATCH_NOTE,
    OF_THE_REFERENCE,
    is_rounding,
    null_band,
)

_CALL = re.compile(r"\s*(\w+)\s*(?:\((.*)\))?\s*", re.DOTALL)
_PAIR = re.compile(r"\s*(\w+)\s*=\s*(.*?)\s*", re.DOTALL)
_SOURCES = re.compile(r"(honest|oracle) draws[^;]*")
_CAUTION = re.compile(r"were not finite|did not converge|points uphill|heavy")
SHOWN = (
    ("cosine", "cosine_se"),
    ("norm_ratio", "norm_ratio_se"),
    ("scaled_error", "scaled_error_se"),
    ("relative_variance", "relative_variance_se"),
    ("relative_squared_bias", "relative_squared_bias_se"),
)
"""The measures with a column each, and the names of their standard errors."""
NORM, FLOOR = "exact/norm", "reference/floor"
ROUNDING = 1e-12
"""Numbers below this share of what they are compared with are rounding, and printed as 0."""
NULL_NOTE = (
    "by chance: 95 % of cosines and scaled errors, had noise or feedback nothing to do with the "
    "gradient"
)
LAW_NOTE = f"a law agrees within {MAX_ERRORS:g} standard errors, from {MIN_DRAWS} draws on"


def parse_estimator(text: str) -> dict[str, Any]:
    """The description of an estimator that is written like a label.

    `forward_gradient(tangents=8, noise=normal)` is one; a wrapped estimator is written in the same
    way. Raises ValueError.
    """
    call = _CALL.fullmatch(text)
    if call is None:
        raise ValueError(f"{text!r} is not an estimator; write spsa or spsa(pairs=4, eps=0.01)")
    fields = {}
    for part in _parts(call[2] or ""):
        pair = _PAIR.fullmatch(part)
        if pair is None:
            raise ValueError(f"{part.strip()!r} in {text!r} is not a field; write field=value")
        fields[pair[1]] = parse_estimator(pair[2]) if "(" in pair[2] else _value(pair[2])
    return {"name": call[1], **fields}


def _parts(text: str) -> list[str]:
    """The parts between the commas that are outside of brackets."""
    parts, depth = [""], 0
    for c in text:
        depth += (c in "([") - (c in ")]")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return [part for part in parts if part.strip()]


def _value(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text  # the lab reports what is wrong with it


def tabulate(client: Client, run: dict[str, Any], console: Console) -> None:
    """Print the measures of the whole network, a row for each estimator, with its law below."""
    measures = client.measures(run["id"])
    draws = int(run["config"]["microscope"]["draws"])
    exact = client.latest(run["id"])
    rounded = is_rounding(*(exact.get(name, math.nan) for name in (NORM, FLOOR)))
    judged = any("verdict/biased" in values for values in measures.values())
    heads = [*(m.replace("_", " ") for m, _ in SHOWN), *(["bias"] if judged else [])]
    rows = []
    for label in [run["labels"]["driver"], *run["labels"]["shadows"]]:
        measured = measures.get(label, {})
        verdict = ["–" if rounded else _verdict(measured)] if judged else []
        cells = [_cell(measured, *pair, rounded=rounded) for pair in SHOWN]
        rows.append([escape(label), *cells, *verdict])
        if any(chance := [_chance(measured, metric) for metric, _ in SHOWN]):
            rows.append(["  by chance", *chance])
        laws = [_law(measured, metric, draws, rounded=rounded) for metric, _ in SHOWN]
        if any(laws):
            rows.append(["  by its law", *laws])
    console.print(fitted_table(heads, rows, console))
    if rounded:
        console.print(HATCH_NOTE, style="bold", highlight=False, markup=False)
    note = client.note("measures_table", {"runs": run["id"]})
    for caution in cautions(note):
        console.print(caution, style="bold", highlight=False, markup=False)
    console.print(
        f"{sources(note)}; ± is one standard error; {NULL_NOTE}; {LAW_NOTE}",
        style="dim", highlight=False, markup=False,
    )  # fmt: skip


def fitted_table(heads: list[str], rows: list[list[str]], console: Console) -> Table:
    """A table whose first column holds the names of estimators, which are never cut.

    If it is wider than the console, each number stands above its standard error or law check, and
    what is still too long in the first column is folded.
    """
    wide = _table(heads, rows)
    unlimited = console.options.update(width=10_000)
    if console.measure(wide, options=unlimited).maximum <= console.width:
        return wide
    broken = [[name, *(cell.replace(" ", "\n", 1) for cell in cells)] for name, *cells in rows]
    return _table([head.replace(" ", "\n") for head in heads], broken)


def _table(heads: list[str], rows: list[list[str]]) -> Table:
    columns = [Column("", overflow="fold"), *(Column(head, no_wrap=True) for head in heads)]
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    return table


def sources(note: str) -> str:
    """The part of a figure's note that says where its draws come from."""
    match = _SOURCES.search(note)
    return match[0] if match else "no draws"


def cautions(note: str) -> list[str]:
    """The parts of a figure's note on what makes its numbers unfit or less sure than they look."""
    return [part for part in note.split("; ") if _CAUTION.search(part)]


def _cell(measured: dict[str, float], metric: str, error: str, *, rounded: bool = False) -> str:
    """A measure with its standard error; hatched where the exact gradient is `rounded`."""
    if metric not in measured or math.isnan(measured[metric]):
        return "–" if metric in measured else ""
    if rounded and metric in OF_THE_REFERENCE:
        return f"{HATCH} {without_rounding(measured[metric]):.4g}"
    spread = f" ± {without_rounding(measured[error]):.2g}" if error in measured else ""
    return f"{without_rounding(measured[metric]):.4g}{spread}"


def without_rounding(value: float, scale: float = 1.0) -> float:
    """The value, or 0 if it is nothing but rounding beside `scale`."""
    return 0.0 if abs(value) <= ROUNDING * scale else value


def _chance(measured: dict[str, float], metric: str) -> str:
    """What a measure is by chance: the null band of the cosine, what a scaled error exceeds."""
    if metric == "cosine" and "cosine_null" in measured:
        pair = measured.get("redrawn/cosine", 0.0), measured["cosine_null"]
        low, high = null_band(pair[0], measured.get("redrawn/cosine_sd", pair[1]))
        return f"{low:.2g} … {high:.2g}".replace("-", "−")
    if metric == "scaled_error" and "scaled_error_null" in measured:
        null = measured.get("redrawn/scaled_error", measured["scaled_error_null"])
        return f"> {null:.4g}"
    return ""


def _law(measured: dict[str, float], metric: str, draws: int, *, rounded: bool = False) -> str:
    """The law's value, and whether the draws agree with it; not judged if `rounded`."""
    law = measured.get(LAW + metric)
    if law is None:
        return ""
    verdict = "not judged" if rounded else check_measure(metric, measured, draws).verdict
    words = {"agrees": " agrees", "disagrees": " [bold red]disagrees[/]", "not judged": ""}
    return f"{law:.4g}{words[verdict]}"


def _verdict(measured: dict[str, float]) -> str:
    biased = measured.get("verdict/biased", math.nan)
    if math.isnan(biased):
        return "–"
    return "biased" if biased else f"none (< {upper_bound(measured['verdict/bound'])})"

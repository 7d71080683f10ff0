"""`gradlab probe`: estimators as words of a command; measures, laws and verdicts as a table."""

import math
import re
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from backend.terminal.client import Client

_CALL = re.compile(r"\s*(\w+)\s*(?:\((.*)\))?\s*", re.DOTALL)
_PAIR = re.compile(r"\s*(\w+)\s*=\s*(.*?)\s*", re.DOTALL)
_SOURCES = re.compile(r"(honest|oracle) draws[^;]*")
SHOWN = (
    ("cosine", "cosine_se"),
    ("norm_ratio", "norm_ratio_se"),
    ("scaled_error", "scaled_error_se"),
    ("relative_variance", "relative_variance_se"),
    ("relative_squared_bias", "relative_squared_bias_se"),
)
"""The columns, each with its standard error."""
LEAST = 64
"""Fewest draws that are held against a law."""
OFF, ROUNDING = 5.0, 1e-6
"""Standard errors beyond which draws and law disagree."""
LAMP = f"a law agrees within {OFF:g} standard errors, from {LEAST} draws on"


def described(text: str) -> dict[str, Any]:
    """`forward_gradient(tangents=8, noise=normal)`, as labels are written, as a component.

    A held estimator is written the same way. Raises ValueError, in words.
    """
    found = _CALL.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no estimator; write spsa or spsa(pairs=4, eps=0.01)")
    fields = {}
    for part in _parts(found[2] or ""):
        pair = _PAIR.fullmatch(part)
        if pair is None:
            raise ValueError(f"{part.strip()!r} in {text!r} is no field; write field=value")
        fields[pair[1]] = described(pair[2]) if "(" in pair[2] else _value(pair[2])
    return {"name": found[1], **fields}


def _parts(text: str) -> list[str]:
    """Between the commas that no bracket encloses."""
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
        return text  # the lab says what is wrong with it


def tabulate(client: Client, run: dict[str, Any], console: Console) -> None:
    """Print the measures of the whole network, one row an estimator, and the laws below."""
    found = client.measures(run["id"])
    draws = int(run["config"]["microscope"]["draws"])
    judged = any("verdict/biased" in one for one in found.values())
    heads = [*(m.replace("_", " ") for m, _ in SHOWN), *(["bias"] if judged else [])]
    table = Table("", *heads, box=None, pad_edge=False)
    for label in [run["labels"]["driver"], *run["labels"]["shadows"]]:
        measured = found.get(label, {})
        verdict = [_verdict(measured)] if judged else []
        table.add_row(escape(label), *(_cell(measured, *pair) for pair in SHOWN), *verdict)
        laws = [_law(measured, *pair, draws) for pair in SHOWN]
        if any(laws):
            table.add_row("  by its law", *laws)
    console.print(table)
    source = sources(client.note("measures_table", {"runs": run["id"]}))
    console.print(f"{source}; ± standard error; {LAMP}", style="dim", highlight=False, markup=False)


def sources(note: str) -> str:
    """What a figure's note says of where its draws come from."""
    found = _SOURCES.search(note)
    return found[0] if found else "no draws"


def _cell(measured: dict[str, float], metric: str, error: str) -> str:
    if metric not in measured or math.isnan(measured[metric]):
        return "–" if metric in measured else ""
    spread = f" ± {measured[error]:.2g}" if error in measured else ""
    return f"{measured[metric]:.4g}{spread}"


def _law(measured: dict[str, float], metric: str, error: str, draws: int) -> str:
    """The law's value and its lamp: whether the draws agree with it."""
    law = measured.get(f"law/{metric}")
    if law is None:
        return ""
    spread, lit = measured.get(error, math.nan), measured.get(f"lamp/{metric}", math.nan)
    off = lit == 0
    if math.isnan(lit):  # a run of before keeps no more than the standard error
        if draws < LEAST or math.isnan(spread):
            return f"{law:.4g}"
        off = abs(measured[metric] - law) > OFF * spread + ROUNDING * max(1.0, abs(law))
    return f"{law:.4g} {'[bold red]disagrees[/]' if off else 'agrees'}"


def _verdict(measured: dict[str, float]) -> str:
    biased = measured.get("verdict/biased", math.nan)
    if math.isnan(biased):
        return "–"
    return "biased" if biased else f"none (< {measured['verdict/bound']:.2g})"

"""Page, export, notebook and terminal give the same number and the same verdict.

On random variance splits, pairs and law checks. A formula of its own in any of them fails here.
"""

import io
import json
import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from backend.figures import Memory, MemoryRun, draw, note_text
from backend.figures.data.diagnosis import question
from backend.figures.drawing.marks import row_name
from backend.notebook import show
from backend.notebook.series import RUN
from backend.series.points import Points
from backend.sharing import html
from backend.terminal import figure_tables
from backend.terminal import probe as terminal
from backend.training.clock import Clock
from backend.training.components.assemble import Labelled
from backend.training.microscope.estimator_draws import EstimatorDraws
from backend.training.probe_schedule import ProbeSchedule
from backend.training.probes import Probes
from estimators import Chain, Claim, Cost, Estimate, Estimator, measure
from estimators.core.contract import Law
from estimators.measurement.anatomy import Anatomies
from estimators.measurement.compare import Compared
from estimators.measurement.estimates.anatomy import Anatomy
from estimators.measurement.estimates.observation import point
from estimators.measurement.inputs.subject import subject
from estimators.statistics.findings import diagnose
from estimators.statistics.law_check import check_measure
from estimators.statistics.paired import paired, unpaired
from estimators.statistics.variance_split import TOLERANCE

WIDE = 400
"""Characters of a terminal's line: no cell wraps."""


def tables(value: Any) -> Iterator[dict[str, Any]]:
    """Every table within a figure or an export."""
    if isinstance(value, dict):
        if value.get("type") == "table":
            yield value
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from tables(part)


def exported(source: Memory, run_id: str) -> list[dict[str, Any]]:
    """The tables of a one-file export."""
    parts = re.findall(
        r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', html(source, [run_id]), re.S
    )
    return [table for part in parts for table in tables(json.loads(part))]


def rows(table: dict[str, Any]) -> list[dict[str, str]]:
    """Its rows, by heading."""
    heads = table["header"]["values"]
    return [
        dict(zip(heads, row, strict=True)) for row in zip(*table["cells"]["values"], strict=True)
    ]


def drawn_rows(name: str, source: Memory, **query: str) -> list[dict[str, str]]:
    (table,) = tables(draw(name, source, query)["figure"])
    return rows(table)


class Answers:
    """The lab's client, answered from memory."""

    def __init__(self, source: Memory, run_id: str) -> None:
        self._source, self._run_id = source, run_id

    def figure(self, name: str, query: dict[str, str]) -> dict[str, Any]:
        return draw(name, self._source, query)

    def note(self, name: str, query: dict[str, str]) -> str:
        return note_text(draw(name, self._source, query))

    def latest(self, run_id: str) -> dict[str, float]:
        whole = [s for s in self._source.series(run_id) if not s.estimator and not s.layer]
        return {s.metric: float(self._source.points(s.id).values[-1]) for s in whole}

    def measures(self, run_id: str) -> dict[str, dict[str, float]]:
        newest: dict[str, dict[str, float]] = {}
        for series in self._source.series(run_id):
            if series.estimator and not series.layer and not series.metric.startswith("draw/"):
                value = float(self._source.points(series.id).values[-1])
                newest.setdefault(series.estimator, {})[series.metric] = value
        return newest


def printed(tabulate: Any, source: Memory, run_id: str) -> str:
    """What `gradlab probe` prints of a run."""
    run = source.run(run_id)
    console = Console(file=io.StringIO(), width=WIDE)
    known = {"id": run_id, "config": run.config, "labels": run.labels}
    tabulate(Answers(source, run_id), known, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


# --- larger batch or more draws? ---------------------------------------------------------------


ANATOMIES, EACH = 300, 30


def random_anatomies(seed: int) -> Anatomies:
    """Anatomies of the whole network, at one batch size."""
    rng = random.Random(seed)
    batch, batches = rng.choice([1, 8, 64]), rng.choice([4, 9, 32, 128])
    population = rng.choice([None, batch, 10 * batch, 10_000])
    found = {}
    for i in range(EACH):
        data = rng.choice([0.0, -0.1, 10 ** rng.uniform(-3, 3)])
        estimator = rng.choice([0.0, 10 ** rng.uniform(-3, 3)])
        fixed = estimator * rng.choice([0.0, 1.0, rng.random()])
        errors = [(abs(x) * 10 ** rng.uniform(-3, 1),) for x in (data, estimator, fixed)]
        found[f"e{i}"] = Anatomy(
            ("",), batch, batches, 4, (data,), (estimator,), (fixed,), (1.0,), rng.choice([1.0, 3]),
            population, errors[0], errors[1], 0, errors[2],
        )  # fmt: skip
    return Anatomies(found)


def page_of_anatomies(anatomies: Anatomies) -> Memory:
    """The run of a microscope that measured the same."""
    source, first = Memory(), anatomies.first
    config = {
        "batch_size": first.batch,
        "microscope": {"draws": 4, "anatomy": {"batches": first.batches}},
    }
    driver, *shadows = anatomies.by_label
    labels = {"driver": driver, "shadows": shadows}
    source.add_run("m", MemoryRun(7, "seen", config=config, labels=labels))
    if first.population:
        source.add("m", "anatomy/population", [0], [first.population])
    for label, one in anatomies.by_label.items():
        for part in ("data", "estimator", "fixed", "signal"):
            source.add("m", f"anatomy/{part}", [one.batches], getattr(one, part), estimator=label)
        for part in ("data_se", "estimator_se", "fixed_se") if one.batches >= 8 else ():
            source.add("m", f"anatomy/{part}", [one.batches], getattr(one, part), estimator=label)
    return source


def said_in_table(advice: Any) -> dict[str, str]:
    """The cells of the page's table that an advice of the library gives."""
    if advice.verdict == "no variance":
        return {"answer": "no variance at all", "examples × draws": ""}
    if advice.verdict == "undecided":
        return {"answer": "undecided", "examples × draws": ""}
    pair = f"{advice.batch:,} × {advice.draws:,}"
    alone = f"{advice.batch_alone:.3g} ×" if advice.batch_alone > 1 + TOLERANCE else "the same"
    return {"answer": advice.verdict, "examples × draws": pair, "largest batch, 1 draw": alone}


@pytest.mark.parametrize("seed", range(ANATOMIES // EACH))
def test_larger_batch_or_more_draws_has_one_answer(seed):
    anatomies = random_anatomies(seed)
    source, views = page_of_anatomies(anatomies), show(anatomies)
    for budget in (1, 2, 8, 64):
        pages = drawn_rows("advice", source, runs="m", budget=str(budget))
        (table,) = tables(views.advice(budget).to_plotly_json())
        for row, other, (label, one) in zip(
            pages, rows(table), anatomies.by_label.items(), strict=True
        ):
            advice = one.best(budget * one.cost)
            assert row == other, label
            assert {name: row[name] for name in said_in_table(advice)} == said_in_table(advice)
            if row["tr Var"]:
                assert float(row["tr Var"].replace(",", "")) == pytest.approx(
                    advice.variance, rel=6e-3
                )
    text = str(anatomies)
    for label, one in anatomies.by_label.items():
        (line,) = [line for line in text.splitlines() if f" {label} " in line]
        assert line.endswith(one.best(2 * one.cost).text.partition(";")[0])


@pytest.mark.parametrize("seed", [0, 1])
def test_an_export_and_a_terminal_give_the_advice_of_the_page(seed):
    anatomies = random_anatomies(seed)
    source = page_of_anatomies(anatomies)
    found = [
        rows(table) for table in exported(source, "m") if "answer" in table["header"]["values"]
    ]
    for budget in ("8", "64"):
        assert drawn_rows("advice", source, runs="m", budget=budget) in found
    text = printed(figure_tables.tabulate, source, "m")
    for label, one in anatomies.by_label.items():
        cells = said_in_table(one.best(8 * one.cost))
        assert re.search(
            rf"^ *{label} +{cells['answer']} +{re.escape(cells['examples × draws'])}", text, re.M
        ), label


# --- paired comparisons ------------------------------------------------------------------------


def random_pairs(seed: int) -> tuple[int, dict[str, tuple[float, ...]]]:
    """(draws, values of three estimators): with ties, few pairs and numbers that are not finite."""
    rng = random.Random(seed)
    n = rng.choice([2, 4, 5, 6, 20, 40])
    first = [rng.gauss(0, 1) for _ in range(n)]
    second = [x if rng.random() < 0.3 else x + rng.gauss(rng.choice([0, 1]), 0.5) for x in first]
    third = [math.nan if rng.random() < 0.2 else rng.choice([0.0, math.inf, x]) for x in first]
    values = {"a": tuple(first), "b": tuple(second), "c": tuple(third)}
    return rng.choice([4, 16, 64]), values


def page_of_pairs(draws: int, values: dict[str, tuple[float, ...]]) -> Memory:
    source = Memory()
    labels = {"driver": "a", "shadows": ["b", "c"]}
    source.add_run("r", MemoryRun(3, "seen", {"probe": {"draws": draws}, "seed": 0}, labels))
    for label, numbers in values.items():
        source.add("r", "scaled_error", range(len(numbers)), numbers, estimator=label)
    return source


def bars(figure: dict[str, Any]) -> dict[str, tuple[float, float, bool]]:
    """{label: (difference, half width, filled)} of a figure of paired comparisons."""
    return {
        one["name"]: (
            one["x"][0],
            (one.get("error_x") or {"array": [math.nan]})["array"][0],
            not one["marker"]["symbol"].endswith("-open"),
        )
        for one in figure["data"]
        if np.isfinite(one["x"][0])
    }


def agree(comparison: Any, drawn: tuple[float, float, bool], note: str, label: str) -> None:
    """A comparison of the library is what is drawn and said."""
    half = comparison.half_width if comparison.judged else math.nan
    assert drawn[:2] == pytest.approx((comparison.difference, half), rel=1e-9, nan_ok=True)
    assert drawn[2] == (comparison.verdict in ("larger", "smaller"))
    (said,) = [part for part in note.split("; ") if part.startswith(f"{label}: ")][:1]
    words = {
        "larger": "larger than",
        "smaller": "smaller than",
        "no difference": "no difference to",
        "not judged": comparison.reason,
    }
    assert words[comparison.verdict] in said


@pytest.mark.parametrize("seed", range(60))
def test_a_comparison_has_one_answer(seed):
    draws, values = random_pairs(seed)
    compared = Compared("scaled_error", "", draws, values)
    figure = show(compared).paired("scaled_error", estimator="a").to_plotly_json()
    note = show(compared)._source and note_text(
        draw("paired", show(compared)._source, {"runs": RUN})
    )
    text = str(compared)
    page = draw("paired", page_of_pairs(draws, values), {"runs": "r"})
    for label in ("b", "c"):
        over_batches = compared.pair(label, "a")
        if np.isfinite(over_batches.difference):
            agree(over_batches, bars(figure)[label], note, label)
        reversed_text = compared.pair("a", label).text
        assert re.search(rf"^a +{label} +{re.escape(reversed_text)}$", text, re.M)
        over_probes = paired(
            values[label], values["a"], successive=True, needed=over_batches.needed, unit="probes"
        )
        if np.isfinite(over_probes.difference):
            agree(over_probes, bars(page["figure"])[label], note_text(page), label)


@pytest.mark.parametrize("seed", range(10))
def test_draws_at_a_point_are_compared_alike(seed):
    rng = random.Random(seed)
    source, numbers = Memory(), {}
    config = {"microscope": {"draws": 256, "sweep": None}}
    labels = {"driver": "a", "shadows": ["b"]}
    source.add_run("m", MemoryRun(3, "seen", config, labels))
    for label in ("a", "b"):
        numbers[label] = (rng.gauss(0, 1), rng.uniform(0.05, 1))
        for name, value in zip(("scaled_error", "scaled_error_se"), numbers[label], strict=True):
            source.add("m", name, [256], [value], estimator=label)
    (x, dx), (y, dy) = numbers["b"], numbers["a"]
    page = draw("paired", source, {"runs": "m"})
    agree(unpaired(x, y, (dx, dy), 256), bars(page["figure"])["b"], note_text(page), "b")


# --- law checks --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scattered(Estimator):
    """The exact gradient and noise, with a law that may be wrong."""

    kind: str = "normal"
    factor: float = 1.0

    def claim(self, objective):
        return Claim.UNBIASED

    def needs(self):
        return frozenset()

    def cost(self, objective):
        return Cost(forwards=1, vjps=1)

    def estimate(self, objective, params, state, rng, /):
        from estimators.autodiff.calculus import value_and_grad

        loss, exact = value_and_grad(objective, params)
        return Estimate({n: g + self._noise(g, rng) for n, g in exact.items()}, loss)

    def _noise(self, g, rng):
        noise = torch.randn(g.shape, generator=rng, dtype=g.dtype)
        if self.kind == "skewed":
            noise = noise * torch.randn((), generator=rng, dtype=g.dtype).exp() / math.exp(1)
        if self.kind == "rounding":
            noise = noise * 1e-9
        return noise

    def law(self, objective, params, state, exact, /):
        size = 1e-18 if self.kind == "rounding" else 1.0
        return Law({n: self.factor * size * g.numel() for n, g in exact.items()})


NET = nn.Linear(3, 2).double()
X, Y = torch.randn(8, 3, dtype=torch.float64), torch.tensor([0, 1] * 4)
METRICS = ("relative_variance", "relative_squared_bias", "relative_mse", "scaled_error")
WHOLE = row_name("")
CASES = {
    f"{kind} {factor:g}": Scattered(kind, factor)
    for kind in ("normal", "skewed", "rounding")
    for factor in (0.2, 0.8, 1.0, 1.25, 5.0)
}


def page_of_draws(count: int, seed: int, cases: dict[str, Estimator] = CASES) -> Memory:  # type: ignore[assignment]
    """What a microscope reports of the same draws."""
    of = subject(NET, nn.CrossEntropyLoss(), (X, Y), cases, seed)
    at, source = point(of.chain, of.params), Memory()
    driver, *shadows = cases
    config = {"microscope": {"draws": count, "sweep": None, "step": 0}}
    source.add_run("m", MemoryRun(3, "seen", config, {"driver": driver, "shadows": shadows}))
    made: dict[tuple[str, str, str], tuple[list[int], list[float]]] = {}
    for label, (estimator, state) in of.watched.items():
        drawing = EstimatorDraws(Labelled(label, estimator), at, state, count, seed, 0)
        while drawing.made < count:
            drawing.take()
        for record in [*drawing.points(), *drawing.last()]:
            if isinstance(record, Points):
                key = (record.metric, record.layer, record.estimator)
                steps, values = made.setdefault(key, ([], []))
                steps += record.steps.tolist()
                values += record.values.tolist()
    for (metric, layer, label), (steps, values) in made.items():
        source.add("m", metric, steps, values, layer=layer, estimator=label)
    return source


def checks(table: list[dict[str, str]]) -> dict[tuple[str, str], str]:
    """{(estimator, measure): the law check as the page's table words it}."""
    return {(row["estimator"], row["measure"]): row["law check"] for row in table}


TITLES = {
    "relative_variance": "Relative variance",
    "relative_squared_bias": "Relative squared bias",
    "relative_mse": "Relative squared error",
    "scaled_error": "Scaled error",
}


@pytest.mark.parametrize(("count", "seed"), [(40, 0), (72, 1), (300, 2)])
def test_a_law_check_has_one_answer(count, seed):
    measured = measure(NET, nn.CrossEntropyLoss(), (X, Y), CASES, count, seed)
    source, query = page_of_draws(count, seed), {"runs": "m"}
    page = checks(drawn_rows("measures_table", source, **query))
    (table,) = tables(show(measured).measures_table().to_plotly_json())
    notebook = checks(rows(table))
    kept = [rows(t) for t in exported(source, "m") if "law check" in t["header"]["values"]]
    terminal_text, text = printed(terminal.tabulate, source, "m"), str(measured)
    verdicts = set()
    for label in CASES:
        for metric, title in TITLES.items():
            check = measured.law_checks[label][metric][0]
            verdicts.add(check.verdict)
            assert check.words in page[label, title]
            assert page[label, title] == notebook[label, title] == checks(kept[0])[label, title]
            if np.isfinite(check.errors):
                side = "above" if check.errors > 0 else "below"
                said = f"{abs(check.errors):.1f} standard errors {side}"
                assert f" {said}" in page[label, title]
            marks = draw("law_checks", source, {**query, "metric": metric})["figure"]["data"]
            (mark,) = [
                one for one in marks if (label, WHOLE) in zip(one["x"], one["y"], strict=True)
            ]
            assert mark["name"].split(":")[0].lstrip("✓✗… ").startswith(check.verdict)
        for output in (terminal_text, text):
            assert spoken(output, label) == [
                measured.law_checks[label][metric][0].verdict
                for metric in ("scaled_error", "relative_variance", "relative_squared_bias")
                if measured.law_checks[label][metric][0].verdict != "not judged"
            ]
    assert verdicts == {"agrees", "not judged" if count < 64 else "disagrees"}


def spoken(output: str, label: str) -> list[str]:
    """The verdicts in the line by the law, below an estimator's name."""
    lines = output.splitlines()
    at = next(i for i, line in enumerate(lines) if re.search(rf"(^| ){label} ", line))
    below = next(line for line in lines[at + 1 :] if "by chance" not in line)
    return re.findall(r"(?:dis)?agrees", below)


def test_a_known_number_is_checked_alike_wherever_it_is_on_record():
    """Runs of before keep no more than standard errors: the page and the terminal judge by them."""
    rng, said = random.Random(0), set()
    for _ in range(200):
        metric, draws = rng.choice(METRICS), rng.choice([32, 64, 256])
        law = 10 ** rng.uniform(-2, 4)
        value = law * math.exp(rng.gauss(0, 1) * rng.choice([1e-12, 0.1, 2]))
        known = {metric: value, f"law/{metric}": law}
        if rng.random() < 0.8:
            known[f"{metric}_se"] = abs(value - law) / rng.choice([1, 4, 5.5, 7, 50]) + 1e-12
        if rng.random() < 0.3:
            known[f"law_check/{metric}"] = rng.choice([0.0, 1.0])
        check = check_measure(metric, known, draws)
        said.add(check.words)
        source = Memory()
        config = {"microscope": {"draws": draws, "sweep": None}}
        source.add_run("m", MemoryRun(3, "", config, {"driver": "it", "shadows": []}))
        for name, number in known.items():
            source.add("m", name, [draws], [number], estimator="it")
        (row,) = drawn_rows("measures_table", source, runs="m", metric=metric)
        assert check.words in row["law check"]
        (mark,) = draw("law_checks", source, {"runs": "m", "metric": metric})["figure"]["data"]
        assert f"law check: {check.words}" in unescape(str(mark["customdata"]))
        word = "" if check.verdict == "not judged" else check.verdict
        assert spoken(f" it \n{terminal._law(known, metric, draws)}", "it") == [word] * bool(word)
    assert len(said) == 4, said


# --- what makes a number unfit or less sure than it looks ---------------------------------------


@dataclass(frozen=True)
class Faulty(Scattered):
    """The exact gradient with a fault."""

    fault: str = ""

    def estimate(self, objective, params, state, rng, /):
        estimate = super().estimate(objective, params, state, rng)
        scale = torch.ones((), dtype=torch.float64)
        if self.fault == "uphill":
            scale = -scale
        if self.fault == "infinite" and torch.rand((), generator=rng) < 0.25:
            scale = scale * math.inf
        if self.fault == "heavy":
            scale = (1.5 * torch.randn((), generator=rng, dtype=torch.float64)).exp()
        return estimate._replace(grads={n: scale * g for n, g in estimate.grads.items()})

    def law(self, objective, params, state, exact, /):
        return None


FAULTY: dict[str, Estimator] = {
    f"{fault or 'good'}": Faulty("rounding", fault=fault)
    for fault in ("", "uphill", "infinite", "heavy")
}


def expected(lost: int, draws: int) -> dict[str, str]:
    return {
        "uphill": "uphill points uphill",
        "infinite": f"{lost} of {draws} draws ({100 * lost / draws:.0f} %) were not finite",
        "heavy": "heavy tails: its intervals and standard errors may be too small",
    }


def test_faults_of_an_estimator_are_said_wherever_its_numbers_stand():
    count = 300
    measured = measure(NET, nn.CrossEntropyLoss(), (X, Y), FAULTY, count, 3)
    lost = measured.nonfinite["infinite"]
    assert 40 < lost < 110
    source, views = page_of_draws(count, 3, FAULTY), show(measured)
    note = note_text(draw("measures_table", source, {"runs": "m"}))
    outputs = {
        "page": note,
        "notebook": note_text(draw("measures_table", views._source, {"runs": RUN})),
        "export": unescape(html(source, ["m"]).replace("\\u00b1", "±")),
        "terminal": printed(terminal.tabulate, source, "m"),
        "text": str(measured),
    }
    for output, text in outputs.items():
        for fault, words in expected(lost, count).items():
            assert words in text, (output, fault)
        assert "good points uphill" not in text
    assert "good" not in note
    findings = {label: found[0] for label, found in measured.findings.items()}
    assert findings["good"].cause == "fine"
    assert findings["infinite"].cause == "not finite"
    assert findings["infinite"].text.startswith(expected(lost, count)["infinite"])
    assert findings["uphill"].cause == "direction"
    # Marked in the cells too: of the heavy-tailed estimator, but not of its cosine.
    (table,) = tables(draw("measures_table", source, {"runs": "m"})["figure"])
    for row in rows(table):
        marked = row["± s.e."].endswith("~")
        assert marked == (row["estimator"] == "heavy" and row["measure"] not in {
            "Alignment (cosine)", "Descending draws"} and bool(row["± s.e."])), row  # fmt: skip
    (row,) = [row for row in measured.table().rows if row[1] == "heavy" and row[0] == ""][:1]
    assert "±~" in row[3]
    assert "±~" not in row[2]


def live(steps: int, draws: int) -> Memory:
    """A training run's probes of the same estimators."""
    source = Memory()
    driver, *shadows = FAULTY
    config = {"probe": {"draws": draws}}
    source.add_run("r", MemoryRun(3, "seen", config, {"driver": driver, "shadows": shadows}))
    of = subject(NET, nn.CrossEntropyLoss(), (X, Y), FAULTY, 0)
    made: dict[tuple[str, str, str], tuple[list[int], list[float]]] = {}
    probes = Probes(
        SimpleNamespace(params=of.params, measured=lambda: of.watched),  # type: ignore[arg-type]
        ProbeSchedule(steps, 1.0, every=1), draws, 0, Clock(),
    )  # fmt: skip
    for step in range(steps):
        assert isinstance(of.chain, Chain)
        for key, value in probes.fire(step, of.chain):
            at, values = made.setdefault(key, ([], []))
            at.append(step)
            values.append(value)
    for (metric, layer, label), (at, values) in made.items():
        source.add("r", metric, at, values, layer=layer, estimator=label)
    return source


def test_faults_are_said_live():
    steps, draws = 6, 16
    source = live(steps, draws)
    (lost,) = [
        int(source.points(s.id).values.sum())
        for s in source.series("r")
        if (s.metric, s.layer, s.estimator) == ("draw/nonfinite", "", "infinite")
    ]
    assert 8 < lost < 45
    words = expected(lost, steps * draws)
    ranking = draw("ranking", source, {"runs": "r"})
    names = [one["name"] for one in ranking["figure"]["data"]]
    # A squared error would rank −g, and what is left of the infinite draws, beside the good one.
    assert names[0] == "good"
    assert set(names[2:]) == {"uphill", "infinite"}
    labels = " ".join(one["text"] for one in ranking["figure"]["layout"]["annotations"])
    assert "uphill · points uphill" in labels
    # Short, since a label that is wider than the chart is cut; the note has the counts.
    assert f"infinite · {100 * lost / (steps * draws):.0f} % of draws not finite" in labels
    for name in ("ranking", "curve", "bias_variance", "paired", "measures_table"):
        metric = {"metric": "scaled_error"} if name == "curve" else {}
        note = note_text(draw(name, source, {"runs": "r", **metric}))
        assert words["infinite"] in note, name
        assert words["uphill"] in note, name
    for label, cause in {"good": "fine", "infinite": "not finite", "uphill": "direction"}.items():
        asked = question(source, "r", label, 6, {"": list(dict(NET.named_parameters()))})
        (finding,) = diagnose(asked)
        assert finding["cause"] == cause, finding
        if label == "infinite":
            assert finding["text"].startswith(words["infinite"])
            assert finding["text"].endswith("sound: the scaled error of one draw is 0.00")

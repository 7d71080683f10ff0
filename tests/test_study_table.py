"""The table of a tuned study: which runs and columns it has, and its means over seeds."""

from typing import Any

from backend.figures import Memory, MemoryRun
from docs.study_table import table

SEEDS = (0, 1)
TUNING_SEED = 100
RUNS = [(label, seed) for label in ("exact", "phantom") for seed in (TUNING_SEED, *SEEDS)]


def entry(label: str, rate: float | None, **fields: Any) -> dict[str, Any]:
    choice = {"value": rate, "at_edge": rate == 1.0}
    empty = {"mean": None, "half_width": None, "verdict": None}
    return {"label": label, "choice": choice, **empty, **fields}


def document(*entries: dict[str, Any]) -> dict[str, Any]:
    runs = [
        {"phase": "tuning" if seed == TUNING_SEED else "report", "label": label,
         "run": f"{label}{seed}"}
        for label, seed in RUNS
    ]  # fmt: skip
    return {"results": {"table": {"rows": list(entries)}, "runs": runs}}


def recorded() -> Memory:
    memory = Memory()
    for label, seed in RUNS:
        memory.add_run(f"{label}{seed}", MemoryRun(1, labels={"driver": label}))
    return memory


def test_values_are_means_over_the_reported_seeds_and_the_latest_reports_of_the_driver():
    memory = recorded()
    for run, values in {
        "phantom0": [0.1, *[0.8] * 8],  # the first report is older than the latest eight
        "phantom1": [0.6] * 9,
        f"phantom{TUNING_SEED}": [0.0] * 9,
    }.items():
        memory.add(run, "cosine", range(9), values, estimator="phantom")
        memory.add(run, "cosine", range(9), [0.3] * 9, estimator="shadow")
        memory.add(run, "cosine", range(9), [0.2] * 9, estimator="phantom", layer="head")
    memory.add("exact0", "equilibrium/spectral_radius", [0], [0.5], layer="middle")
    memory.add("exact1", "equilibrium/spectral_radius", [0], [float("nan")], layer="middle")
    lines = table(
        document(
            entry("exact", 0.1, mean=0.95, half_width=0.013),
            entry(
                "phantom", 1.0, mean=0.5, verdict={"difference": -0.45, "low": -0.5, "high": -0.4}
            ),
        ),
        memory,
        ["cosine", "equilibrium/spectral_radius"],
        {"exact": 1.0, "phantom": 0.512},
    )
    assert lines == [
        "|  | rate | test accuracy, % | difference | cosine | spectral radius, middle | cost |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| exact | 0.1 | 95.0 ± 1.3 |  | – | 0.5 | 1.00 |",
        "| phantom | 1* | 50.0 | -45.0 (-50.0 … -40.0) | 0.7 | – | 0.51 |",
    ]


def test_a_configuration_whose_rates_all_diverged_has_dashes():
    lines = table(document(entry("exact", None), entry("phantom", None)), recorded(), [], {})
    assert lines[2:] == ["| exact | – | – | – | – |", "| phantom | – | – | – | – |"]


def test_a_metric_of_stages_has_a_column_for_each():
    memory = recorded()
    for stage, value in (("first", 0.25), ("second", 0.75)):
        memory.add("exact0", "estimator/guess_cosine", [0], [value], layer=stage, estimator="exact")
    (heads, _, exact, phantom) = table(
        document(entry("exact", None), entry("phantom", None)),
        memory,
        ["estimator/guess_cosine"],
        {},
    )
    assert "cosine of target and guess, first | cosine of target and guess, second" in heads
    assert exact == "| exact | – | – | – | 0.25 | 0.75 | – |"
    assert phantom == "| phantom | – | – | – | – | – | – |"

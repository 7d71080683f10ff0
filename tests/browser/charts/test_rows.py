"""The table of a chart: every point of every figure, as plain text, a page at a time."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import place
from person import enter, tool
from playwright.sync_api import Page, expect
from served import ServedLab

from backend.figures import Memory, MemoryRun, draw
from backend.figures.catalogue import modules
from tests.backend.figures.full_source import add_adjoint_map, full_source, run_of

ROWS = """async (figures) => {
  const {rowsOf} = await import("/static/charts/rows.js");
  const {themed} = await import("/static/plot-theme.js");
  return figures.map(({data, layout}) => rowsOf({data, layout}, themed(layout).meta.scales));
}"""


def points_of(trace: dict[str, Any]) -> int:
    """How many points a trace draws; of a grid, its cells with a value."""
    if "z" in trace:
        return sum(value is not None for row in trace["z"] for value in row)
    return max(len(trace["x"]), len(trace["y"]))


def test_every_point_of_every_figure_has_a_row_of_plain_text(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url)
    source, names = full_source(), sorted(modules())
    source.add("r1", "cosine", [0, 1, 2], [0.5, np.nan, np.inf], estimator="spsa")
    source.add("r1", "log/mine", [0, 1, 2], [0.1, 0.2, 0.3])
    figures = [draw(name, source, {"runs": run_of(name)})["figure"] for name in names]
    drawn = {
        name: figure
        for name, figure in zip(names, figures, strict=True)
        if all(trace["type"] != "table" for trace in figure["data"])
    }
    for (name, figure), table in zip(
        drawn.items(), page.evaluate(ROWS, list(drawn.values())), strict=True
    ):
        listed = [t for t in figure["data"] if not (t.get("meta") or {}).get("unlisted")]
        count = sum(map(points_of, listed))
        marks = [shape for shape in figure["layout"].get("shapes", []) if shape.get("label")]
        rows = [row for row in table["rows"] if row["name"] != "Labels"]
        assert count > 0, f"the source has nothing for {name}"
        assert len(rows) == count + len(marks), name
        texts = [*table["head"], *(str(cell) for row in rows for cell in row["cells"])]
        texts += [row["name"] for row in rows]
        assert not [text for text in texts if "<" in text and ">" in text], name
        assert {len(row["cells"]) for row in rows} == {len(table["head"])}, name


def test_a_row_has_the_value_and_not_its_place_on_the_axis(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url)
    source, values = Memory(), np.array([-1e6, -0.5, 0.0, 3.0, 2e5])
    source.add_run("r1", MemoryRun(1, "a", {"batch_size": 32}, {"driver": "spsa"}))
    source.add("r1", "relative_squared_bias", np.arange(5), values, estimator="spsa")
    source.add("r1", "relative_squared_bias_se", np.arange(5), np.full(5, 0.25), estimator="spsa")
    figures = [
        draw(name, source, {"runs": "r1", "metric": "relative_squared_bias", "window": "1"})
        for name in ("curve", "ranking", "carpet")
    ]
    assert figures[0]["figure"]["layout"]["yaxis"]["uirevision"].startswith("asinh ")
    curve, ranking, _ = page.evaluate(ROWS, [each["figure"] for each in figures])
    assert [row["cells"][1] for row in curve["rows"]] == values.tolist()
    assert curve["head"] == ["step", "relative squared bias", "± error"]
    errors = [row["cells"][2] for row in curve["rows"]]
    assert np.allclose(errors, 0.25, rtol=1e-6), "± is in the values' own unit"
    assert ranking["rows"][0]["cells"][0] == pytest.approx(2e5)


def test_a_map_has_rows_of_its_settings_and_values(page: Page, lab: ServedLab) -> None:
    enter(page, lab.start_url)
    source = Memory()
    add_adjoint_map(source, "a1")
    asked = [
        ("adjoint_map", {}),
        ("adjoint_map", {"quantity": "seconds"}),
        ("adjoint_map", {"quantity": "relative_error"}),
        ("descent_condition", {}),
    ]
    figures = [draw(name, source, {"runs": "a1", **query})["figure"] for name, query in asked]
    drawn = [trace["type"] for trace in figures[0]["data"]]
    assert "scatter" in drawn, "lines of ‖Bᵏ‖ are drawn, and have no rows"
    cosines, times, errors, shares = page.evaluate(ROWS, figures)
    settings = [[share, k] for k in (1, 2, 4) for share in (0.5, 1)]
    for table in (cosines, times, errors, shares):
        assert table["head"][:3] == ["damping λ", "steps k", "value"]
        assert [row["cells"][:2] for row in table["rows"]] == settings
    for table, wanted in (
        (cosines, [0.2, 0.6, 0.6, 0.8, 0.8, 0.9]),
        (times, [10, 11, 12, 13, 14, 15]),
        (errors, [0.8, 0.4, 0.4, 0.2, 0.2, 0.1]),
        (shares, [0, 0, 0, 0.5, 0.5, 1]),
    ):
        assert [row["cells"][2] for row in table["rows"]] == pytest.approx(wanted)
    assert times["rows"][0]["name"] == "npg, time of one gradient, timed once, ms"


def test_a_long_table_has_pages_and_its_file_has_every_row(
    page: Page, lab: ServedLab, tmp_path: Path
) -> None:
    enter(page, lab.start_url)
    source, values = Memory(), np.random.default_rng(0).random((10, 60))
    for at in range(10):
        source.add_run(f"r{at}", MemoryRun(at + 1, f"run <{at}>", {}, {"driver": "spsa"}))
        source.add(f"r{at}", "train/loss", np.arange(60) * (at + 1), values[at])
    place(page, source, "curve", runs=",".join(f"r{at}" for at in range(10)))
    tool(page, "Tried", "Show as a table")
    table = page.get_by_role("region", name="Tried, as a table")
    cells = table.locator("tbody tr:not(:has([scope=rowgroup]))")
    expect(cells).to_have_count(200)
    expect(page.get_by_text("Rows 1–200 of 600")).to_be_visible()
    assert all(row.count("\t") == 1 for row in cells.all_inner_texts()), "no holes"
    page.get_by_label("Line", exact=True).select_option(label="train · #10 run <9>")
    expect(page.get_by_text("Rows 401–600 of 600")).to_be_visible()
    expect(table).to_contain_text("train · #10 run <9>")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save all rows as CSV").click()
    download.value.save_as(tmp_path / "tried.csv")
    text = (tmp_path / "tried.csv").read_text("utf-8-sig")
    head, *rows = csv.reader(io.StringIO(text))
    assert head == ["line", "step", "loss (nats)"]
    assert [float(row[2]) for row in rows] == values.ravel().tolist()

"""A figure is one file: a new module is on the page, in the export and in the notebook."""

import json
import re
from pathlib import Path

import pytest

from backend.figures import catalogue, draw, microscope, run
from backend.figures.catalogue import charts_of, modules
from backend.figures.data.query import PARAMETERS, parse
from backend.figures.pages import SECTIONS
from backend.notebook.series import RUN
from backend.notebook.views import ComparisonViews, MeasurementViews
from backend.sharing import html

NEW = '''"""A figure that nobody has seen."""

import plotly.graph_objects as go

from backend.figures.data.query import Query
from backend.figures.data.source import Source
from backend.figures.drawing import canvas
from backend.figures.info import Chart, FigureInfo, Pick, Place

INFO = FigureInfo(
    title="Brand new",
    help="What it draws.",
    reading="How to read it.",
    parameters=("runs", "level", "estimator"),
    charts=(
        Chart(
            "brand-new",
            (Place("run", "measures", 75), Place("draws", "read", 5)),
            picks=(Pick("level"),),
            menus={"level": ()},
        ),
    ),
)


def figure(source: Source, query: Query) -> go.Figure:
    tally = canvas.Tally(1, 3)
    tally.say(f"a {query.level}")
    return canvas.finish([go.Scatter(x=[1.0], y=[2.0])], tally, title=INFO.title)
'''


@pytest.fixture(params=[run, microscope], ids=lambda package: package.__name__)
def new(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The module `brand_new` in a package of figures, and no other file touched."""
    (tmp_path / "brand_new.py").write_text(NEW)
    monkeypatch.setattr(request.param, "__path__", [*request.param.__path__, str(tmp_path)])
    modules.cache_clear()
    yield
    modules.cache_clear()


@pytest.mark.usefixtures("new")
def test_a_new_module_is_in_the_catalogue_that_the_page_reads(source):
    (entry,) = [one for one in catalogue()["figures"] if one["name"] == "brand_new"]
    (chart,) = entry["charts"]
    assert (chart["title"], chart["help"]) == ("Brand new", "What it draws.")
    assert chart["reading"] == "How to read it."
    assert [choice["title"] for choice in chart["picks"][0]["choices"]] == ["stages", "tensors"]
    keys = [placed.chart.key for placed in charts_of("run")]
    assert keys.index("bias-variance") < keys.index("brand-new") < keys.index("paired")
    drawn = draw("brand_new", source, {"runs": "r1"})
    assert (drawn["selection"], drawn["note"]) == ("extrema kept", ["a stage"])


@pytest.mark.usefixtures("new")
def test_a_new_module_is_in_the_export(source):
    page = html(source, ["r1"])
    found = re.search(r'<script type="application/json" id="panels">(.*?)</script>', page, re.S)
    assert found
    (panel,) = [one for one in json.loads(found[1]) if one["id"] == "r0-brand-new"]
    notes = [one["note"] for one in panel["figures"].values()]
    assert notes == [
        "this file holds 1 of 3 points, extrema kept; a stage",
        "this file holds 1 of 3 points, extrema kept; a tensor",
    ]
    assert "What it draws. How to read it." in page


@pytest.mark.usefixtures("new")
def test_a_new_module_is_a_method_in_a_notebook(empty):
    empty.add_run(RUN, empty.run("r1"))
    views = MeasurementViews(empty, None)
    assert views.figures[2] == "brand_new", "after the draws, before the convergence"
    assert "brand_new" not in ComparisonViews(empty, None).figures
    assert "brand_new" in dir(views)
    assert ".brand_new()" in repr(views)
    assert views.brand_new("tensor").layout.title.subtitle.text.endswith("a tensor")
    assert views.brand_new.__doc__ == "Brand new. What it draws.\n\nHow to read it."
    with pytest.raises(TypeError, match="unexpected keyword argument 'units'"):
        views.brand_new(units="raw")


def test_without_it_there_is_no_such_figure(empty):
    with pytest.raises(AttributeError, match="no figure 'brand_new'"):
        _ = MeasurementViews(empty, None).brand_new


def test_every_chart_stands_in_a_section_and_asks_what_its_figure_knows():
    sections = {(section.page, section.name) for section in SECTIONS}
    keys: list[tuple[str, str]] = []
    for module in modules().values():
        info = module.INFO
        assert {*info.parameters} <= {*PARAMETERS}
        for chart in info.charts:
            known = {*chart.asks, *chart.menus, *(pick.parameter for pick in chart.picks)}
            assert known <= {*info.parameters}, chart.key
            assert chart.places, "a chart without a place is nowhere"
            for place in chart.places:
                assert (place.page, place.section) in sections
                keys.append((place.page, chart.key))
    assert len(keys) == len({*keys}), "two charts of a page share a key"


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_choice_and_every_default_can_be_asked(name):
    parameter = PARAMETERS[name]
    for value in (parameter.default, *(choice.value for choice in parameter.choices)):
        assert parse({"runs": "r1", name: value or ("r1" if name == "runs" else "")})

"""A figure in a plug-in file: listed, drawn in another process, and told where it fails."""

import pytest

from backend.catalogue import catalogue
from backend.catalogue.own_figures import draw_own_figure
from backend.figures import Memory, MemoryRun
from backend.figures.data.source import FigureError

OWN = '''
from dataclasses import dataclass

import plotly.graph_objects as go

from gradlab import Figure


@dataclass(frozen=True)
class LossOverSteps(Figure):
    """The training loss, as it is."""

    reading = "Lower is better."
    metrics = ("train/loss",)

    def figure(self, source, run):
        (loss,) = [s for s in source.series(run) if s.metric == "train/loss"]
        points = source.points(loss.id, max=1000)
        {answer}
'''
SOUND = 'return go.Figure(go.Scatter(x=points.steps, y=points.values), {"height": 300})'


@pytest.fixture
def source():
    memory = Memory()
    memory.add_run("r1", MemoryRun(1, "a run"))
    memory.add("r1", "train/loss", [0, 1, 2], [3.0, 2.0, 1.0])
    return memory


def test_it_is_listed_with_its_words_source_and_place(tmp_path):
    (tmp_path / "own.py").write_text(OWN.format(answer=SOUND))
    listed = catalogue([tmp_path])
    assert listed["failures"] == []
    (entry,) = listed["figures"]
    assert (entry["name"], entry["title"]) == ("loss_over_steps", "Loss over steps")
    assert (entry["help"], entry["reading"]) == (
        "The training loss, as it is.",
        "Lower is better.",
    )
    assert entry["source"]["file"] == str(tmp_path / "own.py")
    (chart,) = entry["charts"]
    assert chart["key"] == "own-loss-over-steps"
    assert chart["places"] == ({"page": "run", "section": "own", "order": 10, "span": 0},)
    assert chart["follows"] == ("train/loss",)


def test_it_is_drawn_in_the_lab_s_layout(tmp_path, source):
    (tmp_path / "own.py").write_text(OWN.format(answer=SOUND))
    drawn = draw_own_figure("loss_over_steps", "r1", source, [tmp_path])
    (trace,) = drawn["figure"]["data"]
    assert (trace["x"], trace["y"]) == ([0, 1, 2], [3.0, 2.0, 1.0])
    assert drawn["figure"]["layout"]["title"]["text"] == "Loss over steps"
    assert drawn["figure"]["layout"]["height"] == 300
    assert (drawn["shown"], drawn["count"]) == (3, 3)
    assert {"xaxis", "yaxis"} <= drawn["figure"]["layout"].keys(), "the page colours their grid"


def test_lines_without_a_colour_get_one_that_the_legend_shows(tmp_path, source):
    answer = """shown = go.Figure(go.Scatter(y=[1], marker_color="red"))
        shown.add_scatter(y=[2], yaxis="y2").add_bar(y=[3]).add_heatmap(z=[[4]])
        return shown"""
    (tmp_path / "own.py").write_text(OWN.format(answer=answer))
    figure = draw_own_figure("loss_over_steps", "r1", source, [tmp_path])["figure"]
    red, line, bar, heat = figure["data"]
    assert red["line"]["color"] == red["marker"]["color"] == "red"
    assert (line["line"]["color"], bar["marker"]["color"]) == ("#D05400", "#008A63")
    assert "line" not in heat
    assert "yaxis2" in figure["layout"]


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ("return 3", FigureError, r"figure\(\) returned a int; it must return a plotly"),
        ("return go.Figure(go.Scatter(y=[0.0] * 200_001))", FigureError, "has 200,001 points"),
        ("1 / 0", ZeroDivisionError, "division by zero"),
    ],
)
def test_what_is_no_figure_is_refused(tmp_path, source, answer, error, message):
    (tmp_path / "own.py").write_text(OWN.format(answer=answer))
    with pytest.raises(error, match=message):
        draw_own_figure("loss_over_steps", "r1", source, [tmp_path])


def test_the_name_of_a_figure_of_the_lab_is_taken(tmp_path):
    text = OWN.format(answer=SOUND).replace("LossOverSteps", "Curve")
    (tmp_path / "own.py").write_text(text)
    listed = catalogue([tmp_path])
    assert listed["figures"] == []
    (failure,) = listed["failures"]
    assert "the name 'curve' is that of a figure of the lab; rename Curve" in failure["traceback"]

"""What happened to a run is marked on the axis of its curves, with the reason."""

import pytest

from backend.figures import Memory, draw
from backend.figures.drawing.run_events import NAME
from tests.backend.figures.full_source import FOUR, full_source


@pytest.fixture
def source() -> Memory:
    source = full_source()
    source.add_event("r1", 7, "death", "attempt 1: killed by SIGKILL\nat /home/me/run.py")
    source.add_event("r1", 7, "attempt", "attempt 2 goes on from step 7")
    source.add_event("r1", 12, "change", "learning rate changed from 0.1 to 0.05")
    source.add_event("r1", None, "memory", "of no step")
    return source


def marks(source, name="curve", **query):
    data = draw(name, source, {"runs": "r1", **query})["figure"]["data"]
    return [trace for trace in data if trace["name"] == NAME]


@pytest.mark.parametrize("query", [{}, {"metric": "cosine"}, {"x": "examples"}])
def test_every_event_is_marked_at_its_step_with_its_reason(source, query):
    (trace,) = marks(source, **query)
    assert trace["x"] == [7 * 32, 12 * 32] if "x" in query else [7, 12]
    assert (trace["yaxis"], set(trace["y"])) == ("y2", {0.0})
    died, changed = trace["text"]
    assert "death: attempt 1: killed by SIGKILL<br>attempt: attempt 2 goes on from step 7" in died
    assert "change: learning rate changed from 0.1 to 0.05" in changed
    assert trace["marker"]["symbol"] == ["x", "diamond"]


def test_lines_by_layer_are_marked_too(source):
    (trace,) = marks(source, "layers", metric="cosine", estimator=FOUR)
    assert trace["x"] == [7, 12]


def test_a_mark_names_no_path(source):
    source.add_event("r1", 15, "finding", "cannot read '/home/me/secret file.pt' of C:\\me\\run")
    (trace,) = marks(source)
    assert "me" not in trace["text"][-1].replace("name", "")
    assert "secret" not in trace["text"][-1]


def test_a_run_to_which_nothing_happened_has_no_mark():
    assert marks(full_source()) == []


def test_a_run_beside_others_is_named(source):
    source.add("p1", "train/loss", [0, 1], [1.0, 0.5])
    data = draw("curve", source, {"runs": "r1,p1"})["figure"]["data"]
    (trace,) = [trace for trace in data if trace["name"] == NAME]
    assert all(text.startswith("<b>#1 a run</b>") for text in trace["text"])


def test_only_the_steps_that_are_asked_for_are_marked(source):
    (trace,) = marks(source, first="10")
    assert trace["x"] == [12]

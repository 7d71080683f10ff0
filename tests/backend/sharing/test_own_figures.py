"""The figures of plug-ins beside a run: each in its place, whatever becomes of the others."""

import pytest

from backend.figures import Memory, MemoryRun
from backend.figures.catalogue import entry_of
from backend.figures.info import Chart, FigureInfo, Place
from backend.sharing import OwnFigures

EMPTY = {"shown": 0, "count": 0, "selection": "", "zoomed": False, "note": ["said"], "details": []}
DRAWN = {"figure": {"data": [], "layout": {"height": 300}}, **EMPTY, "meta": {}}


class Drawer:
    """Draws the figures `names`; those that it has no answer for do not answer in time."""

    def __init__(self, **answers):
        self.answers, self.asked = answers, []

    def own_figures(self, *, wait=False):
        assert wait, "an export must not lack what is not read yet"
        if not self.answers:
            raise TimeoutError("no answer within 60 s; it was killed")
        return [self.entry(name) for name in self.answers]

    def entry(self, name):
        info = FigureInfo(name, "", "", ("runs",), (Chart(name, (Place("run", "own", 10),)),))
        return {**entry_of(name, info), "source": {"file": f"/a/{name}.py", "hash": "ab" * 32}}

    def draw(self, name, run_id):
        self.asked.append((name, run_id))
        if self.answers[name] is None:
            raise TimeoutError("no answer within 10 s; it was killed")
        return self.answers[name]


@pytest.fixture
def source():
    memory = Memory()
    memory.add_run("r1", MemoryRun(1))
    memory.add_run("r2", MemoryRun(2))
    memory.add_run("m1", MemoryRun(3, config={"microscope": {"step": 0}}))
    return memory


def test_one_that_fails_leaves_the_others(source):
    drawer = Drawer(bad={"problem": "KeyError: 'x' (bad.py, line 3)"}, good={"figure": DRAWN})
    bad, good = OwnFigures(drawer, source)("r1")
    origin = "SHA-256 " + "ab" * 32
    assert bad.drawn()["note"] == ["KeyError: 'x' (bad.py, line 3)", f"drawn by bad.py, {origin}"]
    assert bad.drawn()["figure"]["layout"]["title"]["text"] == "bad"
    assert good.drawn("kept")["note"] == ["said", f"drawn by good.py, {origin}", "kept"]


def test_one_that_exceeds_its_time_is_not_tried_with_the_next_run(source):
    drawer = Drawer(slow=None, good={"figure": DRAWN})
    own = OwnFigures(drawer, source)
    notes = [figure.answer.get("problem") for run in ("r1", "r2") for figure in own(run)]
    late = "no answer within 10 s; it was killed"
    assert notes == [late, None, f"not tried, as with another run: {late}", None]
    assert drawer.asked == [("slow", "r1"), ("good", "r1"), ("good", "r2")]


def test_a_traceback_is_told_by_its_last_line_without_paths(source):
    trace = (
        'Traceback (most recent call last):\n  File "/home/secret/own.py"\nOSError: /home/secret'
    )
    (figure,) = OwnFigures(Drawer(own={"problem": trace}), source)("r1")
    assert figure.answer == {"problem": "OSError: …"}


def test_plug_ins_that_could_not_be_read_are_told_in_their_place(source):
    (figure,) = OwnFigures(Drawer(), source)("r1")
    assert figure.entry["charts"][0]["places"][0]["section"] == "own"
    said = "the plug-ins were not read: no answer within 60 s; it was killed"
    assert figure.drawn()["note"] == [said]


def test_a_microscope_has_none(source):
    assert not [*OwnFigures(Drawer(good={"figure": DRAWN}), source)("m1")]

"""The scalars that a script logs are drawn, a panel for each name."""

from backend.figures import Memory, MemoryRun, draw, note_text
from backend.figures.run.logged import MOST


def source(*names: str) -> Memory:
    made = Memory()
    for number, run in enumerate("ab", 1):
        labels = {"driver": "", "shadows": ["backprop"]}
        made.add_run(run, MemoryRun(number, f"script {run}", labels=labels, steps=40))
        for name in names:
            made.add(run, f"log/{name}", [0, 1], [number, 2.0 * number])
        made.add(run, "train/loss", [0, 1], [1.0, 0.5])
    return made


def test_a_panel_a_name_and_a_line_a_run():
    answer = draw("logged", source("gnorm", "lr/head"), {"runs": "a,b"})
    layout = answer["figure"]["layout"]
    assert [each["text"] for each in layout["annotations"]] == ["gnorm", "lr/head"]
    drawn = [(t["yaxis"], t["y"], t["meta"]["run"]) for t in answer["figure"]["data"]]
    assert drawn == [
        ("y", [1, 2], "a"), ("y2", [1, 2], "a"), ("y", [2, 4], "b"), ("y2", [2, 4], "b"),
    ]  # fmt: skip
    assert {t["line"]["color"] for t in answer["figure"]["data"][:2]} != {
        t["line"]["color"] for t in answer["figure"]["data"][2:]
    }
    assert all("series" in t["meta"] for t in answer["figure"]["data"]), "they grow"


def test_more_names_than_have_room_are_counted():
    answer = draw("logged", source(*(f"s{i}" for i in range(MOST + 3))), {"runs": "a"})
    assert len(answer["figure"]["data"]) == MOST
    assert f"{MOST} of {MOST + 3} scalars" in note_text(answer)


def test_a_run_that_logs_nothing_of_its_own_is_empty():
    assert draw("logged", source(), {"runs": "a"})["count"] == 0

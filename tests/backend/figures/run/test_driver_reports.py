"""What a driver reports of itself is drawn, a panel a quantity."""

from backend.figures import Memory, MemoryRun, draw


def source() -> Memory:
    found = Memory()
    found.add_run("a", MemoryRun(1, "fdfa", labels={"driver": "fdfa", "shadows": []}, steps=40))
    for layer, angle in (("hidden1", 80.0), ("hidden2", 70.0)):
        found.add(
            "a", "estimator/feedback_angle", [0, 16], [angle, angle - 9], layer=layer,
            estimator="fdfa",
        )  # fmt: skip
    found.add("a", "estimator/norm", [0, 1, 2], [1.0, 2.0, float("nan")], estimator="fdfa")
    found.add("a", "cosine", [0], [0.5], estimator="fdfa")
    found.add_run("b", MemoryRun(2, "bare", labels={"driver": "backprop", "shadows": []}, steps=40))
    return found


def test_a_panel_a_quantity_and_a_line_a_layer():
    answer = draw("driver_reports", source(), {"runs": "a"})
    traces = {one["name"]: one for one in answer["figure"]["data"]}
    assert list(traces) == [
        "feedback angle: hidden1",
        "feedback angle: hidden2",
        "norm: whole network",
    ]
    assert traces["feedback angle: hidden2"]["y"] == [70.0, 61.0]
    assert traces["feedback angle: hidden1"]["yaxis"] == "y"
    assert traces["norm: whole network"]["yaxis"] == "y2"
    one, other = (traces[f"feedback angle: hidden{i}"]["line"]["color"] for i in (1, 2))
    assert one != other
    layout = answer["figure"]["layout"]
    assert layout["yaxis"]["title"]["text"] == "feedback angle"
    assert layout["xaxis2"]["matches"] == "x"
    assert answer["count"] == 7
    assert {one["meta"]["series"] for one in traces.values()} == {1, 2, 3}


def test_lines_over_another_axis_do_not_grow():
    answer = draw("driver_reports", source(), {"runs": "a", "x": "examples"})
    assert all("series" not in one["meta"] for one in answer["figure"]["data"])


def test_runs_are_told_apart_and_one_that_reports_nothing_is_empty():
    answer = draw("driver_reports", source(), {"runs": "b,a"})
    assert all(one["line"]["dash"] == "dash" for one in answer["figure"]["data"])
    assert draw("driver_reports", source(), {"runs": "b"})["count"] == 0

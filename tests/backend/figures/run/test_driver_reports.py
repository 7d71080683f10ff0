"""What a driver reports of itself is drawn, a panel a quantity."""

from backend.figures import Memory, MemoryRun, draw, note_text
from backend.figures.run.driver_reports import LINE


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


def test_a_run_keeps_its_dash_and_one_that_reports_nothing_is_empty():
    looks = [
        [
            trace["line"]
            for trace in draw("driver_reports", source(), {"runs": runs})["figure"]["data"]
        ]
        for runs in ("b,a", "a,b")
    ]
    assert looks[0] == looks[1]
    assert draw("driver_reports", source(), {"runs": "b"})["count"] == 0


def guessing(blocks: int, keys: tuple[str, ...], points: int = 2) -> Memory:
    found = Memory()
    found.add_run("a", MemoryRun(1, "guess", labels={"driver": "g", "shadows": []}, steps=40))
    for key in keys:
        for block in range(blocks):
            found.add(
                "a", f"estimator/{key}", range(points), [0.5] * points, layer=f"block{block}",
                estimator="g",
            )  # fmt: skip
    return found


def test_as_many_quantities_as_have_room_for_their_lines_and_any_other_on_demand():
    keys = ("guess_cosine", "guess_difference", "span_cosine", "auxiliary_loss")
    answer = draw("driver_reports", guessing(16, keys), {"runs": "a"})
    assert len(answer["figure"]["data"]) == 32, "two quantities of sixteen blocks"
    assert "2 of 4 quantities: choose another one above" in note_text(answer)
    assert [offered["value"] for offered in answer["meta"]["reports"]] == [*keys]
    answer = draw("driver_reports", guessing(16, keys), {"runs": "a", "report": "span_cosine"})
    assert len(answer["figure"]["data"]) == 16
    axis = answer["figure"]["layout"]["yaxis"]
    assert axis["title"]["text"] == "Cosine of target and span"


def test_quantities_are_offered_by_their_titles_and_those_of_a_plug_in_by_their_keys():
    keys = ("span_cosine", "guess_cosine_by_example", "zero_guesses", "my_angle")
    answer = draw("driver_reports", guessing(1, keys), {"runs": "a"})
    assert [offered["title"] for offered in answer["meta"]["reports"]] == [
        "Cosine of target and span",
        "Cosine of target and guess, by example",
        "Guesses of zero",
        "my angle",
    ]


def test_a_long_title_is_broken_into_lines_that_fit_beside_its_panel():
    keys = ("auxiliary_loss", "projection_cosine_by_example", "auxiliary_share")
    layout = draw("driver_reports", guessing(1, keys), {"runs": "a"})["figure"]["layout"]
    titles = [layout[f"yaxis{at or ''}"]["title"]["text"] for at in ("", 2, 3)]
    assert titles[0] == "Loss of the auxiliary<br>networks (nats)"
    assert all(len(line) <= LINE for title in titles for line in title.split("<br>"))


def test_a_quantity_by_example_says_so():
    answer = draw("driver_reports", guessing(1, ("guess_cosine_by_example",)), {"runs": "a"})
    title = answer["figure"]["layout"]["yaxis"]["title"]["text"]
    assert title == "Cosine of target and<br>guess, by example"


def test_steps_that_ascend_are_a_share_of_all_reports_and_not_of_the_thinned_ones():
    found = guessing(0, ())
    ascends = [1.0 if step % 4 == 0 else 0.0 for step in range(4000)]
    found.add("a", "estimator/ascends", range(4000), ascends, layer="block1", estimator="g")
    answer = draw("driver_reports", found, {"runs": "a", "max": "100"})
    (trace,) = answer["figure"]["data"]
    assert trace["y"][0] == 1.0, "the share of the first report alone"
    assert set(trace["y"][1:]) == {0.25}, "of every 32 reports a quarter"
    assert len(trace["x"]) == 100
    assert "series" not in trace["meta"], "a raw point is no share: it must not be appended"
    assert "mean over the last 32 reports" in note_text(answer)

"""The grid of targets and guesses: who stands where, what is averaged, and what is said."""

import math
from itertools import count

import pytest

from backend.figures import Memory, MemoryRun, draw, note_text
from estimators.statistics.student import half_width

GUESS = {"name": "guess_and_target", "target_loss": "global", "guess": "local", "unit": "tensor"}


class Lab(Memory):
    """A source to which runs are added by what differs."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = count(1)

    def train(self, driver, accuracy=None, *, seed=0, lr=0.1, label="driver", **more) -> str:
        number = next(self.numbers)
        run_id, facts = f"r{number}", more.pop("facts", {})
        status = more.pop("status", "finished")
        config = {
            "name": f"run {number}", "seed": seed, "estimator": driver, "shadows": [],
            "optimizer": {"name": "sgd", "lr": lr}, "batch_size": 32, **more,
        }  # fmt: skip
        labels = {"driver": label, "shadows": []}
        self.add_run(run_id, MemoryRun(number, config["name"], config, labels, status, facts=facts))
        if accuracy is not None:
            self.add(run_id, "test/accuracy", [9], [accuracy])
            self.add(run_id, "validation/accuracy", [0, 9], [0.0, accuracy - 0.1])
        return run_id

    @property
    def ids(self) -> str:
        return ",".join(self._runs)


def cells(drawn, panel=0, key="customdata"):
    """{(target, guess): value} of a panel, None without one."""
    traces = drawn["figure"]["data"][2 * panel : 2 * panel + 2]
    value = traces[0]
    grid = value[key] if key in value else value["meta"][key]
    return {
        (row, column): grid[i][j]
        for i, row in enumerate(value["y"])
        for j, column in enumerate(value["x"])
    }


def grid(lab, **asked):
    return draw("guess_target_grid", lab, {"runs": lab.ids, **asked})


def test_a_run_from_before_a_field_is_averaged_with_those_at_its_default():
    now = {"name": "sgd", "lr": 0.1, "rates": "", "schedule": {"name": "constant", "warmup": 0}}
    before = {"name": "sgd", "lr": 0.1, "schedule": {"name": "constant"}}
    lab = Lab()
    lab.train(GUESS, 0.4, optimizer=before, seed=0)
    lab.train(GUESS, 0.6, optimizer=now, seed=1)
    drawn = grid(lab)
    assert [v for v in cells(drawn, key="z").values() if v is not None] == [0.5]
    lab.train(GUESS, 0.9, optimizer={**now, "rates": "heads: 0.1"}, seed=1)
    assert [v for v in cells(grid(lab), key="z").values() if v is not None] == [0.9]


def test_a_run_is_placed_by_its_configuration_and_not_by_its_label():
    lab = Lab()
    lab.train(GUESS, 0.6, label="guess_and_target(target=local, guess=normal)")
    lab.train({**GUESS, "target_loss": "local", "guess": "normal"}, 0.5)
    drawn = grid(lab)
    assert cells(drawn) == {
        ("global", "local"): 0.6, ("global", "normal"): None,
        ("local", "local"): None, ("local", "normal"): 0.5,
    }  # fmt: skip
    odd = drawn["figure"]["data"][1]
    assert odd["text"] == [["", "no run"], ["no run", ""]]
    assert "no run has this target and guess" in odd["hovertext"][0][1]
    assert cells(drawn, key="links")["local", "normal"] == "r2"
    assert cells(drawn, key="links")["local", "local"] == ""


def test_fields_that_are_absent_have_their_defaults():
    lab = Lab()
    lab.train({"name": "guess_and_target"}, 0.6)
    lab.train({**GUESS, "unit": "output_and_example", "normalise": "auto", "source": "honest"}, 0.8)
    drawn = grid(lab)
    assert len(drawn["figure"]["data"]) == 2, "one panel: the settings are the same"
    assert "older run" in drawn["figure"]["data"][0]["hovertext"][0][0], "and so are their seeds"


def test_defaults_are_those_of_the_estimator():
    from dataclasses import fields

    from backend.figures.guesses.places import DEFAULTS, NAME
    from backend.training.components.index import component_index

    entry = component_index().classes["estimator"].get(NAME)
    if entry is None:
        pytest.skip("the estimator is not registered yet")
    defaults = {field.name: field.default for field in fields(entry)}
    assert {name: defaults[name] for name in DEFAULTS} == DEFAULTS


def test_seeds_are_averaged_with_a_t_interval_and_one_of_a_seed_counts():
    lab, values = Lab(), [0.5, 0.6, 0.9]
    lab.train(GUESS, 0.1, seed=0)  # an older run of the first seed
    for seed, accuracy in enumerate(values):
        lab.train(GUESS, accuracy, seed=seed)
    drawn = grid(lab)
    mean = sum(values) / 3
    assert cells(drawn)["global", "local"] == pytest.approx(mean, rel=1e-15)
    sd = math.sqrt(sum((v - mean) ** 2 for v in values) / 2)
    half = half_width(3) * sd / math.sqrt(3)
    hover = drawn["figure"]["data"][0]["hovertext"][0][0]
    assert f"mean over 3 seeds, 95 % t-interval {mean - half:.3g} … {mean + half:.3g}" in hover
    assert "1 older run of the same seed left out" in hover
    assert cells(drawn, key="links")["global", "local"] == "r2,r3,r4"


def test_a_run_that_diverged_is_counted_and_said():
    lab = Lab()
    lab.train(GUESS, 0.5, seed=0)
    lab.train(GUESS, None, seed=1, status="diverged")
    lab.train({**GUESS, "guess": "normal"}, None, status="diverged")
    drawn = grid(lab)
    value, odd = drawn["figure"]["data"]
    assert value["text"] == [["0.5*", ""]]
    assert "1 of 2 runs without a value: #2 diverged" in value["hovertext"][0][0]
    assert odd["text"] == [["", "diverged"]]
    assert cells(drawn, key="links") == {("global", "local"): "r1", ("global", "normal"): "r3"}
    assert "*: some runs of the cell have no value" in note_text(drawn)


@pytest.mark.parametrize(
    ("field", "one", "other", "heading"),
    [
        ("unit", {"unit": "tensor"}, {"unit": "output_and_example"}, "unit tensor"),
        ("source", {"source": "honest"}, {"source": "oracle"}, "source honest"),
        ("auxiliary", {"auxiliary": "mlp"}, {"auxiliary": "cnn"}, "auxiliary mlp"),
    ],
)
def test_other_fields_of_the_estimator_make_panels(field, one, other, heading):
    lab = Lab()
    lab.train({**GUESS, **one}, 0.5, seed=0)
    lab.train({**GUESS, **other}, 0.7, seed=1)
    drawn = grid(lab)
    assert [cells(drawn, panel)["global", "local"] for panel in (0, 1)] == [0.5, 0.7]
    assert drawn["figure"]["layout"]["annotations"][0]["text"] == heading
    assert "different settings are never averaged" in note_text(drawn)


def test_a_long_heading_is_broken_into_lines_and_not_cut():
    lab = Lab()
    one = {"unit": "tensor", "source": "honest", "auxiliary": "mlp", "auxiliary_norm": "layer"}
    other = {"unit": "output_and_example", "source": "oracle", "auxiliary": "cnn"}
    lab.train({**GUESS, **one}, 0.5, batch_size=32)
    lab.train({**GUESS, **other}, 0.7, batch_size=64)
    layout = grid(lab)["figure"]["layout"]
    heading = layout["annotations"][1]["text"]
    lines = heading.split("<br>")
    assert max(map(len, lines)) <= 48
    assert " ".join(lines) == (
        "unit output_and_example, source oracle, auxiliary cnn, auxiliary_norm none, batch_size 64"
    )
    upper = layout["yaxis"]["domain"], layout["yaxis2"]["domain"]
    pixels = (upper[0][0] - upper[1][1]) * (layout["height"] - 100)
    assert pixels > 16 * len(lines), "the panel above ends before the heading begins"
    meta = grid(lab)["figure"]["data"][2]["meta"]
    assert meta["full"] == " ".join(lines), "for the table, which names the panel"


def test_another_network_or_batch_size_is_another_panel():
    lab = Lab()
    for seed, size in enumerate((32, 64)):
        lab.train(GUESS, 0.5 + seed / 4, seed=seed, batch_size=size)
    drawn = grid(lab)
    assert [cells(drawn, panel)["global", "local"] for panel in (0, 1)] == [0.5, 0.75]
    assert drawn["figure"]["layout"]["annotations"][1]["text"] == "batch_size 64"


def test_of_several_rates_the_best_on_validation_is_shown_and_said():
    lab = Lab()
    lab.train(GUESS, 0.5, lr=0.1)
    better = lab.train(GUESS, 0.4, lr=1.0)
    lab.add(better, "validation/loss", [9], [9.0])
    lab._points[next(s.id for s in lab.series(better) if s.metric == "validation/accuracy")].values[
        -1
    ] = 0.9
    drawn = grid(lab)
    assert cells(drawn)["global", "local"] == 0.4, "by validation, whatever the test says"
    hover = drawn["figure"]["data"][0]["hovertext"][0][0]
    assert "lr 1: best of 2 optimisers by validation accuracy" in hover
    assert "the best on the validation part" in note_text(drawn)


def test_guessing_estimators_are_columns_of_their_own():
    lab = Lab()
    guess = {**GUESS, "guess": "estimator"}
    for alpha, accuracy in ((1, 0.5), (2, 0.7)):
        lab.train({**guess, "guesser": {"name": "stale", "age": alpha}}, accuracy)
    lab.train({**guess, "guesser": {"name": "fdfa"}}, 0.6)
    assert cells(grid(lab)) == {
        ("global", "fdfa"): 0.6, ("global", "stale (age 1)"): 0.5, ("global", "stale (age 2)"): 0.7,
    }  # fmt: skip


def test_long_names_of_columns_are_broken_into_lines():
    lab = Lab()
    for guesser in ("direct_feedback_alignment", "fdfa"):
        lab.train({**GUESS, "guess": "estimator", "guesser": {"name": guesser}}, 0.5)
    axis = grid(lab)["figure"]["layout"]["xaxis"]
    assert axis["tickvals"] == ["direct_feedback_alignment", "fdfa"]
    assert axis["ticktext"] == ["direct_<br>feedback_<br>alignment", "fdfa"]


def test_drivers_of_another_kind_are_listed_below_and_linked():
    lab = Lab()
    lab.train(GUESS, 0.5)
    lab.train({"name": "backprop"}, 0.9, label="backprop", seed=0)
    lab.train({"name": "backprop"}, 0.8, label="backprop", seed=1)
    lab.train({"name": "local_losses"}, 0.7, label="local_losses")
    drawn = grid(lab)
    others = cells(drawn, 1)
    assert others["backprop", "none"] == pytest.approx(0.85, rel=1e-15)
    assert others["local_losses", "none"] == 0.7
    assert cells(drawn, 1, "links")["backprop", "none"] == "r2,r3"


def test_long_names_of_other_drivers_that_begin_alike_are_told_apart():
    lab = Lab()
    lab.train(GUESS, 0.5)
    for pooling in ("mean", "max"):
        driver = {"name": "local_losses", "pooling": pooling}
        lab.train(driver, 0.9, label=f"local_losses(inner=backprop, pooling={pooling})")
    texts = [text for (text,) in grid(lab)["figure"]["data"][2]["text"]]
    assert len({text.partition(":")[0] for text in texts}) == 2


def test_the_caption_says_which_part_of_the_data_an_accuracy_is_of():
    lab = Lab()
    lab.train(GUESS, 0.5)
    assert "colour: test accuracy (fraction)" in note_text(grid(lab, metric="test/accuracy"))


def test_a_run_whose_driver_was_changed_is_left_out_in_words():
    lab = Lab()
    lab.train(GUESS, 0.5)
    lab.train(GUESS, 0.9, seed=1, facts={"drives": [[0, "a"], [40, "b"]]})
    drawn = grid(lab)
    assert cells(drawn)["global", "local"] == 0.5
    assert "#2 is left out: its driver was changed at step 40" in note_text(drawn)


def single() -> Memory:
    """A run whose driver and shadows are guesses, and one shadow of another kind."""
    source = Memory()
    shadows = [{**GUESS, "guess": "normal"}, {"name": "backprop"}]
    labels = {"driver": "one", "shadows": ["two", "backprop"]}
    config = {"estimator": GUESS, "shadows": shadows, "seed": 3}
    source.add_run("r1", MemoryRun(1, "a", config, labels))
    for at, label in enumerate(("one", "two", "backprop")):
        source.add("r1", "cosine", [0, 16], [at / 4, at / 4 + 0.1], estimator=label)
        for block in ("b1", "b2"):
            source.add("r1", "cosine", [0], [0.9], layer=block, estimator=label)
    for block, value in (("b1", 0.25), ("b2", 0.75)):
        source.add("r1", "estimator/guess_cosine", [0], [value], layer=block, estimator="one")
    return source


def test_of_a_single_run_every_estimator_has_a_cell_and_leads_nowhere():
    drawn = draw("guess_target_grid", single(), {"runs": "r1"})
    assert cells(drawn) == {
        ("global", "local"): pytest.approx(0.05, rel=1e-14),
        ("global", "normal"): pytest.approx(0.3, rel=1e-14),
    }
    assert cells(drawn, 1)["backprop", "none"] == pytest.approx(0.55, rel=1e-14)
    assert "links" not in drawn["figure"]["data"][0].get("meta", {})
    source = single()
    source._runs["r1"].config["shadows"].append(
        {**GUESS, "guess": "normal", "target_loss": "local"}
    )
    source._runs["r1"].labels["shadows"].append("three")
    without = draw("guess_target_grid", source, {"runs": "r1"})["figure"]["data"][1]
    assert without["text"] == [["", ""], ["none", "no value"]]
    said = "no estimator of this run has this target and guess"
    assert said in without["hovertext"][1][0]
    assert f"none: {said}" in note_text(draw("guess_target_grid", source, {"runs": "r1"}))
    newest = draw("guess_target_grid", single(), {"runs": "r1", "window": "1"})
    assert cells(newest)["global", "local"] == 0.1


def test_reports_are_averaged_over_blocks_or_read_in_one():
    asked = {"runs": "r1", "metric": "estimator/guess_cosine"}
    drawn = draw("guess_target_grid", single(), asked)
    assert cells(drawn)["global", "local"] == 0.5
    assert "mean over the blocks" in note_text(drawn)
    drawn = draw("guess_target_grid", single(), {**asked, "layer": "b2"})
    assert cells(drawn)["global", "local"] == 0.75
    assert "in b2" in note_text(drawn)


def test_without_such_an_estimator_there_is_nothing_to_draw():
    lab = Lab()
    lab.train({"name": "backprop"}, 0.9)
    assert grid(lab)["count"] == 0


def test_without_an_accuracy_the_rate_of_the_lowest_validation_loss_is_shown():
    lab = Lab()
    for lr, loss in ((0.1, 2.0), (1.0, 1.0), (10.0, 3.0)):
        run_id = lab.train(GUESS, lr=lr)
        lab.add(run_id, "validation/loss", [9], [loss])
        lab.add(run_id, "test/loss", [9], [loss + lr])
    assert cells(grid(lab, metric="test/loss"))["global", "local"] == 2.0

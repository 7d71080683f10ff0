"""Tuning: which trials are next, how a grid widens and halves, and what is chosen and said."""

import itertools
import math
import random

import pytest

from backend.studies.tuning import TuningPlan, choose, next_points, validation_metric

NAN = math.nan


def plan(values=(0.01, 0.1, 1.0), **more) -> TuningPlan:
    given = {"seeds": (100,), "steps": 1000, "higher_is_better": True, "widen": 0, **more}
    return TuningPlan(tuple(values), **given)


def peak(at: float, diverges_from: float = math.inf):
    """An accuracy that falls off by decades on both sides of its best value."""

    def metric(point, fraction=1.0, seed=0):
        value, _ = point
        return NAN if value >= diverges_from else 0.9 - 0.1 * abs(math.log10(value / at))

    return metric


def tuned(made: TuningPlan, metric, shuffle: int | None = None):
    """(results, the batches of trials that were run) until nothing is missing.

    With `shuffle`, one seed of one trial ends at a time, in a random order.
    """
    results, batches, rng = {}, [], random.Random(shuffle)
    while trials := next_points(made, results):
        batches.append(trials)
        assert next_points(made, results) == trials
        runs = [(trial, seed) for trial in trials for seed in trial.seeds]
        for trial, seed in runs if shuffle is None else [rng.choice(runs)]:
            by_point = results.setdefault(trial.fraction, {})
            value = metric(trial.point, trial.fraction, seed)
            by_point.setdefault(trial.point, {})[seed] = validation_metric("validation/a", value)
    return results, batches


def points(batch):
    return [trial.point[0] for trial in batch]


def test_the_best_mean_is_chosen_and_the_curve_tells_all():
    made = plan(seeds=(100, 101))
    noise = {100: 0.1, 101: -0.1}
    results, batches = tuned(made, lambda p, f, s: peak(0.1)(p) + noise[s])
    choice = choose(made, results)
    assert [points(batch) for batch in batches] == [[0.01, 0.1, 1.0]]
    assert (choice.value, choice.also, choice.note, choice.at_edge) == (0.1, None, "", False)
    assert choice.metric == pytest.approx(0.9)
    assert [(p.value, round(p.metric, 9)) for p in choice.curve] == [
        (0.01, 0.8), (0.1, 0.9), (1.0, 0.8),
    ]  # fmt: skip


def test_a_loss_is_the_better_the_smaller_it_is():
    made = plan(higher_is_better=False)
    results, _ = tuned(made, lambda p, f, s: 1 - peak(0.1)(p))
    assert choose(made, results).value == 0.1


def test_a_value_of_which_one_seed_diverged_is_not_chosen():
    made = plan(seeds=(100, 101))
    results, _ = tuned(made, lambda p, f, s: NAN if (p[0], s) == (1.0, 101) else p[0])
    choice = choose(made, results)
    assert (choice.value, choice.note) == (0.1, "the next larger rate diverged")
    assert math.isnan(choice.curve[2].metric)
    assert choice.document()["curve"][2]["metric"] is None


def test_of_equally_good_values_the_smallest_is_chosen_and_the_tie_is_told():
    made = plan()
    results, _ = tuned(made, lambda p, f, s: min(p[0], 0.1))
    choice = choose(made, results)
    assert (choice.value, choice.note) == (0.1, "2 points are equally good: the smallest is taken")


def test_every_rate_diverged():
    made = plan(widen=3)
    results, batches = tuned(made, lambda p, f, s: NAN)
    choice = choose(made, results)
    assert (choice.value, choice.note) == (None, "every rate diverged: try smaller rates")
    assert len(batches) == 1


@pytest.mark.parametrize(
    ("best", "tried", "note"),
    [
        (0.1, [0.01, 0.1, 1.0], ""),
        (1e-4, [1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0], ""),
        (100.0, [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0], ""),
        (
            1e9,
            [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0],
            "best at the edge after 3 more: try larger rates",
        ),
        (
            1e-9,
            [1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0],
            "best at the edge after 3 more: try smaller rates",
        ),
    ],
)
def test_the_grid_widens_while_the_best_lies_at_its_edge(best, tried, note):
    made = plan(widen=3)
    results, batches = tuned(made, peak(best))
    choice = choose(made, results)
    assert [p.value for p in choice.curve] == tried
    assert (choice.note, choice.at_edge) == (note, bool(note))
    assert all(len(batch) == 1 for batch in batches[1:])


def test_a_value_beyond_the_edge_that_is_worse_ends_the_widening():
    made = plan(widen=2)
    metric = {0.01: 0.5, 0.1: 0.2, 1.0: 0.4, 0.001: 0.1, 10.0: 0.6, 100.0: 0.7}
    _, batches = tuned(made, lambda p, f, s: metric[p[0]])
    assert [points(batch) for batch in batches[1:]] == [[0.001]]
    metric |= {0.01: 0.3}
    _, batches = tuned(made, lambda p, f, s: metric[p[0]])
    assert [points(batch) for batch in batches[1:]] == [[10.0], [100.0]]


def test_a_grid_does_not_widen_past_values_that_diverged_nor_past_the_bounds():
    made = plan(widen=3)
    results, batches = tuned(made, peak(1e9, diverges_from=50))
    assert [points(batch) for batch in batches[1:]] == [[10.0], [100.0]]
    assert choose(made, results).note == "the next larger rate diverged"
    made = plan((1e4, 1e5), widen=3)
    results, batches = tuned(made, peak(1e9))
    assert [points(batch) for batch in batches[1:]] == [[1e6]]
    assert choose(made, results).note == "best at the edge after 1 more: no larger rate is allowed"
    made = plan((0.2, 0.4), widen=3, bounds=(0.15, 1.0), field="estimator.sigma")
    results, _ = tuned(made, peak(1e-9))
    assert choose(made, results).note == "best at the edge: no smaller value of sigma is allowed"


def test_a_grid_widens_by_its_own_ratio():
    results, batches = tuned(plan((0.1, 0.2, 0.4), widen=1), peak(9))
    assert points(batches[1]) == [0.8]
    uneven = plan((0.01, 0.03, 0.1), widen=1)
    results, batches = tuned(uneven, peak(9))
    assert points(batches[1]) == pytest.approx([0.1 * 10**0.5], rel=1e-5)
    lone = plan((0.1,), widen=3)
    results, batches = tuned(lone, peak(9))
    assert (len(batches), choose(lone, results).note) == (1, "the only rate")


def test_a_second_field_is_tuned_together_with_the_first():
    made = plan(widen=1, also=(0.5, 0.7, 0.9), also_field="estimator.decay")

    def metric(point, fraction, seed):
        value, decay = point
        # At the edge, one value of the second field diverges: it is not taken further.
        return NAN if (value, decay) == (1.0, 0.9) else peak(5)(point) - abs(decay - 0.7)

    results, batches = tuned(made, metric)
    assert len(batches[0]) == 9
    assert [trial.point for trial in batches[1]] == [(10.0, 0.5), (10.0, 0.7)]
    choice = choose(made, results)
    assert (choice.value, choice.also) == (10.0, 0.7)
    assert choice.note == "best at the edge after 1 more: try larger rates"
    largest = plan(also=(0.5, 0.7), also_field="estimator.decay")
    results, _ = tuned(largest, lambda p, f, s: peak(0.1)(p) + p[1])
    assert choose(largest, results).note == "best at the edge: try larger values of decay"


def test_halving_runs_fewer_points_for_longer():
    made = plan([10.0**k for k in range(-4, 5)], halving=3)
    results, batches = tuned(made, peak(0.1))
    assert [(batch[0].fraction, points(batch)) for batch in batches] == [
        (1 / 9, [10.0**k for k in range(-4, 5)]),
        (1 / 3, [0.01, 0.1, 1.0]),
        (1.0, [0.1]),
    ]
    assert [made.steps_of(fraction) for fraction in made.rungs] == [111, 333, 1000]
    choice = choose(made, results)
    assert (choice.value, choice.note) == (0.1, "")
    assert [p.fraction for p in choice.curve if p.value in (1e-4, 0.01, 0.1)] == [1 / 9, 1 / 3, 1]


def test_halving_keeps_ties_and_drops_what_diverged():
    made = plan([0.1, 0.2, 0.4, 0.8], halving=2)
    metric = {0.1: 0.5, 0.2: 0.9, 0.4: 0.5, 0.8: NAN}
    results, batches = tuned(made, lambda p, f, s: metric[p[0]])
    survivors = [0.1, 0.2, 0.4]
    assert [points(batch) for batch in batches] == [[0.1, 0.2, 0.4, 0.8], survivors, survivors]
    assert choose(made, results).value == 0.2


def test_a_value_that_went_on_and_diverged_at_full_length_is_not_chosen():
    made = plan([0.01, 0.1, 1.0], halving=3)
    results, _ = tuned(made, lambda p, f, s: NAN if (f, p[0]) == (1.0, 1.0) else p[0])
    choice = choose(made, results)
    assert choice.value is None
    assert choice.note == "every rate that went on to 1,000 steps diverged: try smaller rates"


def test_the_last_rung_widens_the_grid_too():
    made = plan([0.1, 1.0, 10.0], halving=3, widen=2)
    # Short runs like the middle: the grid has a value on either side, tried or not.
    _, batches = tuned(made, lambda p, f, s: peak(1.1 if f < 1 else 1e-9)(p))
    assert [(batch[0].fraction, points(batch)) for batch in batches] == [
        (1 / 3, [0.1, 1.0, 10.0]), (1.0, [1.0]),
    ]  # fmt: skip
    # They widen it once; of the two that go on, runs at full length prefer the smaller.
    results, batches = tuned(made, lambda p, f, s: peak(0.09 if f < 1 else 1e-9)(p))
    assert [(batch[0].fraction, points(batch)) for batch in batches] == [
        (1 / 3, [0.1, 1.0, 10.0]), (1 / 3, [0.01]), (1.0, [0.01, 0.1]), (1.0, [0.001]),
    ]  # fmt: skip
    choice = choose(made, results)
    assert (choice.value, choice.note) == (
        0.001, "best at the edge after 2 more: try smaller rates",
    )  # fmt: skip


def test_a_rung_between_the_first_and_the_last_widens_nothing():
    made = plan([10.0**k for k in range(9)], halving=3, widen=1, bounds=(0, 1e9))
    _, batches = tuned(made, lambda p, f, s: peak(1.1e7 if f < 0.2 else 1e99)(p))
    assert [(batch[0].fraction, points(batch)) for batch in batches[1:]] == [
        (1 / 3, [1e6, 1e7, 1e8]), (1.0, [1e8]), (1.0, [1e9]),
    ]  # fmt: skip


def test_short_runs_are_no_shorter_than_ten_steps():
    assert plan([10.0**k for k in range(9)], halving=3, steps=50, bounds=(0, 1e9)).rungs == (
        1 / 3, 1.0,
    )  # fmt: skip


@pytest.mark.parametrize("halving", [1, 2])
def test_the_order_in_which_runs_end_changes_nothing(halving):
    made = plan([0.01, 0.1, 1.0, 10.0], seeds=(100, 101), widen=2, halving=halving, also=("a", "b"))
    rng = random.Random(0)
    noise = {key: rng.gauss(0, 0.02) for key in itertools.product("ab", (100, 101))}

    def metric(point, fraction, seed):
        return peak(20, diverges_from=500)(point) + noise[point[1], seed]

    whole, _ = tuned(made, metric)
    for seed in range(5):
        one_by_one, _ = tuned(made, metric, shuffle=seed)
        assert repr(choose(made, one_by_one)) == repr(choose(made, whole))
        assert {f: set(p) for f, p in one_by_one.items()} == {f: set(p) for f, p in whole.items()}


def test_a_choice_reads_the_tuning_seeds_alone():
    made = plan()
    results, _ = tuned(made, peak(0.1))
    before = choose(made, results)
    for by_seed in results[1.0].values():
        by_seed[0] = validation_metric("validation/accuracy", 1e9)
    assert choose(made, results) == before
    assert next_points(made, results) == []


def test_a_metric_of_the_test_part_is_refused():
    with pytest.raises(ValueError, match="test/accuracy may not choose a value; give a metric of"):
        validation_metric("test/accuracy", 0.9)


def test_before_all_trials_have_ended_the_best_so_far_is_told():
    made = plan(seeds=(100, 101))
    assert choose(made, {}).note == "not finished: 6 runs missing"
    partial = {1.0: {(0.1, None): {100: validation_metric("validation/accuracy", 0.5)}}}
    assert [trial.seeds for trial in next_points(made, partial)] == [(100, 101), (101,), (100, 101)]
    partial[1.0][0.1, None][101] = validation_metric("validation/accuracy", 0.7)
    choice = choose(made, partial)
    assert (choice.value, choice.metric) == (0.1, 0.6)
    assert choice.note == "not finished: 4 runs missing"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"values": (0.1, -1.0)}, "optimizer.lr is -1 in the grid; it must be positive"),
        ({"values": (0.1, NAN)}, "optimizer.lr is nan in the grid"),
        ({"values": (0.1, 2e6)}, "at most 1e\\+06"),
        ({"values": (0.1, 0.1)}, "value 0.1 comes twice"),
        ({"values": ()}, "at least one value and one seed"),
        ({"seeds": ()}, "at least one value and one seed"),
        ({"seeds": (3, 3)}, "seed 3 comes twice"),
        ({"also": ("a", "a")}, "value a comes twice"),
        ({"also": ([1],), "also_field": "estimator.sizes"}, "sizes is .1. in the grid; give"),
        ({"widen": -1}, "widen is -1; it must be at least 0"),
        ({"halving": 0}, "halving is 0; it must be at least 1"),
        ({"steps": 0}, "steps is 0; it must be at least 1"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        plan(**given)

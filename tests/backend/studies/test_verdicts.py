"""Verdicts: paired over seeds, corrected for each other, and said in a sentence."""

import math
import random

import pytest
from scipy import stats

from backend.studies.measure import Measure, measure_of, number
from backend.studies.verdicts import leaderboard, verdicts
from estimators.statistics.several import LEVEL

NAN = math.nan
ACCURACY = measure_of("test/accuracy")
LOSS = measure_of("test/loss")
SCORE = Measure("score", "score", higher_is_better=True)


def seeded(values):
    return dict(enumerate(values))


def around(mean, spread, count=8):
    """Differences of this mean, alternately `spread` above and below it."""
    return [mean + spread * (-1) ** i for i in range(count)]


def against(differences, measure=ACCURACY, base=0.9):
    """The verdict on A against B, whose numbers differ by these; seeds themselves differ more."""
    second = [base + 0.03 * i for i in range(len(differences))]
    first = [y + d for y, d in zip(second, differences, strict=True)]
    (verdict,) = verdicts({"A": seeded(first), "B": seeded(second)}, measure, "B")
    return verdict


def test_the_interval_and_p_are_those_of_the_paired_t_test():
    rng = random.Random(0)
    for count in (2, 3, 8, 40):
        first = [rng.gauss(0, 1) for _ in range(count)]
        second = [0.9 * x + rng.gauss(0.1, 0.3) for x in first]
        (verdict,) = verdicts({"A": seeded(first), "B": seeded(second)}, SCORE)
        exact = stats.ttest_rel(first, second)
        low, high = exact.confidence_interval(0.95)
        assert (verdict.comparison.low, verdict.comparison.high) == pytest.approx((low, high))
        assert verdict.half == pytest.approx((high - low) / 2)
        assert verdict.p == verdict.adjusted_p == pytest.approx(exact.pvalue)


def test_the_joint_interval_is_bonferroni_s():
    rng = random.Random(1)
    values = {label: seeded(rng.gauss(0, 1) for _ in range(6)) for label in "ABCD"}
    for verdict in verdicts(values, SCORE, "A"):
        pairs = [values[label].values() for label in (verdict.first, verdict.second)]
        low, high = stats.ttest_rel(*map(list, pairs)).confidence_interval(1 - LEVEL / 3)
        assert verdict.joint_half == pytest.approx((high - low) / 2)
        assert verdict.joint_half > verdict.half


def test_a_verdict_is_a_sentence():
    assert against(around(0.016, 0.0115)).sentence == (
        "A beats B by 1.6 points, 95 % interval 0.6 to 2.6, 8 paired seeds"
    )
    assert against(around(-0.016, 0.0115)).sentence == (
        "B beats A by 1.6 points, 95 % interval 0.6 to 2.6, 8 paired seeds"
    )
    assert against(around(-0.016, 0.0115), LOSS).sentence == (
        "A beats B by 0.016 nats, 95 % interval 0.006 to 0.026, 8 paired seeds"
    )


def test_what_is_not_decided_says_how_many_more_seeds_it_takes():
    verdict = against(around(0.005, 0.01))
    # The standard deviation is 0.01 · √(8/7).
    deviation = 0.01 * math.sqrt(8 / 7)
    total = next(
        n for n in range(9, 99) if stats.t.ppf(0.975, n - 1) * deviation / math.sqrt(n) < 0.005
    )
    assert verdict.more_seeds == total - 8
    assert verdict.better is None
    assert verdict.sentence == (
        f"not decided between A and B: about {total - 8} more seeds (A is ahead by 0.50 points, "
        "95 % interval −0.39 to 1.39, 8 paired seeds)"
    )
    assert "more than 200 more seeds (A is ahead by" in against(around(0.0005, 0.01)).sentence
    assert "more than 200 more seeds (no difference in 8 paired seeds)" in (
        against(around(0.0, 0.5), SCORE, base=0.0).sentence
    )


@pytest.mark.parametrize(("count", "text"), [(0, "0 paired seeds"), (1, "1 paired seed")])
def test_fewer_than_two_pairs_have_no_interval(count, text):
    verdict = against([0.1] * count)
    assert math.isnan(verdict.half)
    assert math.isnan(verdict.p)
    assert verdict.sentence == f"not decided between A and B: {text}, an interval takes at least 2"
    assert verdict.document()["low"] is None


def test_seeds_that_diverged_are_left_out_of_pairs_and_told():
    differences = around(0.016, 0.0115)
    second = [0.9 + 0.01 * i for i in range(8)]
    first = [y + d for y, d in zip(second, differences, strict=True)]
    without = against(differences)
    more = {"A": seeded([*first, NAN, NAN, 0.5]), "B": seeded([*second, 0.5, NAN, math.inf])}
    (verdict,) = verdicts(more, ACCURACY)
    assert verdict.comparison.pairs == 8
    assert verdict.comparison.low == pytest.approx(without.comparison.low)
    assert verdict.sentence == (
        f"{without.sentence}; 2 seeds left out, where A diverged; "
        "2 seeds left out, where B diverged"
    )
    assert verdict.document()["diverged"] == {"first": [8, 9], "second": [9, 10]}


def test_seeds_are_paired_by_themselves_and_not_by_their_order():
    first, second = {0: 0.1, 1: 0.5, 2: 0.9, 7: 9.0}, {2: 0.8, 1: 0.42, 0: 0.0, 5: 3.0}
    (verdict,) = verdicts({"A": first, "B": second}, SCORE)
    assert verdict.comparison.pairs == 3
    assert verdict.comparison.difference == pytest.approx((0.1 + 0.08 + 0.1) / 3)
    assert verdict.better == "A"


def test_equal_differences_are_judged_by_their_signs():
    five, six = against([0.01] * 5), against([0.01] * 6)
    assert (five.p, six.p) == (2**-4, 2**-5)
    assert five.sentence == (
        "not decided between A and B: about 1 more seed (A is ahead by 1 point at each of 5 "
        "paired seeds)"
    )
    assert six.sentence == "A beats B by 1 point at each of 6 paired seeds"
    assert math.isnan(six.half)
    none = against([0.0] * 6)
    assert (none.p, none.more_seeds) == (1.0, 201)


def test_several_comparisons_are_corrected_together():
    values = {
        "base": seeded([0.0] * 8),
        # p = 0.0019 · 3, 0.018 · 2 and 0.40 by Student's t with 7 degrees of freedom.
        "far": seeded(around(0.8, 0.45)),
        "near": seeded(around(0.55, 0.47)),
        "level": seeded(around(0.15, 0.45)),
    }
    made = verdicts(values, SCORE, "base")
    exact = [stats.ttest_1samp(list(values[v.first].values()), 0).pvalue for v in made]
    assert [v.adjusted_p for v in made] == pytest.approx([3 * exact[0], 2 * exact[1], exact[2]])
    assert [v.better for v in made] == ["far", "near", None]
    assert made[1].sentence.endswith(f"; p = {2 * exact[1]:.2g} by Holm over 3 comparisons")
    two = verdicts({**values, "far": values["level"]}, SCORE, "base")
    # Alone it would be decided; among three it is not, and the sentence does not contradict it.
    assert two[1].p < LEVEL < two[1].adjusted_p
    assert two[1].comparison.low > 0
    # Of three undecided ones, the level that the next has to pass is 0.05 / 3.
    wide = {**values, "far": seeded(around(0.1, 0.5)), "near": seeded(around(0.4, 0.55))}
    undecided = verdicts(wide, SCORE, "base")[1]
    deviation = 0.55 * math.sqrt(8 / 7)
    assert undecided.more_seeds == next(
        n - 8
        for n in range(9, 99)
        if stats.t.ppf(1 - LEVEL / 6, n - 1) * deviation / math.sqrt(n) < 0.4
    )
    assert two[1].sentence.startswith("not decided between near and base: about 1 more seed (")


def test_all_pairs_are_compared_without_a_baseline():
    values = {label: {0: 1.0} for label in "ABC"}
    assert [(v.first, v.second) for v in verdicts(values, SCORE)] == [
        *zip("AAB", "BCC", strict=True)
    ]
    with pytest.raises(ValueError, match="baseline is X; the labels are A, B, C"):
        verdicts(values, SCORE, "X")


def test_intervals_of_five_paired_seeds_hold_the_difference_in_95_of_100_studies():
    rng, trials, held = random.Random(2), 2500, 0
    for _ in range(trials):
        shared = [rng.gauss(0, 3) for _ in range(5)]
        first = seeded(x + rng.gauss(0.5, 1) for x in shared)
        second = seeded(x + rng.gauss(0, 1) for x in shared)
        (verdict,) = verdicts({"A": first, "B": second}, SCORE)
        held += verdict.comparison.low < 0.5 < verdict.comparison.high
    # Four standard errors of a binomial share: unpaired, it is 1.00; by the normal, 0.88.
    assert abs(held / trials - 0.95) < 4 * math.sqrt(0.95 * 0.05 / trials)


def test_one_of_twenty_families_without_a_difference_has_a_false_verdict():
    rng, families, wrong = random.Random(3), 800, 0
    for _ in range(families):
        values = {label: seeded(rng.gauss(0, 1) for _ in range(6)) for label in "ABCDEF"}
        wrong += any(verdict.decided for verdict in verdicts(values, SCORE, "A"))
    # At most, but for four standard errors; without the correction it is about 0.17.
    assert wrong / families < LEVEL + 4 * math.sqrt(LEVEL * (1 - LEVEL) / families)


def test_a_leaderboard_is_sorted_and_says_its_ties():
    values = {
        "worst": seeded(around(0.2, 0.011)),
        "best": seeded(around(0.9, 0.01)),
        "second": seeded([*around(0.895, 0.012)[::-1][:-1], NAN]),
        "lost": {0: NAN, 1: NAN},
        "to come": {},
    }
    board = leaderboard(values, ACCURACY)
    assert [(p.words, p.label, p.tied, p.diverged) for p in board.places] == [
        ("1–2", "best", True, 0), ("1–2", "second", True, 1), ("3", "worst", False, 0),
        ("", "lost", False, 2), ("", "to come", False, 0),
    ]  # fmt: skip
    assert [p.rank for p in board.places] == [1, 1, 3, 4, 5]
    assert board.places[0].half_width == pytest.approx(
        stats.t.ppf(0.975, 7) * 0.01 * math.sqrt(8 / 7) / math.sqrt(8)
    )
    assert board.sentence.startswith(
        "best is first by test accuracy, 90.00 %; places 1–2 are not decided: second may be as "
        "good; not decided between second and best: "
    )
    assert [p.label for p in leaderboard(values, LOSS).places[:3]] == ["worst", "second", "best"]
    assert leaderboard({"A": {}}, LOSS).sentence == "no variant has a test loss yet"
    assert leaderboard({"A": {0: 0.5}}, ACCURACY).sentence == "A is first by test accuracy, 50 %"


def test_a_tie_is_with_the_best_and_not_with_the_neighbour():
    """Each step of a long stair is too small to be decided; the whole stair is not."""
    noise = [0.0, 0.012, -0.009, 0.004, -0.013, 0.008, 0.001, -0.003]
    stair = {
        f"step {at}": seeded(0.9 - 0.012 * at + (-1) ** at * x for x in noise) for at in range(4)
    }
    board = leaderboard(stair, ACCURACY)
    neighbours = verdicts({label: stair[label] for label in ("step 2", "step 3")}, ACCURACY)
    assert not neighbours[0].decided
    assert [(p.label, p.words) for p in board.places] == [
        ("step 0", "1–2"), ("step 1", "1–2"), ("step 2", "3"), ("step 3", "4"),
    ]  # fmt: skip
    assert all(p.against_best.second == "step 0" for p in board.places[1:])


def test_who_is_tied_stands_above_who_is_beaten_by_less():
    """A noisy variant may be the best though its mean is lower than that of a steady one."""
    steady, best = around(0.88, 0.001), around(0.9, 0.001)
    noisy = [0.86 + x for x in (0.1, -0.12, 0.07, -0.05, 0.09, -0.1, 0.02, -0.01)]
    values = {"steady": seeded(steady), "noisy": seeded(noisy), "best": seeded(best)}
    board = leaderboard(values, ACCURACY)
    assert [(p.label, p.words) for p in board.places] == [
        ("best", "1–2"), ("noisy", "1–2"), ("steady", "3"),
    ]  # fmt: skip
    many = {f"v{at}": seeded(noisy[at:] + noisy[:at]) for at in range(8)}
    assert "places 1–8 are not decided: " in leaderboard(many, ACCURACY).sentence
    assert " and 2 more may be as good" in leaderboard(many, ACCURACY).sentence


def test_the_best_of_many_without_a_difference_beats_one_in_at_most_one_of_twenty_families():
    rng, families, wrong = random.Random(5), 800, 0
    for _ in range(families):
        values = {label: seeded(rng.gauss(0, 1) for _ in range(20)) for label in "ABCDEFGHIJ"}
        wrong += any(not place.tied for place in leaderboard(values, SCORE).places)
    # At most, but for four standard errors; with nine comparisons in place of 45 it is about 0.14.
    assert wrong / families < LEVEL + 4 * math.sqrt(LEVEL * (1 - LEVEL) / families)


def test_a_cost_without_noise_is_decided_by_its_number():
    cost = Measure("forwards", "cost", higher_is_better=False, unit="passes", exact=True)
    board = leaderboard({"a": {0: 300.0}, "b": {0: 100.0}, "c": {0: 100.0}}, cost)
    assert [(p.label, p.words) for p in board.places] == [("b", "1–2"), ("c", "1–2"), ("a", "3")]
    assert board.sentence == "b and c share the places 1–2 by cost, 100 passes"
    assert board.places[1].against_best.sentence == "c and b have the same cost"
    assert board.places[2].against_best.sentence == "b beats a by 200 passes"
    decided = leaderboard({"a": {0: 300.0}, "b": {0: 100.0}, "c": {0: 200.0}}, cost)
    assert decided.sentence == (
        "b is first by cost, 100 passes; it beats each of the 2 others; b beats c by 100 passes"
    )


def test_numbers_have_the_digits_that_their_spread_gives_them():
    assert [number(1.2345, s) for s in (10.0, 1.0, 0.34, 0.012, NAN)] == [
        "1", "1.2", "1.23", "1.234", "1.23",
    ]  # fmt: skip
    assert (number(-0.001, 1.0), number(-2.0, 1.0), number(NAN)) == ("0.0", "−2.0", "–")

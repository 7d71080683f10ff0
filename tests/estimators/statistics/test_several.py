"""Student's tails, Holm's correction and the number of pairs against closed forms and scipy."""

import math
import random

import pytest
from scipy import stats

from estimators.statistics.several import LEVEL, holm, next_level, pairs_needed
from estimators.statistics.student import t_quantile, two_sided


@pytest.mark.parametrize("freedom", [1, 2, 3, 7, 30, 255, 1000])
def test_the_two_sided_tail_is_student_s(freedom):
    for t in (0.0, 0.3, -1.0, 2.0, 4.5, 12.0):
        assert two_sided(t, freedom) == pytest.approx(2 * stats.t.sf(abs(t), freedom), abs=1e-14)
    assert two_sided(t_quantile(0.975, freedom), freedom) == pytest.approx(0.05, rel=1e-8)
    assert two_sided(math.inf, freedom) == 0


def test_holm_multiplies_by_what_is_left_and_never_falls():
    # 0.005 · 4, 0.01 · 3, 0.03 · 2, and 0.04 · 1, which is below its predecessor's 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.4]) == pytest.approx([0.8, 0.8])
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


def test_a_comparison_to_come_counts_among_the_others():
    adjusted = holm([0.02, math.nan, 0.3])
    assert adjusted[::2] == pytest.approx([0.06, 0.6])
    assert math.isnan(adjusted[1])


def test_holm_decides_as_its_procedure_does():
    rng = random.Random(0)
    for _ in range(200):
        ps = [rng.random() ** 4 for _ in range(rng.randrange(1, 8))]
        rejected = 0
        for left, p in zip(range(len(ps), 0, -1), sorted(ps), strict=True):
            if p >= LEVEL / left:
                break
            rejected += 1
        adjusted = holm(ps)
        assert (
            sorted(p for p, q in zip(ps, adjusted, strict=True) if q < LEVEL)
            == sorted(ps)[:rejected]
        )
        assert next_level(adjusted) == LEVEL / max(1, len(ps) - rejected)


@pytest.mark.parametrize(
    ("difference", "level"), [(0.5, 0.05), (-0.5, 0.05), (0.21, 0.05), (0.5, 0.0125)]
)
def test_the_pairs_needed_are_the_fewest_whose_interval_excludes_zero(difference, level):
    def half(n):
        return stats.t.ppf(1 - level / 2, n - 1) / math.sqrt(n)

    needed = pairs_needed(difference, 1.0, 4, level, 204)
    assert needed is not None
    assert half(needed) < abs(difference) <= half(needed - 1)


def test_too_many_pairs_are_not_named():
    assert pairs_needed(0.1, 1.0, 4, 0.05, 204) is None
    assert pairs_needed(0.0, 1.0, 4, 0.05, 204) is None
    assert pairs_needed(0.14, 1.0, 4, 0.05, 204) == 199

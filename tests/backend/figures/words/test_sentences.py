"""Sentences of takeaways: their length, plurals, and names that nobody would choose."""

import pytest

from backend.figures.words.names import LONGEST as LONGEST_NAME
from backend.figures.words.names import short_name, short_names
from backend.figures.words.numbers import in_full, percent, times, two_digits
from backend.figures.words.sentences import LONGEST, counted, fitting, joined, too_early, within

HOSTILE = [
    "<script>alert(1)</script>",
    "line\nbreak\ttab\x00nul",
    "a" * 200 + "1",
    "a" * 200 + "2",
    "%{x} & <b>",
    "",
    "spsa",
    "spsa #2",
    "forward_gradient(tangents=4)",
    "forward_gradient(tangents=16)",
    "  spaces  ",
    "mean_of_draws(inner=activity_forward_gradient(noise=rademacher), draws=4)",
    "mean_of_draws(inner=activity_forward_gradient(noise=rademacher), draws=16)",
]


def test_an_estimator_is_named_as_people_write_it():
    assert short_name("direct_feedback_alignment") == "DFA"
    assert short_name("activity_forward_gradient(noise=rademacher)") == "activity FG"
    assert short_name("forward_gradient") == "forward gradient"
    assert short_name("my_own_method") == "my own method"


def test_names_of_one_figure_differ_and_are_short():
    names = short_names(HOSTILE)
    assert len(set(names.values())) == len(HOSTILE)
    assert all(0 < len(name) <= LONGEST_NAME for name in names.values())
    assert all(name.isprintable() for name in names.values())


def test_labels_of_one_kind_keep_what_tells_them_apart():
    names = short_names(["forward_gradient", "forward_gradient(tangents=8)", "backprop"])
    assert names["forward_gradient"] == "forward gradient"
    assert names["forward_gradient(tangents=8)"] == "forward gradient tangents=8"
    assert names["backprop"] == "backprop"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (24_123, "24,000"), (0.96, "0.96"), (-3.14, "−3.1"), (0, "0"), (-0.0, "0"), (10, "10"),
        (99.6, "100"), (2.44e12, "2.4 × 10¹²"), (1e-7, "1 × 10⁻⁷"), (float("nan"), "not a number"),
        (float("inf"), "infinite"), (0.00012, "0.00012"),
    ],
)  # fmt: skip
def test_numbers_have_two_digits(value, text):
    assert two_digits(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.51, "51 %"), (0.005, "0.5 %"), (-0.01, "−1 %"), (1, "100 %"), (0, "0 %"),
        (0.9968, "99.7 %"), (0.99996, "over 99.99 %"), (0.9996, "99.96 %"),
        (-0.9968, "−99.7 %"), (1e-9, "below 0.001 %"), (-1e-9, "about 0 %"),
    ],
)  # fmt: skip
def test_a_share_is_never_said_to_be_all_or_nothing_unless_it_is(share, text):
    assert percent(share) == text


def test_numbers_side_by_side_have_both_digits():
    assert [in_full(v) for v in (2, 1.98, -3.0, 9.99, 0.14, 20)] == [
        "2.0", "2.0", "−3.0", "10", "0.14", "20",
    ]  # fmt: skip


def test_a_ratio_has_its_sign():
    assert times(24_123) == "24,000 ×"


def test_the_first_candidate_that_fits_is_taken_and_ends_in_a_stop():
    assert fitting("x" * 100, "it fits") == "It fits."
    assert fitting("", "") == ""
    cut = fitting("word " * 40)
    assert len(cut) <= LONGEST
    assert cut.endswith("…")


def test_plurals_and_lists():
    assert counted(1, "run") == "1 run"
    assert counted(1024, "run") == "1,024 runs"
    assert counted(2, "branch", "branches") == "2 branches"
    assert joined(["a"]) == "a"
    assert joined(["a", "b", "c"]) == "a, b and c"
    assert too_early(3) == "Too early to say: 3 of 5 probes."
    assert within("head", "DFA is exact") == "In head, DFA is exact"
    assert within("", "DFA is exact") == "DFA is exact"

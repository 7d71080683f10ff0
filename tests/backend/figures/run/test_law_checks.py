"""The law over the honest points, and the check of whether they agree."""

import json

import numpy as np
import pytest

from backend.figures import Memory, MemoryRun, draw, note_text
from backend.figures.data import law_checks
from backend.figures.words import theory
from estimators.statistics.law_check import LawCheck

STEPS = np.arange(0, 320, 16)
LAWS = 30 * 1.01**STEPS


def scattered(law, draws=16, seed=0):
    """What `draws` draws measure of a law, as heavy-tailed as a forward gradient's slopes."""
    rng = np.random.default_rng(seed)
    return law * (rng.standard_normal((draws, len(law))) ** 2).mean(0)


@pytest.fixture
def drawn(empty):
    def draw_it(factor=1.0, **query):
        for label in ("forward_gradient", "spsa"):
            measured = scattered(LAWS) * (factor if label == "spsa" else 1)
            empty.add("r1", "relative_variance", STEPS, measured, estimator=label)
            empty.add("r1", "law/relative_variance", STEPS, LAWS, estimator=label)
        empty.add("r1", "relative_variance", STEPS, LAWS, estimator="fdfa")
        return draw("curve", empty, {"runs": "r1", "metric": "relative_variance", **query})

    return draw_it


def test_the_law_is_dashed_in_the_colour_of_its_points_and_goes_with_them(drawn):
    data = drawn()["figure"]["data"]
    points = next(one for one in data if one["name"] == "spsa")
    law = next(one for one in data if one["name"] == "law of spsa")
    assert law["line"]["dash"] == "dash"
    assert law["line"]["color"] == points["line"]["color"]
    assert (law["legendgroup"], law["showlegend"]) == (points["legendgroup"], False)
    assert np.allclose(law["customdata"], LAWS)
    assert "series" not in points["meta"], "a line with a law check is drawn anew"
    assert "law of fdfa" not in [one["name"] for one in data]


def test_the_check_says_who_agrees_and_who_does_not(drawn):
    note = note_text(drawn(factor=2.0))
    assert "agrees with forward_gradient (" in note
    assert "disagrees (the step is too long for the leading order) with spsa (" in note
    assert "no law for fdfa" in note


def test_few_probes_are_not_judged(drawn):
    assert "not judged before 8 probes: forward_gradient, spsa" in note_text(drawn(last="64"))


def test_where_nothing_has_a_law_nothing_is_said(source):
    asked = {"runs": "r1", "metric": "relative_variance"}
    assert "law" not in note_text(draw("curve", source, asked))


D, DRAWN, PROBED = 20, 16, 150
MEASURED = ("relative_variance", "relative_squared_bias", "relative_mse", "scaled_error", "snr")


def probes(scale: float, law: dict[str, float], d: int = D) -> Memory:
    """Real probes of ĝ = scale (g·v) v, ‖g‖ = 1, as they are recorded, and a law of each."""
    rng = np.random.default_rng(0)
    g = np.ones(d) / d**0.5
    v = rng.standard_normal((PROBED, DRAWN, d))
    draws = scale * (v @ g)[..., None] * v
    dots, squares, mean = draws @ g, (draws**2).sum(2), draws.mean(1)
    trace = ((draws - mean[:, None]) ** 2).sum((1, 2)) / (DRAWN - 1)
    slope2 = dots.mean(1) ** 2 - dots.var(1, ddof=1) / DRAWN
    found = {
        "relative_variance": trace,
        "relative_squared_bias": ((mean - g) ** 2).sum(1) - trace / DRAWN,
        "relative_mse": squares.mean(1) - 2 * dots.mean(1) + 1,
        "scaled_error": 1 - slope2 / squares.mean(1),
        "snr": np.maximum((mean**2).sum(1) - trace / DRAWN, 0) / trace,
        "cosine_mean": mean @ g / np.linalg.norm(mean, axis=1),
    }
    source = Memory()
    labels = {"driver": "it", "shadows": ["bare"]}
    source.add_run("r", MemoryRun(1, config={"probe": {"draws": DRAWN}}, labels=labels))
    for label in ("it", "bare"):
        for name, values in found.items():
            source.add("r", name, np.arange(PROBED), values, estimator=label)
    for name, value in law.items():
        source.add("r", f"law/{name}", np.arange(PROBED), np.full(PROBED, value), estimator="it")
    return source


def verdicts(source: Memory) -> dict[str, str]:
    """Of the whole network, by measure."""
    found = {}
    for name in MEASURED:
        data = draw("law_checks", source, {"runs": "r", "metric": name})["figure"]["data"]
        found[name] = next(one["name"] for one in data if "it" in one["x"])[0]
        assert next(one["name"] for one in data if "bare" in one["x"]) == "– no law"
    return found


def moments(v: float, a: float) -> dict[str, float]:
    """The measures by the law tr Var ĝ = v, Eĝ = a g."""
    b = (1 - a) ** 2
    error = 1 - a**2 / (a**2 + v)
    return dict(zip(MEASURED, (v, b, v + b, error, a**2 / v), strict=True))


def test_every_measure_of_an_unbiased_estimator_agrees_with_what_follows_from_its_variance():
    law = {"relative_variance": D + 1.0, "relative_squared_bias": 0.0}
    assert verdicts(probes(1, law)) == dict.fromkeys(MEASURED, "✓")


@pytest.mark.parametrize("scale", [1 / D, 0.5])
def test_every_measure_of_a_biased_one_agrees_with_its_own_law(scale):
    assert verdicts(probes(scale, moments(scale**2 * (D + 1), scale))) == dict.fromkeys(
        MEASURED, "✓"
    )


def test_a_mean_that_is_lost_in_its_noise_is_not_mistaken_for_a_long_one():
    """The SNR of most probes is then cut at 0, and their ⟨ḡ, g⟩ is told from the cosine."""
    d = 300
    law = moments((d + 1) / d**2, 1 / d)
    assert verdicts(probes(1 / d, law, d)) == dict.fromkeys(MEASURED, "✓")


def test_a_wrong_variance_and_a_wrong_mean_are_seen():
    wrong = verdicts(probes(1, {"relative_variance": 1.4 * (D + 1), "relative_squared_bias": 0.0}))
    assert (wrong["relative_variance"], wrong["relative_mse"]) == ("✗", "✗")
    assert wrong["relative_squared_bias"] == "✓"
    assert set(verdicts(probes(0.5, moments(0.25 * (D + 1), 1.0))).values()) == {"✓", "✗"}
    half = verdicts(probes(0.5, moments(0.25 * (D + 1), 1.0)))
    assert [half[name] for name in ("relative_squared_bias", "scaled_error", "snr")] == ["✗"] * 3


def test_a_derived_law_is_dashed_over_the_curve():
    source = probes(1, {"relative_variance": D + 1.0, "relative_squared_bias": 0.0})
    drawn = draw("curve", source, {"runs": "r", "metric": "scaled_error"})
    law = next(one for one in drawn["figure"]["data"] if one["name"] == "law of it")
    assert np.allclose(law["customdata"], (D + 1) / (D + 2))
    assert "✓ agrees with it (" in note_text(drawn)
    assert "no law for bare" in note_text(drawn)
    without = draw("curve", source, {"runs": "r", "metric": "cosine_mean"})
    assert "law" not in note_text(without)


def test_a_variance_alone_says_nothing_of_the_rest():
    """Runs of before keep it without the bias."""
    source = probes(1, {"relative_variance": D + 1.0})
    assert "law" not in note_text(draw("curve", source, {"runs": "r", "metric": "scaled_error"}))


def looked(said):
    """A microscope's variance, 6 standard errors above its law."""
    config = {"microscope": {"draws": 256, "sweep": None}}
    source = Memory()
    source.add_run("m", MemoryRun(1, config=config, labels={"driver": "it", "shadows": []}))
    rows = {"relative_variance": 1.6, "relative_variance_se": 0.1, "law/relative_variance": 1.0,
            "relative_squared_bias": 0.0, "law/relative_squared_bias": 0.0}  # fmt: skip
    rows |= {} if said is None else {"law_check/relative_variance": said}
    for name, value in rows.items():
        source.add("m", name, [256], [value], estimator="it")
    return source


@pytest.mark.parametrize(("said", "symbol"), [(None, "✗"), (0.0, "✗"), (1.0, "✓")])
@pytest.mark.parametrize("figure", ["law_checks", "measures_table", "convergence"])
def test_every_figure_shows_the_check_on_record(figure, said, symbol):
    query = {"runs": "m"} | ({} if figure == "convergence" else {"metric": "relative_variance"})
    drawn = draw(figure, looked(said), query)
    seen = json.dumps({**drawn, "note": "", "details": ""}, ensure_ascii=False) + note_text(drawn)
    seen = seen.replace("✗ disagrees: the measure differs", "")  # the rule
    other = {"✗": "✓", "✓": "✗"}[symbol]
    words = {
        "law_checks": f"{symbol} it: ",
        "measures_table": f'"{symbol} ',
        "convergence": f"{symbol} law",
    }
    assert words[figure] in seen
    assert words[figure].replace(symbol, other) not in seen


def test_a_measure_that_no_law_speaks_of_says_so():
    source = probes(1, {})
    source.add("r", "cosine", [0], [0.1], estimator="it")
    drawn = draw("law_checks", source, {"runs": "r", "metric": "cosine"})
    assert "no law for it" in note_text(drawn)
    assert "laws exist for relative variance, " in note_text(drawn)


def test_what_is_wrong_is_said_of_those_that_disagree():
    checks = [("a{b}", LawCheck("disagrees")), ("c", LawCheck("agrees"))]
    said = law_checks.words(checks, "too long")
    assert said.endswith("✓ agrees with c; ✗ disagrees (too long) with a{b}")


def test_many_lines_of_one_verdict_are_told_in_one_line_and_listed_on_demand():
    source, labels = Memory(), [f"spsa(pairs={n})" for n in range(2, 18)]
    source.add_run("r1", MemoryRun(1, "a", {}, {"driver": labels[0], "shadows": labels[1:]}))
    for label in labels:
        source.add("r1", "relative_variance", [0, 8], [1.0, 2.0], estimator=label)
        source.add("r1", "law/relative_variance", [0, 8], [1.0, 2.0], estimator=label)
    drawn = draw("curve", source, {"runs": "r1", "metric": "relative_variance"})
    assert drawn["note"] == ["theory is checked from 8 probes on"]
    assert all(label in drawn["details"][0] for label in labels)


def test_the_checks_of_a_chart_are_told_in_one_line():
    checks = [LawCheck("agrees", errors=0.4), LawCheck("agrees", errors=-3.7)]
    assert theory.note(checks) == "✓ theory agrees, 2 of 2, worst 3.7 standard errors"
    wrong = [*checks, LawCheck("disagrees", errors=14.2)]
    assert theory.note(wrong) == "✗ theory disagrees, 1 of 3, worst 14.2 standard errors"
    assert theory.note([law_checks.NO_LAW]) == ""


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        (0.4, "✓ agrees: 0.4 standard errors above"),
        (-3.7, "✓ agrees: 3.7 standard errors below, within the limit"),
    ],
)
def test_a_large_distance_that_is_allowed_is_called_so(errors, words):
    assert law_checks.with_distance(LawCheck("agrees", errors=errors)) == words

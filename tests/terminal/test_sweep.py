"""A sweep as a word of a command, and its curve as a table."""

import io

import pytest
from rich.console import Console

from backend.terminal.sweep import parse_sweep, tabulate
from estimators.statistics.reference import HATCH, HATCH_NOTE

RUN = {
    "id": "r1",
    "labels": {"driver": "spsa", "shadows": ["fdfa[x]"]},
    "config": {"microscope": {"sweep": {"field": "network.width", "values": [8, 16]}}},
}


@pytest.mark.parametrize(
    ("text", "field", "values"),
    [
        ("network.width=16,32", "network.width", [16, 32]),
        (" inner.eps = 0.1, 1.0e-3 ", "inner.eps", [0.1, 0.001]),
        ("noise=normal,sphere", "noise", ["normal", "sphere"]),
        ("greedy=true,false", "greedy", [True, False]),
    ],
)
def test_a_field_and_its_values(text, field, values):
    assert parse_sweep(text) == {"field": field, "values": values}


@pytest.mark.parametrize("text", ["", "width", "width=", "width=1", "=1,2", "w=1,,2", "w=1,[2]"])
def test_what_is_no_sweep_is_refused_in_words(text):
    with pytest.raises(ValueError, match="is not a sweep; write a field and at least two values"):
        parse_sweep(text)


class Lab:
    """Answers as a client does."""

    def __init__(self, floor=0.0):
        self.floor = floor

    def curves(self, run, prefix):
        assert (run, prefix) == ("r1", "sweep/")
        return {
            ("parameters", ""): {8: 1482.0, 16: 3466.0},
            ("relative_variance", "spsa"): {8: 1481.25, 16: 3400.0},
            ("relative_variance_se", "spsa"): {8: 12.0, 16: 30.0},
            ("law/relative_variance", "spsa"): {8: 1481.0, 16: 3465.0},
            ("cosine", "fdfa[x]"): {8: 0.5, 16: 0.25},
            ("exact/norm", ""): {8: 1.0, 16: 1.0},
            ("reference/floor", ""): {8: 0.0, 16: self.floor},
        }

    def note(self, figure, query):
        assert query == {"runs": "r1", "metric": "relative_variance", "against": "parameters"}
        source = "oracle draws, but honest of spsa"
        return (
            f"{source}; slope of spsa: measured 1.00 ± 0.03; x: 2 (± 1 standard error); bars: what"
        )


def test_every_value_has_a_row_with_its_dimension_and_the_law():
    out = io.StringIO()
    tabulate(Lab(), RUN, Console(file=out, width=120))
    said = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert "network.width d relative variance scaled error cosine" in said
    assert "16 3,466 3400 ± 30 (law 3465)" in said
    assert "fdfa[x]" in said
    assert "8 1,482 0.5" in said
    slopes = "slope of spsa: measured 1.00 ± 0.03; x: 2 (± 1 standard error)"
    assert said[-2] == "oracle draws, but honest of spsa; ± is one standard error"
    assert said[-1] == f"relative variance against d, {slopes}"


def test_values_at_which_the_gradient_is_rounding_are_marked():
    out = io.StringIO()
    tabulate(Lab(floor=0.2), RUN, Console(file=out, width=120))
    said = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert f"16 3,466 {HATCH} 3400" in said
    assert f"16 3,466 {HATCH} 0.25" in said
    assert "8 1,482 0.5" in said
    assert HATCH_NOTE in said

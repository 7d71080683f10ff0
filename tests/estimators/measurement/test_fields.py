"""Fields of estimators, varied one at a time."""

from estimators import SPSA, MeanOfDraws
from estimators.measurement.inputs.fields import has, vary


def test_a_whole_number_becomes_what_the_field_holds():
    held = vary(MeanOfDraws(inner=SPSA(eps=0.1)), "inner.eps", 1).inner.eps
    assert (held, type(held)) == (1.0, float)
    assert type(vary(SPSA(), "pairs", 4).pairs) is int


def test_a_field_is_there_or_not():
    assert has(MeanOfDraws(inner=SPSA()), "inner.eps")
    assert not has(SPSA(), "inner.eps")

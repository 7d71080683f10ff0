"""The checks of a law: few draws in every setting, many at the defaults."""

from estimators.conformance.laws import Deviation, deviations, enough, worst
from estimators.conformance.many_draws import MARGIN, ManyDraws
from estimators.conformance.trial import Trial

MAX_DRAWS = 2000
"""Draws after which a check decides, where fewer leave a doubt."""
DOUBT, CERTAIN = 3.5, 20.0
"""Deviations from a law, in standard errors, between which a check takes more draws."""
OFF = 5.0
"""Standard errors from which draws disagree with a law."""


def obeys_its_law(trial: Trial) -> str:
    """Variance and mean of every tensor agree with `law`, within 5 standard errors."""
    law = trial.law
    if law is None:
        return ""
    exact = trial.tensors(trial.exact)
    count = enough(law, exact, trial.few // 2)
    deviation = worst(law, exact, trial.draws(count))
    while DOUBT < deviation.off < CERTAIN and len(trial.draws(count)) == count < MAX_DRAWS:
        count = min(MAX_DRAWS, 3 * count)
        deviation = worst(law, exact, trial.draws(count))
    _assert_lawful(deviation, len(trial.draws(count)))
    return ""


def obeys_its_law_in_many_draws(trial: Trial, many: ManyDraws) -> str:
    """The same, with the draws that see a small deviation."""
    if trial.law is None or many.lawful is None:
        return ""
    found = list(deviations(trial.law, many.lawful))
    _assert_lawful(max(found, key=lambda deviation: deviation.off), many.lawful.count)
    resolution = max(deviation.resolution for deviation in found)
    if not resolution:
        return ""
    return (
        f"on {trial.case.name}, {many.lawful.count:,} draws would have shown a variance "
        f"{max(100 * MARGIN * resolution, 0.01):.2g} % off"
    )


def _assert_lawful(deviation: Deviation, count: int) -> None:
    assert deviation.off <= OFF, (
        f"{deviation.what}: {deviation.off:.1f} standard errors off in {count:,} draws"
    )

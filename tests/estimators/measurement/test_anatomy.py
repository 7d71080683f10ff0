"""Where variance comes from, and what lowers it."""

import pytest
import torch
from torch import nn

from estimators import ActivityForwardGradient, Backprop, Chain, ForwardGradient, Site, stream
from estimators.autodiff.calculus import value_and_grad
from estimators.measurement.anatomy import Anatomies
from estimators.measurement.draws.moments import Moments
from estimators.measurement.draws.nested import Nested, first_examples, part_of, zeros
from estimators.measurement.draws.stream import draws
from estimators.measurement.estimates.anatomy import Anatomy
from estimators.measurement.estimates.anatomy import split_variance as anatomy

BATCH = 8


def network():
    module = nn.Sequential(nn.Linear(3, 4), Site(), nn.Tanh(), nn.Linear(4, 2)).double()
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=stream(0, "init"), dtype=p.dtype))
    return module, {n: p.detach() for n, p in module.named_parameters()}


def batches(count, size, seed=0):
    rng = stream(seed, "data")
    for _ in range(count):
        x = torch.randn(size, 3, generator=rng, dtype=torch.float64)
        yield x, (x.sum(1) + torch.randn(size, generator=rng) > 0).long()


def split_of(estimator, count=80, draws=4):
    module, params = network()
    pairs = list(batches(count, BATCH))
    return anatomy(Chain(module, *pairs[0]), params, estimator, None, pairs, draws)


def test_backprop_has_the_noise_of_the_data_alone():
    module, params = network()
    pairs = list(batches(30, BATCH))
    found = anatomy(Chain(module, *pairs[0]), params, Backprop(), None, pairs, 2)
    each = [value_and_grad(Chain(module, x, y), params)[1] for x, y in pairs]
    rows = torch.stack([torch.cat([g.flatten() for g in one.values()]) for one in each])
    assert found.data[0] == pytest.approx(rows.var(0).sum().item())
    assert found.estimator[0] == pytest.approx(0, abs=1e-20)
    assert found.layers == ("", "0", "3", *params)


@pytest.mark.parametrize("estimator", [ForwardGradient(), ActivityForwardGradient()], ids=str)
def test_the_formula_against_a_simulation(estimator):
    """tr Var of the mean of K draws on a batch of another size, over batches and draws."""
    found = split_of(estimator)
    module, params = network()
    for size, count in ((4, 3), (16, 2)):
        means = []
        for j, (x, y) in enumerate(batches(120, size, seed=1)):
            here = Chain(module, x, y)
            for chunk in draws(here, params, estimator, None, count, seed=2, step=j):
                means.append(torch.cat([g.mean(0).flatten() for g in chunk.values()]))
        simulated = torch.stack(means).var(0).sum().item()
        assert found.variance(size, count) == pytest.approx(simulated, rel=0.3), (size, count)


def test_the_noise_of_examples_falls_with_the_batch_and_that_of_weights_does_not():
    weights, activities = split_of(ForwardGradient()), split_of(ActivityForwardGradient())
    assert weights.fixed[0] > 0.1 * weights.estimator[0]
    assert activities.fixed[0] < 0.25 * activities.estimator[0]


def made(data, estimator, fixed, cost=3.0):
    return Anatomy(("",), 64, 10, 4, (data,), (estimator,), (fixed,), (1.0,), cost)


@pytest.mark.parametrize(
    "parts", [(1.0, 9.0, 9.0), (9.0, 1.0, 0.5), (1.0, 5.0, 0.0), (0.0, 2.0, 2.0)]
)
@pytest.mark.parametrize("budget", [3.0, 30.0, 300.0])
def test_the_best_is_that_of_a_search(parts, budget):
    found = made(*parts)
    advice = found.best(budget)
    n = budget / found.cost * found.batch
    assert advice.batch * advice.draws <= n
    tried = [(min(640, int(n / k)), k) for k in range(1, int(n) + 1) if int(n / k) >= 1]
    least = min(found.variance(b, k) for b, k in tried)
    assert advice.variance == pytest.approx(found.variance(advice.batch, advice.draws))
    assert advice.variance <= 1.02 * least + 1e-12


def test_advice_in_words():
    assert made(1.0, 900.0, 900.0).best(300.0).text.startswith("more draws: ")
    assert made(9.0, 0.5, 0.0).best(300.0).text.startswith("a larger batch: ")
    capped = made(9.0, 0.5, 0.0).best(300.0, largest=128)
    assert capped.batch <= 128
    with pytest.raises(ValueError, match="at least that is needed"):
        made(1.0, 1.0, 1.0).best(0.001)


def test_too_little_to_split_is_refused():
    module, params = network()
    one = next(iter(batches(1, BATCH)))
    chain = Chain(module, *one)
    with pytest.raises(ValueError, match="at least 2 of each"):
        anatomy(chain, params, Backprop(), None, [one], 4)
    with pytest.raises(ValueError, match="one size of at least 2"):
        anatomy(chain, params, Backprop(), None, [one, next(iter(batches(1, 4)))], 4)


D = 10
EXAMPLES = 200


def regression():
    """½(x·w − y)² on a fixed set of examples: (chain, params, x, y)."""
    rng = stream(3, "data")
    x = torch.randn(EXAMPLES, D, generator=rng, dtype=torch.float64)
    y = x.sum(1, keepdim=True) / 3 + torch.randn(EXAMPLES, 1, generator=rng, dtype=torch.float64)
    module = nn.Linear(D, 1, bias=False).double()
    with torch.no_grad():
        module.weight.copy_(torch.linspace(-1, 1, D, dtype=torch.float64))
    params = {n: p.detach() for n, p in module.named_parameters()}
    chain = Chain(module, x, y, lambda o, t: (o - t).square()[:, 0] / 2)
    return chain, params, x, y


def picked(x, y, size, count, seed=0):
    """Batches drawn without replacement from all examples, each anew."""
    rng = stream(seed, "data", size)
    for _ in range(count):
        index = torch.randperm(len(x), generator=rng)[:size]
        yield x[index], y[index]


def test_linear_regression_in_closed_form():
    """D = S² (1/B − 1/N); for normal tangents E = (d + 1)‖g_B‖² on average, so that e₀ and e₁ are
    (d + 1)(‖G‖² − S²/N) and (d + 1) S²/B₀."""
    chain, params, x, y = regression()
    each = x * (x @ params["weight"].T - y)
    whole, squares = each.mean(0), each.var(0).sum().item()
    size = 16
    data = squares * (1 / size - 1 / EXAMPLES)
    fixed = (D + 1) * (whole.square().sum().item() - squares / EXAMPLES)
    falling = (D + 1) * squares / size
    batches = list(picked(x, y, size, 250))
    exact = anatomy(chain, params, Backprop(), None, batches, 2, population=EXAMPLES)
    assert abs(exact.data[0] - data) < 5 * exact.data_se[0]
    assert exact.data_se[0] < 0.1 * data
    normal = ForwardGradient(noise="normal")
    found = anatomy(chain, params, normal, None, batches, 8, population=EXAMPLES)
    assert abs(found.data[0] - data) < 5 * found.data_se[0]
    assert abs(found.estimator[0] - fixed - falling) < 5 * found.estimator_se[0]
    assert found.fixed[0] == pytest.approx(fixed, abs=5 * found.estimator_se[0])
    for b, k in ((64, 2), (4, 3)):
        true = squares * (1 / b - 1 / EXAMPLES) + (fixed + falling * size / b) / k
        assert found.variance(b, k) == pytest.approx(true, rel=0.2)
    assert exact.variance(EXAMPLES, 1) == pytest.approx(0, abs=1e-12)


def test_what_falls_is_told_by_the_part_of_a_batch():
    """E(B) = 3 + 7 B₀/B at B₀ and at an eighth of it."""
    nested = Nested({"w": torch.zeros(2)}, Backprop(), None, 4)
    for _ in range(2):
        moments = Moments(zeros(nested.params))
        moments.add({"w": torch.zeros(2, 2)})
        nested._means.add(moments)
        nested._within.append(torch.tensor([10.0], dtype=torch.float64))
        nested._small.append(torch.tensor([3 + 7 * 8.0], dtype=torch.float64))
    parts = nested.parts(torch.ones(1, 1, dtype=torch.float64), 8.0)
    assert (parts.estimator.item(), parts.fixed.item()) == pytest.approx((10, 3))
    assert parts.variance(0.0, 4.0, 2).item() == pytest.approx((3 + 7 / 4) / 2)
    views = nested.predicted(torch.ones(1, 1, dtype=torch.float64), 0.0, 4.0, 2, 8.0)
    assert views[1].item() == pytest.approx((3 + 7 / 4) / 2)


def test_a_batch_of_everything_has_no_noise_of_the_data():
    chain, params, x, y = regression()
    batches = list(picked(x, y, EXAMPLES, 3))
    found = anatomy(chain, params, Backprop(), None, batches, 2, population=EXAMPLES)
    assert found.data[0] == pytest.approx(0, abs=1e-20)
    assert found.variance(8, 1) == 0  # of a batch of everything nothing can be foretold of others


def test_draws_that_are_not_finite_are_counted_and_left_out():
    class Sometimes(Backprop):
        def estimate(self, objective, params, state, rng, /):
            made = super().estimate(objective, params, state, rng)
            bad = torch.rand((), generator=rng) < 0.25
            return made._replace(grads={n: g / (0 if bad else 1) for n, g in made.grads.items()})

    chain, params, x, y = regression()
    batches = list(picked(x, y, 16, 10))
    found = anatomy(chain, params, Sometimes(), None, batches, 8)
    assert 10 < found.nonfinite < 80
    whole = anatomy(chain, params, Backprop(), None, batches, 8)
    assert found.data[0] == pytest.approx(whole.data[0])
    assert found.estimator[0] == pytest.approx(0, abs=1e-20)


def test_a_part_of_a_batch_keeps_views_together():
    t = torch.arange(12)  # two views of six examples
    assert first_examples(t, 4, views=2).tolist() == [0, 1, 6, 7]
    assert first_examples(t, 4).tolist() == [0, 1, 2, 3]
    assert [part_of(n, least) for n, least in ((64, 1), (8, 2), (3, 1), (4, 2))] == [8, 2, 1, 2]


def unsure(data, fixed, data_se, fixed_se, batches=16, estimator=9.0, **more):
    return Anatomy(
        ("",), 64, batches, 4, (data,), (estimator,), (fixed,), (1.0,), 3.0, data_se=(data_se,),
        estimator_se=(0.1,), fixed_se=(fixed_se,), **more,
    )  # fmt: skip


def test_advice_within_its_noise_is_not_given():
    """D = 0.19 ± 4.9 says nothing of where it is spent best; ± 0.01 does."""
    lost = unsure(0.19, 9.0, 4.9, 8.0, population=10_000).best(60.0).text
    assert lost.startswith("undecided: ")
    assert "more batches" in lost
    told = unsure(0.19, 9.0, 0.01, 0.1, population=10_000).best(60.0).text
    assert told.startswith("more draws: ")
    # What a single batch's noise cannot tell: no error is known of two batches' D.
    two = unsure(5.0, 0.1, float("nan"), 0.1, batches=2, population=10_000).best(60.0).text
    assert two.startswith("undecided: ")


def test_the_advice_is_the_same_or_none_over_seeds():
    module, params = network()
    said = set()
    for seed in range(12):
        pairs = list(batches(9, BATCH, seed))
        chain = Chain(module, *pairs[0])
        found = anatomy(chain, params, ForwardGradient(), None, pairs, 4, seed, population=10_000)
        said.add(found.best(2 * found.cost).text.partition(":")[0])
    assert len(said - {"undecided"}) <= 1, said


def test_no_batch_is_advised_beyond_what_was_given():
    best = made(9.0, 0.0, 0.0).best(3000.0)
    assert best.batch == 640
    assert "no more than the 640 that were given" in best.text
    assert unsure(9.0, 0.0, 0.1, 0.1, population=5000).best(3000.0).batch == 5000


def test_one_is_no_plural():
    one = Anatomy(("",), 1, 10, 4, (1.0,), (9.0,), (9.0,), (1.0,), 3.0, population=1)
    assert "1 example, " in one.best(30.0).text
    assert made(9.0, 0.0, 0.0).best(6.0).text == "a larger batch: 128 examples, 1 draw"


def test_lost_draws_and_the_limit_are_in_the_table():
    found = Anatomies({"bad": Anatomy(
        ("",), 8, 10, 4, (1.0,), (9.0,), (9.0,), (1.0,), 3.0, nonfinite=7
    )})  # fmt: skip
    text = str(found)
    assert "7 draws of bad not finite and left out" in text
    assert "no batch is advised beyond the 80 examples given" in text

"""A plug-in in one file offers batched draws, and `check` finds what is wrong with them."""

import textwrap

import pytest
import torch

from estimators import ForwardGradient, stream
from estimators.conformance import CHECKS, Trial, cases, check
from estimators.core.contract import batched_draws_of
from estimators.measurement.draws.stream import draws
from estimators.registry import load_file

PLUGIN = '''
"""A forward gradient along signs, by central differences of the loss."""

from dataclasses import dataclass

import torch

from estimators import Claim, Cost, Estimate, Estimator, Objective


@dataclass(frozen=True)
class SignDifferences(Estimator[Objective, None]):
    """ĝ = [L(θ + ε v) − L(θ − ε v)] / 2ε · v, with v of signs."""

    eps: float = 1e-3
    """ε."""

    def claim(self, objective):
        return Claim.BIASED

    def cost(self, objective):
        return Cost(forwards=3)

    def estimate(self, objective, params, state, rng):
        v = {n: self._signs(p, rng) for n, p in params.items()}
        c = self._slope(objective, params, v)
        return Estimate({n: c * v[n] for n in v}, objective(params))

    def batched_draws(self, objective, params, state, exact, rng):
        if exact is not None:
            return None

        def batch(count):
            each = []
            for _ in range(count):
                v = {n: self._signs(p, rng) for n, p in params.items()}
                each.append((v, self._slope(objective, params, v)))
            return {n: torch.stack([c * v[n] for v, c in each]) for n in params}

        return batch

    def _signs(self, p, rng):
        return torch.randint(2, p.shape, generator=rng).to(p.dtype) * 2 - 1

    def _slope(self, objective, params, v):
        forward, backward = (
            objective({n: p + eps * v[n] for n, p in params.items()})
            for eps in (self.eps, -self.eps)
        )
        return ((forward - backward) / (2 * self.eps)).detach()
'''

WRONG = {
    "the sign": ("torch.stack([c * v[n]", "torch.stack([-c * v[n]", "is the negative of the draw"),
    "the order of the noise": (
        "        def batch(count):",
        "        self.estimate(objective, params, state, rng)\n\n        def batch(count):",
        "draw 1 is draw 2 of estimate: it must use the noise in the same order",
    ),
    "noise that restarts with each batch": (
        "            each = []",
        "            each = []\n            rng.manual_seed(0)",
        "from the draw that estimate makes of the same noise",
    ),
    "one draw too few": (
        "for _ in range(count)",
        "for _ in range(max(count - 1, 1))",
        "was asked for 3 draws and gives",
    ),
    "the scale": (
        "torch.stack([c * v[n]",
        "torch.stack([1.001 * c * v[n]",
        "they must agree up to rounding",
    ),
    "what is not finite": (
        "torch.stack([c * v[n]",
        "torch.stack([torch.nan_to_num(c * v[n])",
        "is not finite in other entries",
    ),
    "a missing tensor": (
        "for v, c in each]) for n in params}",
        "for v, c in each]) for n in list(params)[1:]}",
        "batched_draws gives the names",
    ),
    "the type": ("for v, c in each])", "for v, c in each]).float()", "as torch.float32, not"),
}


def plugin(folder, text=PLUGIN):
    file = folder / "sign_differences.py"
    file.write_text(textwrap.dedent(text))
    (cls,) = load_file(file)["estimator"]
    return cls


def batches_check(estimator):
    CHECKS["batches its draws"](Trial(estimator, cases()[0]))


def test_a_plug_in_in_one_file_offers_batched_draws(tmp_path):
    cls = plugin(tmp_path)
    assert all(verdict.passed for verdict in check(cls)), check(cls)


@pytest.mark.parametrize("bug", WRONG)
def test_a_planted_bug_is_named_in_a_sentence(tmp_path, bug):
    right, wrong, sentence = WRONG[bug]
    assert right in PLUGIN
    with pytest.raises(AssertionError, match=sentence):
        batches_check(plugin(tmp_path, PLUGIN.replace(right, wrong))())


def test_a_wrong_projection_is_named_in_a_sentence(tmp_path):
    projecting = PLUGIN.replace(
        "        if exact is not None:\n            return None\n",
        "        project = exact is not None\n",
    ).replace(
        "each.append((v, self._slope(objective, params, v)))",
        "c = sum((exact[n] * v[n]).sum() for n in v) if project else "
        "self._slope(objective, params, v)\n                each.append((v, c))",
    )
    with pytest.raises(AssertionError, match=r"\(projected\).*they must agree up to rounding"):
        batches_check(plugin(tmp_path, projecting)(eps=0.5))  # its bias is what a projection lacks


def test_the_measurement_uses_the_batches(tmp_path):
    cls = plugin(tmp_path)
    case, sizes = cases()[0], []

    class Counted(cls):
        def batched_draws(self, *args):
            batch = super().batched_draws(*args)
            return lambda count: sizes.append(count) or batch(count)

    chunks = list(draws(case.chain, case.params, Counted(), None, 20, chunk=8))
    assert sizes == [8, 8, 4]
    single = draws(case.chain, case.params, ForwardGradient(), None, 1)
    assert {n: t.shape for n, t in chunks[2].items()} == {
        n: (4, *t.shape[1:]) for n, t in next(single).items()
    }


@pytest.mark.parametrize("method", ["estimate", "oracle"])
def test_a_subclass_with_other_draws_does_not_inherit_the_batches(method):
    changed = type("Changed", (ForwardGradient,), {method: lambda self, *args: None})
    unchanged = type("Unchanged", (ForwardGradient,), {"title": "Other"})
    case = cases()[0]
    asked = case.chain, case.params, None, None, stream(0, "estimator")
    assert batched_draws_of(changed(), *asked) is None
    assert batched_draws_of(unchanged(), *asked) is not None


def test_batches_are_computed_without_a_graph():
    case = cases()[0]
    params = {n: p.clone().requires_grad_() for n, p in case.params.items()}
    batch = batched_draws_of(
        ForwardGradient(), case.chain, params, None, None, stream(0, "estimator")
    )
    assert batch is not None
    assert not any(t.requires_grad for t in batch(2).values())
    assert torch.is_grad_enabled()

"""Local losses around any estimator, after Ren et al. (2022)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import torch
from torch import Generator, Tensor

from estimators.autodiff.calculus import value_and_grad
from estimators.auxiliary.local_loss import LocalLossName
from estimators.auxiliary.networks import AuxiliaryNorm
from estimators.core.bounds import Ge, Gt, Le, Unit, UsedIf
from estimators.core.contract import (
    Claim,
    Cost,
    Coverage,
    Estimate,
    Estimator,
    Law,
    Need,
    Params,
    Signals,
    UnsupportedError,
)
from estimators.core.laws import mean_of
from estimators.core.objective import Chain
from estimators.core.optimizers import adam, adam_state
from estimators.core.structure import PerNetwork
from estimators.core.wrapper import Wrapping, unwrapped
from estimators.local._heads import HeadName, MadeHeads
from estimators.local._plan import Plan, plan
from estimators.local.blocks import Block, HeadChain, LocalChain
from estimators.perturbation.activity_forward_gradient import ActivityForwardGradient
from estimators.requirements import require

State = dict[str, Any]
"""heads and their moments, where the network has none; the inner states, one for each segment."""

Rule = Callable[[int, LocalChain, Params], Mapping[str, Tensor]]
"""(segment, its local objective, its parameters) -> a gradient."""


_SEPARATES_UNITS = PerNetwork[bool]()
"""Whether an inner estimator, by its fields, derives a loss along noise at sites."""

_HEADS_ARE_EXACT = PerNetwork[bool]()
"""Whether an inner estimator, by its fields, differentiates the heads of a segment exactly."""


class Sweep(NamedTuple):
    """The outcome of one pass over the segments."""

    grads: dict[str, Tensor]
    heads: dict[str, Tensor]
    """Of the heads that are made."""
    local: dict[str, Tensor]
    """The local losses, by block."""
    loss: Tensor
    """The network's own loss."""


@dataclass(frozen=True)
class LocalLosses(Estimator[Chain, State]):
    """Gives each block a loss of its own, and estimates its gradient with any estimator.

    ĝ_b is the inner estimate of ∇_b Σ_c ℓ(head_c(h_c), y), with h_c the output of block c. Heads
    and the last stage, which reads a detached activation, get exact gradients. For a network
    without heads they are made: linear ones or auxiliary networks, which are trained by Adam, drawn
    anew for each estimate, or fixed.

    Use it to make estimators scale to deeper networks: their variance grows with the perturbed
    units and the depth between a unit and its loss, and both are smaller within a block.

    The claim of the inner estimator, about the local losses and not about the network's; biased
    where heads are drawn anew. Costs what the inner estimator costs, a forward pass and the passes
    of auxiliary networks, and stores the activations of one stage if it is greedy.

    Source: Ren, Kornblith, Liao and Hinton (2022), arXiv:2210.03310; greedy learning with auxiliary
    heads: Belilovsky, Eickenberg and Oyallon (2020), arXiv:1901.08164; heads drawn anew or fixed:
    Fournier, Rivaud, Belilovsky, Eickenberg and Oyallon (2023), arXiv:2306.06968.

    Example:
        >>> estimator = LocalLosses(inner=ActivityForwardGradient(tangents=4))
        >>> measured = measure(net, loss, batch, [estimator])
    """

    inner: Estimator = ActivityForwardGradient()  # noqa: RUF009, it is frozen
    """The estimator that works on the local losses."""
    greedy: bool = True
    """On (LG-): gradients stop between blocks. Off (L-): they flow through all blocks."""
    patchwise: bool = True
    """A loss for each patch, where the network's heads name patches and inner perturbs sites
    without bias."""
    groupwise: bool = True
    """A loss for each group of channels, where heads name groups and inner perturbs sites without
    bias."""
    head_rate: Annotated[float, Gt(0), Le(10), UsedIf(heads="trained")] = 1e-3
    """Learning rate (Adam) of the heads that are made for a network that brings none."""
    auxiliary: HeadName = "pooled_linear"
    """The heads that are made: a linear map of the mean over the places of an image (of each
    position, where each has an output), or an auxiliary network: a linear map of its 2x2 pooled
    places, an MLP of three hidden layers, or a CNN of four convolutions."""
    auxiliary_width: Annotated[
        int, Ge(1), Le(4096), Unit("channels"), UsedIf(auxiliary=("mlp", "cnn"))
    ] = 32
    """Channels of an auxiliary CNN, features of an auxiliary MLP."""
    auxiliary_norm: AuxiliaryNorm = "layer"
    """Normalisation of each layer in auxiliary networks; that of the batch couples examples."""
    heads: Literal["trained", "redrawn", "fixed"] = "trained"
    """Whether heads that are made are trained, drawn anew for each estimate (the NTK guess of
    Fournier et al.), or drawn once and left as they are (fixed NTK)."""
    local_loss: LocalLossName = "prediction"
    """The loss of heads that are made: the network's own, or 1 % of it and 99 % of a similarity
    matching between features and classes (pred-sim)."""

    def claim(self, objective: Chain, /) -> Claim:
        if self._redraws(objective):
            return Claim.BIASED
        claims = {self.inner.claim(segment) for segment in self._plan(objective).segments}
        return max(claims, key=list(Claim).index)

    def needs(self) -> tuple[Need, ...]:
        return tuple(dict.fromkeys((Need.DIFFERENTIABLE, Need.STAGES, *self.inner.needs())))

    def check(self, objective: Chain, params: Params, /) -> None:
        if not self.greedy and Need.STAGES in self.inner.needs():
            raise UnsupportedError(
                "signals sent past blocks and local losses that flow through them exclude each "
                "other: make it greedy, or choose an inner estimator without direct feedback"
            )

        def ask(i: int, local: LocalChain, own: Params) -> Params:
            try:
                require(self.inner, local, own)
            except UnsupportedError as error:
                where = self._plan(objective).members[i][0].name
                text = f"{where} with a head of its own: {error}"
                raise UnsupportedError(text, network=error.network) from error
            return {}

        if frozen := [n for n, _ in objective.module.named_parameters() if n not in params]:
            raise UnsupportedError(
                f"local losses train every block, and {frozen[0]} is frozen: let it learn, or "
                "leave what is frozen out of the network and give its output as the data"
            )
        heads = self._plan(objective).blank_heads()
        self._sweep(objective, params, heads, ask)

    def cost(self, objective: Chain, /) -> Cost:
        inner = self.inner.cost(objective)
        stored = "one stage" if self.greedy and inner.stored == "all" else inner.stored
        # Inner's passes go through the heads; the loss that is reported, or their own gradient,
        # takes another. Linear heads are small.
        small = (self.auxiliary, self.local_loss) == ("pooled_linear", "prediction")
        more = 1 if small else 1 + self._plan(objective).share_of_heads
        return Cost(more * (inner.forwards + 1), more * inner.jvps, more * inner.vjps, stored)

    def coverage(self, objective: Chain, params: Params, /) -> dict[str, Coverage]:
        coverage: dict[str, Coverage] = dict.fromkeys(params, "exact")
        drawn = self._redraws(objective)

        def ask(i: int, local: LocalChain, own: Params) -> Params:
            covered = self.inner.coverage(local, own)
            for block in self._members(objective, i):
                noisy = drawn and not block.brought
                for name in block.own:
                    exact = covered[name] == "exact"
                    coverage[name] = "estimated" if exact and noisy else covered[name]
            return {}

        self._sweep(objective, params, self._plan(objective).blank_heads(), ask)
        return coverage

    def init(self, objective: Chain, params: Params, rng: Generator, /) -> State:
        heads = self._plan(objective).first_heads(rng)
        inner: list[Any] = []

        def begin(_: int, local: LocalChain, own: Params) -> Params:
            inner.append(self.inner.init(local, own, rng))
            return {}

        self._sweep(objective, params, heads, begin)
        kept = {} if self.heads == "redrawn" else heads
        moments = adam_state(kept if self.heads == "trained" else {})
        return {"heads": kept, "moments": moments, "inner": tuple(inner)}

    def estimate(
        self, objective: Chain, params: Params, state: State, rng: Generator, /
    ) -> Estimate:
        estimates: list[Estimate] = []
        heads = self._heads(objective, state, rng)

        def estimate(i: int, local: LocalChain, own: Params) -> Params:
            estimates.append(self.inner.estimate(local, own, state["inner"][i], rng))
            return estimates[-1].grads

        sweep = self._sweep(objective, params, heads, estimate)
        after = self._trained(state, sweep.heads, tuple(e.state for e in estimates))
        infos = [dict(e.info) for e in estimates]
        return Estimate(sweep.grads, sweep.loss, after, self._info(objective, sweep, infos))

    def signals(
        self, objective: Chain, params: Params, state: State, rng: Generator, /
    ) -> Signals | None:
        """Inner's signals at the end of each block: of backprop, ∂ℓ_b/∂h_b if it is greedy."""
        values: dict[str, Tensor] = {}
        sent: list[Signals | None] = []
        heads = self._heads(objective, state, rng)

        def ask(i: int, local: LocalChain, own: Params) -> Params:
            sent.append(self.inner.signals(local, own, state["inner"][i], rng))
            if sent[-1] is not None:
                ends = (block.stages[-1] for block in self._members(objective, i))
                values.update({end: sent[-1].values[end] for end in ends})
            return {}

        sweep = self._sweep(objective, params, heads, ask)
        arrived = [s for s in sent if s is not None]
        if len(arrived) < len(sent):
            return None
        after = self._trained(state, sweep.heads, tuple(s.state for s in arrived))
        infos = [dict(s.info) for s in arrived]
        return Signals(values, after, self._info(objective, sweep, infos))

    def target(self, objective: Chain, params: Params, state: State, /) -> Params | None:
        """The exact gradient of the local losses; None where heads are drawn for each estimate."""
        if self._redraws(objective):
            return None

        def exact(i: int, local: LocalChain, own: Params) -> Params:
            aim = self.inner.target(local, own, state["inner"][i])
            return value_and_grad(local, own)[1] if aim is None else aim

        return self._sweep(objective, params, state["heads"], exact).grads

    def law(self, objective: Chain, params: Params, state: State, exact: Params, /) -> Law | None:
        """The inner estimator's law on each segment, with the exact gradient of its own loss."""
        if self._redraws(objective):
            return None
        laws: list[Law | None] = []
        variance: dict[str, float | None] = {}

        def ask(i: int, local: LocalChain, own: Params) -> Params:
            here = value_and_grad(local, own)[1]
            law = self.inner.law(local, own, state["inner"][i], here)
            laws.append(law)
            if law is None:
                return here
            trunks = [name for block in self._members(objective, i) for name in block.own]
            variance.update({name: law.variance.get(name) for name in trunks})
            return mean_of(law, here)

        mean = self._sweep(objective, params, state["heads"], ask).grads
        if None in laws:
            return None
        # Heads and the last stage, which no inner estimator works on, are exact.
        all_variances = {name: variance.get(name, 0.0) for name in mean}
        with_law = {name: v for name, v in all_variances.items() if v is not None}
        return Law(with_law, mean, max(law.note for law in laws if law))

    def advance(self, objective: Chain, params: Params, state: State, rng: Generator, /) -> State:
        trains = self.heads == "trained" and bool(state["heads"])
        if not trains and type(self.inner).advance is Estimator.advance:
            return state
        after: list[Any] = []
        heads = self._heads(objective, state, rng)

        def step(i: int, local: LocalChain, own: Params) -> Params:
            after.append(self.inner.advance(local, own, state["inner"][i], rng))
            return {}

        sweep = self._sweep(objective, params, heads, step)
        return self._trained(state, sweep.heads, tuple(after))

    # --- how it goes through the network ---

    def _plan(self, objective: Chain) -> Plan:
        wanted = {"patch": self.patchwise, "group": self.groupwise}
        per = tuple(unit for unit, on in wanted.items() if on)
        per = per if self._separates_units(objective) else ()
        return plan(objective, self.greedy, per, self._made)

    @property
    def _made(self) -> MadeHeads:
        return MadeHeads(self.auxiliary, self.auxiliary_width, self.auxiliary_norm, self.local_loss)

    def _redraws(self, objective: Chain) -> bool:
        """Whether an estimate draws heads."""
        return self.heads == "redrawn" and bool(self._plan(objective).made())

    def _heads(self, objective: Chain, state: State, rng: Generator) -> Params:
        """The heads of an estimate that are not the network's own."""
        if self._redraws(objective):
            return self._plan(objective).first_heads(rng)
        return state["heads"]

    def _separates_units(self, objective: Chain) -> bool:
        """Whether inner takes derivatives of the losses along noise at sites.

        To other estimators all units have the same loss. Finite differences do not separate the
        units either: the replicas of a loss differ in their derivatives alone.
        """

        def perturbs_without_bias() -> bool:
            first = plan(objective, self.greedy, (), self._made).segments[0]
            perturbs = Need.SITES in self.inner.needs() and bool(first.places)
            return perturbs and self.inner.claim(first) is Claim.UNBIASED

        return _SEPARATES_UNITS.get_or_make(
            objective, (repr(self.inner), self.greedy, self._made), perturbs_without_bias
        )

    def _members(self, objective: Chain, i: int) -> tuple[Block, ...]:
        return self._plan(objective).members[i]

    def _sweep(self, objective: Chain, params: Params, made: Params, rule: Rule) -> Sweep:
        """`rule` on each segment in turn, whose input is the output of the one before."""
        parts, x, y = self._plan(objective), objective.x, objective.y
        heads = {n: made[n] if n in made else params[n] for b in parts.blocks for n in b.names}
        grads: dict[str, Tensor] = {}
        local: dict[str, Tensor] = {}
        for i, (segment, members) in enumerate(zip(parts.segments, parts.members, strict=True)):
            mine = {n: heads[n] for block in members for n in block.names}
            theta = {n: params[n] for block in members for n in block.own}
            here = segment.at(x, y, mine, theta)
            grads |= rule(i, here, self._own(here, theta, mine))
            for place, block in enumerate(members):
                x = _output(block, x, y, params) if here.outputs is None else here.outputs[place]
                learnt = block.brought or self.heads == "trained"
                given = block.names[0] in grads and not isinstance(self.inner, Wrapping)
                if given or not learnt:
                    # Inner has the head's gradient; a wrapper would have clipped or delayed it.
                    local[block.name] = block.loss(x, heads, y)
                else:
                    local[block.name], exact = block.head_gradient(x, heads, y)
                    grads |= exact
        last = parts.readout.on(x, y)
        loss, exact = value_and_grad(
            last, {n: params[n] for n, _ in last.module.named_parameters()}
        )
        grads |= exact
        return Sweep(
            {n: g for n, g in grads.items() if n not in made},
            {n: g for n, g in grads.items() if n in made},
            local,
            loss,
        )

    def _own(self, here: LocalChain, theta: Params, heads: Params) -> Params:
        """The segment's parameters, heads included if inner differentiates them exactly.

        An estimator that perturbs parameters does not get the heads, whose noise would reach all
        blocks. To one that sends signals through layers a head is a layer, wrapped or not.
        """
        if not isinstance(here, HeadChain):
            return theta
        full = {**theta, **heads}

        def are_exact() -> bool:
            covered = unwrapped(self.inner).coverage(here, full)
            return all(covered[n] == "exact" for n in heads)

        return full if _HEADS_ARE_EXACT.get_or_make(here, repr(self.inner), are_exact) else theta

    def _trained(self, state: State, grads: Params, inner: tuple[Any, ...]) -> State:
        if self.heads != "trained":
            return {**state, "inner": inner}
        heads, moments = adam(state["heads"], grads, state["moments"], self.head_rate)
        return {"heads": heads, "moments": moments, "inner": inner}

    def _info(self, objective: Chain, sweep: Sweep, infos: list[dict[str, Any]]) -> dict[str, Any]:
        """The local losses, and inner's reports on each segment, by the block's name."""
        merged: dict[str, dict[str, Tensor]] = {"local_loss": sweep.local}
        for i, info in enumerate(infos):
            block = self._members(objective, i)[0].name
            for key, value in info.items():
                by_layer = value if isinstance(value, Mapping) else {block: value}
                merged.setdefault(key, {}).update(by_layer)
        return merged


@torch.no_grad()
def _output(block: Block, x: Tensor, y: Tensor, params: Params) -> Tensor:
    return block.trunk.on(x, y).forward({n: params[n] for n in block.own})

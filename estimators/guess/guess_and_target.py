"""Guesses and targets of Fournier et al. (2023)."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Generator, Tensor

from estimators.autodiff.block_pass import BlockPass, names_in, parts_of, refuse_tied
from estimators.autodiff.calculus import coverage_between, cut_at_stages
from estimators.auxiliary.local_loss import LocalLossName
from estimators.auxiliary.networks import AuxiliaryName, AuxiliaryNorm
from estimators.core import bounds
from estimators.core.bounds import Ge, Gt, Le, UsedIf
from estimators.core.contract import (
    Claim,
    Cost,
    Coverage,
    Estimate,
    Estimator,
    Law,
    Need,
    Params,
    UnsupportedError,
)
from estimators.core.laws import certain, direction_factors, is_certain, squares
from estimators.core.names import label
from estimators.core.noise import Noise, stream
from estimators.core.objective import Chain
from estimators.core.optimizers import adam, adam_state
from estimators.core.wrapper import unwrapped
from estimators.feedback.direct_feedback_alignment import DirectFeedbackAlignment
from estimators.guess._alignment import by_measure
from estimators.guess._auxiliaries import (
    Auxiliary,
    Choice,
    auxiliaries_of,
    drawn_weights,
    share_of_auxiliaries,
)
from estimators.guess._projection import along_guess, products
from estimators.guess._refusals import (
    refuse_coupled,
    refuse_for_auxiliaries,
    refuse_single_examples,
    refuse_too_many,
    refuse_unfit,
    refuse_without_signals,
)
from estimators.guess._slopes import Target
from estimators.guess._step import RANDOM, Guess, Step
from estimators.guess._units import Unit, gradients, is_by_example

State = dict[str, Any]
"""auxiliary (weights), moments, fixed (weights that never move), guesser (its state), step."""

Source = Literal["honest", "oracle"]

PERIOD = 16
"""Steps from one comparison of target and guess to the next; not at the first step, where many
draws may start from one state."""

_WITH_AUXILIARIES = UsedIf(
    target_loss=("local", "look_ahead"), guess=("local", "look_ahead", "ntk", "fixed_ntk")
)
_TRAINED = UsedIf(target_loss=("local", "look_ahead"), guess=("local", "look_ahead"))


@dataclass(frozen=True)
class GuessAndTarget(Estimator[Chain, State]):
    """Projects the gradient one wants, the target t, on a direction one has, the guess s.

    ĝ_u = ⟨t_u, s_u⟩ s_u / ‖s_u‖² for each unit u: a block's output and example, whose cotangent is
    then pulled back through the block; a tensor; or a tensor and example. Raw, it is not divided by
    ‖s_u‖². The last stage gets its exact gradient.

    Use it to see how much a guess that costs little is worth: the better it is aligned with the
    target, the smaller the error ‖t‖²(1 − cos²(t, s)). A projection on a fixed guess has no noise.

    The claim is about the target: exact where guess and target are the same and it is projected,
    unbiased for raw random guesses, else biased. Costs one forward-mode pass for each unit, from
    its block to the loss, if honest; a backward pass with an oracle.

    Source: Fournier, Rivaud, Belilovsky, Eickenberg and Oyallon (2023), arXiv:2306.06968.

    Example:
        >>> estimator = GuessAndTarget(target_loss="global", guess="local")
        >>> measured = measure(net, loss, batch, [estimator])
    """

    title = "Guess and target"

    target_loss: Target = "global"
    """The loss whose gradient is wanted. global: the network's loss. local: the block's auxiliary
    loss. look_ahead: the next block's auxiliary loss; for the last block that has one, the
    network's."""
    guess: Guess = "local"
    """The direction on which the target is projected. local, look_ahead, global: gradients of
    these losses. normal, rademacher: noise. ntk: local, of auxiliary networks drawn anew at every
    step. fixed_ntk: local, of auxiliary networks drawn once and never trained. estimator: the
    estimate, or for block outputs the signals, of the estimator below."""
    guesser: Annotated[Estimator, UsedIf(guess="estimator")] = DirectFeedbackAlignment()  # noqa: RUF009
    """The estimator that guesses, where guess is estimator; otherwise it is not used."""
    unit: Unit = "output_and_example"
    """What the target is projected along with one factor of its own. output_and_example: each
    block's output for each example; the result is pulled back through the block. tensor: each
    parameter of the network. tensor_and_example: each parameter for each example."""
    normalise: Literal["auto", "projected", "raw"] = "auto"
    """projected: divide by ‖s‖²; never longer than the target, but biased: a random guess shrinks
    it to 1/d of d numbers. raw: do not divide; unbiased for random guesses, with a variance of d
    times the target's square, and of no useful length for others. auto: raw for normal and
    rademacher, projected otherwise."""
    source: Source = "honest"
    """honest: forward mode alone, one pass for each unit. oracle: projects the exact gradient of a
    backward pass, as the paper's code does: the same numbers, cheaper, but not a way to train
    without backpropagation."""
    auxiliary: Annotated[AuxiliaryName, _WITH_AUXILIARIES] = "linear"
    """The auxiliary networks behind the blocks, for local losses."""
    auxiliary_width: Annotated[
        int, Ge(1), Le(8192), bounds.Unit("channels"), _WITH_AUXILIARIES,
        UsedIf(auxiliary=("mlp", "cnn")),
    ] = 32  # fmt: skip
    """Channels of a cnn (32 in the paper) or units of an mlp (1,024 there); linear has none."""
    auxiliary_norm: Annotated[AuxiliaryNorm, _WITH_AUXILIARIES] = "layer"
    """Normalisation in auxiliary networks; the paper has batch, which couples the examples."""
    auxiliary_rate: Annotated[float, Gt(0), Le(10), _TRAINED] = 1e-3
    """Learning rate (Adam) of the auxiliary networks."""
    local_loss: Annotated[LocalLossName, _WITH_AUXILIARIES] = "prediction"
    """prediction: the network's loss on the auxiliary prediction. prediction_and_similarity: also
    that outputs of a class are similar, which couples the examples."""

    def claim(self, objective: Chain, /) -> Claim:
        if self._is_exact():
            return Claim.EXACT
        if self.guess in RANDOM and not self._projects():
            return Claim.UNBIASED
        return Claim.BIASED

    def needs(self) -> tuple[Need, ...]:
        own = (Need.DIFFERENTIABLE, Need.STAGES)
        forward = (Need.FORWARD_MODE,) if self.source == "honest" else ()
        inner = self.guesser.needs() if self.guess == "estimator" else ()
        return tuple(dict.fromkeys((*own, *forward, *inner)))

    def check(self, objective: Chain, params: Params, /) -> None:
        refuse_tied(objective)
        auxiliaries = self._auxiliaries(objective)
        if choice := self._choice():
            refuse_for_auxiliaries(choice, objective)
        if is_by_example(self.unit) and self.source == "honest":
            needed = auxiliaries if self.target_loss != "global" else ()
            refuse_coupled(objective, needed)
        if self.unit == "tensor_and_example":
            refuse_single_examples(objective, by_itself=self.guess == "estimator")
            if self.source == "honest":
                refuse_too_many(objective, params)
        if self.guess == "estimator":
            if isinstance(unwrapped(self.guesser), GuessAndTarget):
                raise UnsupportedError(
                    f"guesser is {label(self.guesser)}, and the guess of a guess_and_target cannot "
                    "be a guess_and_target: choose another estimator"
                )
            refuse_unfit(self.guesser, objective, params)
            if self.unit == "output_and_example":
                refuse_without_signals(self.guesser, objective, params)

    def cost(self, objective: Chain, /) -> Cost:
        inner = self.guesser.cost(objective) if self.guess == "estimator" else Cost()
        forwards, vjps = 1 + inner.forwards, inner.vjps
        if choice := self._choice():
            # Forwards and backwards through each auxiliary network, and twice with two sets.
            sets = 1 + (self.guess in ("ntk", "fixed_ntk") and self.target_loss != "global")
            forwards += 3 * sets * share_of_auxiliaries(objective, choice)
        if self.unit == "output_and_example" or self.guess not in RANDOM:
            vjps += 1  # of the guesses, through their blocks
            forwards += self.source == "honest"  # blocks are run again
        if self.source == "oracle":
            return Cost(forwards, inner.jvps, vjps + 1, "all")
        jvps = inner.jvps + self._forward_passes(objective)
        return Cost(forwards, jvps, vjps, "one stage")

    def coverage(self, objective: Chain, params: Params, /) -> dict[str, Coverage]:
        coverage: dict[str, Coverage] = coverage_between(cut_at_stages(objective, params))
        if self.guess == "estimator":
            guessed = self.guesser.coverage(objective, params)
            none = {
                n for n, c in guessed.items() if c == "no signal" and coverage[n] == "estimated"
            }
            coverage.update(dict.fromkeys(none, "no signal"))
        if self._is_exact() and self.target_loss == "global":
            coverage.update({n: "exact" for n, c in coverage.items() if c == "estimated"})
        return coverage

    def init(self, objective: Chain, params: Params, rng: Generator, /) -> State:
        auxiliaries = self._auxiliaries(objective)
        trained = drawn_weights(auxiliaries, rng) if self._trains() else {}
        fixed = drawn_weights(auxiliaries, rng) if self.guess == "fixed_ntk" else {}
        guesser = None
        if self.guess == "estimator":
            guesser = self.guesser.init(objective, params, rng)
        return {
            "auxiliary": trained,
            "moments": adam_state(trained),
            "fixed": fixed,
            "guesser": guesser,
            "step": torch.tensor(0),
        }

    def estimate(
        self, objective: Chain, params: Params, state: State, rng: Generator, /
    ) -> Estimate:
        return self._estimate(objective, params, state, rng, self.source)

    def oracle(
        self, objective: Chain, params: Params, state: State, exact: Params, rng: Generator, /
    ) -> Estimate | None:
        if self.source == "oracle":
            return None
        return self._estimate(objective, params, state, rng, "oracle")

    def target(self, objective: Chain, params: Params, state: State, /) -> Params | None:
        if self.target_loss == "global":
            return None
        step = self._step(objective, params, state, record=True)
        grads = {n: g for b in range(step.count) for n, g in step.target_gradient(b).items()}
        return _in_order(params, {**grads, **step.run.readout_grads})

    def advance(self, objective: Chain, params: Params, state: State, rng: Generator, /) -> State:
        guesser = self._advanced(objective, params, state["guesser"], rng)
        if not state["auxiliary"]:
            return {**state, "guesser": guesser, "step": state["step"] + 1}
        step = self._step(objective, params, state, record=False)
        return self._after(step, state, guesser)

    def _advanced(self, objective: Chain, params: Params, state: Any, rng: Generator) -> Any:
        """The next state of the guesser."""
        if self.guess != "estimator":
            return state
        if self.unit == "output_and_example":  # what keeps past signals moves by them alone
            sent = self.guesser.signals(objective, params, state, rng)
            assert sent is not None, "check() has refused a guesser without signals"
            return sent.state
        return self.guesser.advance(objective, params, state, rng)

    def law(self, objective: Chain, params: Params, state: State, exact: Params, /) -> Law | None:
        """No noise where the guess has none. Of a raw random guess for each tensor (d_l ± 1)‖t_l‖²;
        projected (1/d_l)(1 − 1/d_l)‖t_l‖² about t_l/d_l."""
        if self._is_certain(objective, params, state, exact):
            rng = stream(0, "estimator", device=objective.x.device)
            return certain(self._estimate(objective, params, state, rng, "oracle").grads)
        if self.guess not in RANDOM or self.unit != "tensor":
            return None
        aim = self._aim(exact, objective, params, state)
        guessed = {n for part in parts_of(objective)[:-1] for n in names_in(part, params)}
        variance, mean = dict.fromkeys(exact, 0.0), dict(aim)
        kind: Noise = "normal" if self.guess == "normal" else "rademacher"
        size = squares(aim)
        for name in guessed & set(exact):
            d = exact[name].numel()
            if self._projects():
                variance[name] = (1 - 1 / d) / d * size[name]
                mean[name] = aim[name] / d
            else:
                spread, own = direction_factors(d, kind, 1)
                variance[name] = (spread * d + own) * size[name]
        plain = self.target_loss == "global" and not self._projects()
        return Law(variance, None if plain else mean)

    def _aim(self, exact: Params, objective: Chain, params: Params, state: State) -> Params:
        """The exact gradient of the target, given that of the loss."""
        aim = self.target(objective, params, state)
        return exact if aim is None else aim

    # --- how an estimate is made ---

    def _estimate(
        self, objective: Chain, params: Params, state: State, rng: Generator, source: Source
    ) -> Estimate:
        step = self._step(objective, params, state, record=source == "oracle")
        guesser = step.guess_all(self, objective, params, state, rng)
        if source == "oracle":
            for b in reversed(range(step.count)):
                step.exact_target(b)
            scalars = [step.exact_products(b) for b in range(step.count)]
        else:
            scalars = step.slopes()
        grads: dict[str, Tensor] = {}
        ascents: dict[str, Tensor] = {}
        zeros: dict[str, Tensor] = {}
        nonfinite: list[Tensor] = []
        compared = int(state["step"]) % PERIOD == PERIOD - 1
        for b, c in enumerate(scalars):
            projected = along_guess(
                c, step.guesses[b], by_example=is_by_example(self.unit), divide=self._projects()
            )
            own = gradients(step.run, b, projected.vectors, self.unit)
            grads |= own
            nonfinite += projected.nonfinite.values()
            if compared:
                name = step.names[b]
                aim = step.target_gradient(b)
                slope = sum(products(aim, own, by_example=False).values())
                ascents[name] = torch.as_tensor(slope < 0).to(step.run.loss)
                zeros |= {n or name: z.to(step.run.loss) for n, z in projected.zeros.items()}
        info: dict[str, Any] = {**step.local_info()}
        if nonfinite:
            info["nonfinite_guesses"] = torch.stack(nonfinite).sum().to(step.run.loss)
        if compared:
            with_guess = [b for b in range(step.count) if step.guesses[b]]  # not frozen
            blocks = {step.names[b]: step.alignment(b) for b in with_guess}
            info |= {**by_measure(blocks), "ascends": ascents, "zero_guesses": zeros}
            if choice := self._choice():
                share = share_of_auxiliaries(objective, choice)
                info["auxiliary_share"] = torch.tensor(share)
        loss, readout = step.run.loss, step.run.readout_grads
        after = self._after(step, state, guesser)
        return Estimate(_in_order(params, {**grads, **readout}), loss, after, info)

    def _step(self, objective: Chain, params: Params, state: State, *, record: bool) -> Step:
        run = BlockPass(objective, params, record=record)
        return Step(
            run,
            tuple(place.name for place in objective.boundaries),
            self._auxiliaries(objective),
            state["auxiliary"],
            self.target_loss,
            self.unit,
        )

    def _after(self, step: Step, state: State, guesser: Any) -> State:
        weights, moments = state["auxiliary"], state["moments"]
        if weights:
            weights, moments = adam(weights, step.local_grads(), moments, self.auxiliary_rate)
        return {
            **state,
            "auxiliary": weights,
            "moments": moments,
            "guesser": guesser,
            "step": state["step"] + 1,
        }

    # --- what the fields say ---

    def _choice(self) -> Choice | None:
        """The auxiliary networks; None if neither guess nor target has any."""
        local = {"local", "look_ahead", "ntk", "fixed_ntk"}
        if self.target_loss not in local and self.guess not in local:
            return None
        return Choice(self.auxiliary, self.auxiliary_width, self.auxiliary_norm, self.local_loss)

    def _auxiliaries(self, objective: Chain) -> tuple[Auxiliary, ...]:
        choice = self._choice()
        return () if choice is None else auxiliaries_of(objective, choice)

    def _trains(self) -> bool:
        """Whether there are auxiliary networks that learn."""
        return {self.target_loss, self.guess} & {"local", "look_ahead"} != set()

    def _projects(self) -> bool:
        if self.normalise == "auto":
            return self.guess not in RANDOM
        return self.normalise == "projected"

    def _is_exact(self) -> bool:
        return self.guess == self.target_loss and self._projects()

    def _is_certain(self, objective: Chain, params: Params, state: State, exact: Params) -> bool:
        """Whether the guess has no noise, given the state."""
        if self.guess == "estimator":
            law = self.guesser.law(objective, params, state["guesser"], exact)
            return law is not None and is_certain(law, exact)
        return self.guess not in (*RANDOM, "ntk")

    def _forward_passes(self, objective: Chain) -> float:
        """Forward-mode passes of one estimate, in passes through the whole network.

        A pass that begins behind block b of n takes the rest, (n − b)/n, and two thirds of one
        with tangents of the weights.
        """
        parts = parts_of(objective)
        n, rest = len(parts), 0.0
        for b, part in enumerate(parts[:-1], start=1):
            here = 1 if self.unit == "output_and_example" else len(list(part.module.parameters()))
            behind = {"global": n - b, "local": 0.2, "look_ahead": 1}[self.target_loss]
            rest += here * behind / n
        return 2 / 3 * rest


def _in_order(params: Params, grads: Params) -> dict[str, Tensor]:
    return {n: grads[n] if n in grads else torch.zeros_like(p) for n, p in params.items()}

"""`Step`: one estimate's pass through the network, its guesses and its targets, block by block."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Generator, Tensor

from estimators.autodiff.block_pass import BlockPass, names_in
from estimators.core.contract import Estimator, Params
from estimators.core.objective import Chain
from estimators.core.vectors import dense
from estimators.guess._alignment import Alignment, compare
from estimators.guess._auxiliaries import Auxiliary, LocalSignal, drawn_weights
from estimators.guess._projection import Vectors, products
from estimators.guess._slopes import Target, slopes
from estimators.guess._units import (
    Unit,
    exact_vectors,
    gradients,
    is_by_example,
    random_vectors,
    vectors_of,
)

Guess = Literal[
    "local", "look_ahead", "global", "normal", "rademacher", "ntk", "fixed_ntk", "estimator"
]
RANDOM = ("normal", "rademacher")


class GuessSettings(Protocol):
    """The fields of the estimator that say what guesses."""

    @property
    def guess(self) -> Guess: ...
    @property
    def guesser(self) -> Estimator: ...


class Step:
    """One pass at the parameters. What is asked for twice is worked out once.

    Args:
        run: The pass, block by block.
        names: Of the blocks that have a guess.
        auxiliaries: Their auxiliary networks; none where neither guess nor target has one.
        weights: Of these networks, trained.
        target: What is wanted.
        unit: The granularity.
    """

    def __init__(
        self,
        run: BlockPass,
        names: tuple[str, ...],
        auxiliaries: Sequence[Auxiliary],
        weights: Params,
        target: Target,
        unit: Unit,
    ) -> None:
        self.run, self.names = run, names
        self.unit: Unit = unit
        self.guesses: Sequence[Vectors] = ()
        self._auxiliaries, self._weights = auxiliaries, weights
        self._target: Target = target
        self._local: dict[int, LocalSignal] = {}
        self._targets: dict[int, Vectors] = {}

    @property
    def count(self) -> int:
        """The number of blocks that have a guess: all but the last."""
        return len(self.names)

    # --- guesses ---

    def guess_all(
        self,
        settings: GuessSettings,
        objective: Chain,
        params: Params,
        state: dict[str, Any],
        rng: Generator,
    ) -> Any:
        """Set the guess of every block; returns the guesser's next state."""
        blocks = range(self.count)
        guess = settings.guess
        if guess == "estimator":
            return self._guess_by(settings.guesser, objective, params, state["guesser"], rng)
        if guess == "normal" or guess == "rademacher":
            self.guesses = [random_vectors(self.run, b, self.unit, guess, rng) for b in blocks]
        elif guess == "ntk" or guess == "fixed_ntk":
            weights = state["fixed"] or drawn_weights(tuple(self._auxiliaries), rng)
            signals = [self._signal_of(b, weights, train=False).at_output for b in blocks]
            self.guesses = [
                vectors_of(self.run, b, signal, self.unit) for b, signal in enumerate(signals)
            ]
        else:
            backwards = {b: self._vectors(guess, b) for b in reversed(blocks)}
            self.guesses = [backwards[b] for b in blocks]
        return state["guesser"]

    def _guess_by(
        self, guesser: Estimator, objective: Chain, params: Params, state: Any, rng: Generator
    ) -> Any:
        if self.unit == "output_and_example":
            sent = guesser.signals(objective, params, state, rng)
            assert sent is not None, "check() has refused a guesser without signals"
            self.guesses = [{"": sent.values[name].detach()} for name in self.names]
            return sent.state
        if self.unit == "tensor":
            estimate = guesser.estimate(objective, params, state, rng)
            self.guesses = [self._own(b, estimate.grads) for b in range(self.count)]
            return estimate.state
        # First, so that it draws what `advance` alone would draw.
        following = guesser.advance(objective, params, state, rng)
        batch = len(objective.x)
        rows: list[dict[str, list[Tensor]]] = [{} for _ in range(self.count)]
        for n in range(batch):
            alone = objective.on(objective.x[n : n + 1], objective.y[n : n + 1])
            grads = guesser.estimate(alone, params, state, rng).grads
            for b, row in enumerate(rows):
                for name, g in self._own(b, grads).items():
                    row.setdefault(name, []).append(g / batch)
        self.guesses = [{n: torch.stack(gs) for n, gs in row.items()} for row in rows]
        return following

    def _own(self, block: int, grads: Params) -> dict[str, Tensor]:
        names = names_in(self.run.parts[block], grads)
        return {name: dense(grads[name]).detach() for name in names}

    # --- targets ---

    def exact_target(self, block: int) -> Vectors:
        """t of each unit of a block. Ask for the last block first."""
        if block not in self._targets:
            self._targets[block] = self._vectors(self._target, block)
        return self._targets[block]

    def exact_products(self, block: int) -> dict[str, Tensor]:
        """⟨t_u, s_u⟩ from the exact target."""
        t = self.exact_target(block)
        return products(t, self.guesses[block], is_by_example(self.unit))

    def slopes(self) -> list[dict[str, Tensor]]:
        """⟨t_u, s_u⟩ of all blocks by forward mode."""
        return slopes(
            self.run, self.guesses, self.unit, self._target, self._auxiliaries, self._weights
        )

    def target_gradient(self, block: int) -> dict[str, Tensor]:
        """The exact gradient of the target by the block's parameters."""
        return gradients(self.run, block, self.exact_target(block), self.unit)

    def alignment(self, block: int) -> Alignment:
        """How the block's target and guess lie to each other."""
        return compare(
            self.exact_target(block),
            self.guesses[block],
            by_example=is_by_example(self.unit),
            summed=self.unit != "output_and_example",
        )

    def _vectors(self, kind: Target | Guess, block: int) -> Vectors:
        if kind == "global":
            return exact_vectors(self.run, block, self.unit)
        return vectors_of(self.run, block, self._signal(kind, block), self.unit)

    def _signal(self, kind: Target | Guess, block: int) -> Tensor:
        """The cotangent at a block's output of its local loss, or of that of the next block."""
        if kind == "local":
            return self.local(block).at_output
        if block == self.count - 1:
            return self.run.exact_signal(block)
        of_next = self.local(block + 1).at_output
        at_input, _ = self.run.back(block + 1, of_next, to_input=True)
        assert at_input is not None
        return at_input

    # --- auxiliary networks ---

    def local(self, block: int) -> LocalSignal:
        """What the block's trained auxiliary network says."""
        if block not in self._local:
            self._local[block] = self._signal_of(block, self._weights, train=True)
        return self._local[block]

    def local_grads(self) -> dict[str, Tensor]:
        """The gradients of all local losses by the weights of their auxiliary networks."""
        return {n: g for b in range(self.count) for n, g in self.local(b).grads.items()}

    def local_info(self) -> dict[str, dict[str, Tensor]]:
        """Loss and accuracy of each auxiliary network that learns, by block."""
        if not self._weights:
            return {}
        signals = {name: self.local(b) for b, name in enumerate(self.names)}
        info = {"auxiliary_loss": {name: s.loss for name, s in signals.items()}}
        accuracies = {n: s.accuracy for n, s in signals.items() if s.accuracy is not None}
        return {**info, "auxiliary_accuracy": accuracies} if accuracies else info

    def _signal_of(self, block: int, weights: Params, *, train: bool) -> LocalSignal:
        h = self.run.outputs[block]
        return self._auxiliaries[block].signal(h, self.run.y, weights, train=train)

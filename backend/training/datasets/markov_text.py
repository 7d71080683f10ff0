"""A text drawn from a Markov chain, whose entropy is known."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from backend.training.datasets.contract import Dataset, Part, Split
from estimators.core.bounds import Ge, Gt, Le, Unit
from estimators.core.noise import stream

HELD_BACK = 0.1
"""Share of the examples for the validation part, and again for the test part."""
RARE = 1e-6
"""At least about the probability of any next symbol."""
SWEEPS = 10_000
"""At most so many steps of the chain until its distribution no longer changes."""


class Chain(NamedTuple):
    """A Markov chain of order k over S symbols."""

    next: Tensor
    """The probabilities of the next symbol, given the last k: (S,)·k + (S,), float64."""
    stationary: Tensor
    """The probability of each k symbols, (S,)·k."""


@dataclass(frozen=True)
class MarkovText(Dataset):
    """A text of a Markov chain: the lowest loss that any network can have is known.

    The next symbol depends on the last `order` symbols by a table of probabilities that the
    fields alone determine: each row is drawn from a Dirichlet distribution. The seed draws the
    text. Each example is a text of its own, begun in the stationary distribution.
    """

    symbols: Annotated[int, Ge(2), Le(32), Unit("symbols")] = 16
    """Size of the alphabet (S)."""
    order: Annotated[int, Ge(1), Le(3), Unit("symbols")] = 2
    """How many symbols the next one depends on (k)."""
    concentration: Annotated[float, Gt(0.0), Le(100.0)] = 0.2
    """Of the Dirichlet distribution: a small one makes the next symbol almost certain, a large one
    makes all equally likely."""
    context: Annotated[int, Ge(1), Le(4096), Unit("symbols")] = 32
    """Symbols of an example (T)."""
    examples: Annotated[int, Ge(20), Le(1_000_000), Unit("examples")] = 10_000
    """Examples of the three parts together."""

    tokens: ClassVar[bool] = True
    separate_test: ClassVar[bool] = True

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override], here it is a choice
        return (self.context,)

    @property
    def classes(self) -> int:  # type: ignore[override]
        return self.symbols

    @property
    def description(self) -> str:
        return (
            f"{self.examples:,} texts of {self.context} symbols out of {self.symbols}, from a "
            f"Markov chain of order {self.order}; no network has a lower expected loss than "
            f"{self.floor:.4f} nats; 80/10/10 %."
        )

    @property
    def training_examples(self) -> int:
        return self.examples - 2 * self._held_back

    @property
    def floor(self) -> float:
        """The least expected loss, in nats a symbol: 1/T Σ_t H(x_t | x_0 … x_{t−1}).

        The first symbol is given and not predicted. From t = k on, the terms are the entropy rate.
        """
        chain = self._chain
        states = chain.stationary
        joint = states.unsqueeze(-1) * chain.next  # (S,)·(k + 1)
        blocks = [
            joint.sum(tuple(range(length, self.order + 1))) for length in range(1, 1 + self.order)
        ]
        entropies = [*map(_entropy, blocks), _entropy(joint)]  # of 1 … k + 1 symbols
        gains = [later - earlier for earlier, later in pairwise(entropies)]
        first = gains[: self.context]
        return (sum(first) + (self.context - len(first)) * gains[-1]) / self.context

    def load(self, seed: int) -> Split:
        rng = stream(seed, "data", "markov_text")
        text = _draw(self._chain, self.examples, self.context + 1, rng)  # (N, T + 1)
        first, last = self.training_examples, self.examples - self._held_back
        pieces = text[:first], text[first:last], text[last:]
        return Split(*(Part(p[:, :-1].contiguous(), p[:, 1:].contiguous()) for p in pieces))

    @property
    def _held_back(self) -> int:
        return max(1, round(HELD_BACK * self.examples))

    @property
    def _chain(self) -> Chain:
        return _chain(self.symbols, self.order, self.concentration)


@lru_cache(16)
def _chain(symbols: int, order: int, concentration: float) -> Chain:
    """The chain that belongs to the fields, drawn with a generator of its own."""
    rng = np.random.default_rng((symbols, order))
    states = torch.full([symbols] * order, symbols**-order, dtype=torch.float64)
    rows = torch.from_numpy(rng.dirichlet([concentration] * symbols, states.numel()))
    # Every symbol can follow, so that the chain forgets where it began.
    table = ((rows + RARE) / (1 + RARE * symbols)).view(*states.shape, symbols)
    for _ in range(SWEEPS):
        before, states = states, (states.unsqueeze(-1) * table).sum(0)
        if (states - before).abs().sum() < 1e-14:
            break
    return Chain(table, states / states.sum())


def _draw(chain: Chain, count: int, length: int, rng: Generator) -> Tensor:
    """`count` texts of `length` symbols, (count, length)."""
    symbols, order = chain.next.shape[0], chain.stationary.ndim
    state = torch.multinomial(chain.stationary.flatten(), count, True, generator=rng)
    table = chain.next.reshape(-1, symbols).cumsum(1)
    table[:, -1] = 1.0
    powers = symbols ** torch.arange(order - 1, -1, -1)
    text = torch.empty(count, max(length, order), dtype=torch.int64)
    text[:, :order] = state.unsqueeze(1) // powers % symbols
    for t in range(order, length):
        u = torch.rand(count, 1, dtype=torch.float64, generator=rng)
        symbol = torch.searchsorted(table[state], u, right=True).clamp_max(symbols - 1).squeeze(1)
        text[:, t] = symbol
        state = (state * symbols + symbol) % symbols**order
    return text[:, :length]


def _entropy(p: Tensor) -> float:
    """−Σ p ln p, in nats."""
    return torch.special.entr(p).sum().item()

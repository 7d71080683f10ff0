"""Which examples of a data set are equal, by their hashes."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from math import comb
from typing import NamedTuple

from torch import Tensor

Rows = Mapping[str, Counter[bytes]]
"""{part: how often each example occurs, by its hash}."""
EXPLAINED = 3.0
"""How many times as many pairs of equal examples may lie in two parts as a random division of the
source's own repetitions would put there."""


def rows_of(parts: Mapping[str, Iterable[Tensor]]) -> Rows:
    """The hashes of all examples of each part."""
    return {name: Counter(map(_digest, x)) for name, x in parts.items()}


class Pairs(NamedTuple):
    """Pairs of equal examples."""

    across: int
    """In two parts."""
    within: int
    """In one part."""
    explained: float
    """Expected in two parts, if the source repeats examples and is divided at random."""

    def __add__(self, other: "Pairs") -> "Pairs":  # type: ignore[override]
        across, within, explained = other
        return Pairs(self.across + across, self.within + within, self.explained + explained)

    @property
    def leaked(self) -> bool:
        """Whether more lie in two parts than repetitions of the source explain."""
        return self.across > EXPLAINED * self.explained


def pairs_of(rows: Rows) -> Pairs:
    """The pairs in the parts of one seed."""
    within = sum(comb(n, 2) for counts in rows.values() for n in counts.values())
    across = sum(
        counts[row] * other[row]
        for counts, other in combinations(rows.values(), 2)
        for row in counts.keys() & other.keys()
    )
    sizes = [counts.total() for counts in rows.values()]
    same = sum((n / sum(sizes)) ** 2 for n in sizes)  # the chance that two examples share a part
    return Pairs(across, within, within * (1 - same) / same)


def most_shared(rows: Rows) -> str:
    """The two parts that share most examples, in words."""
    shared = {
        pair: len(rows[pair[0]].keys() & rows[pair[1]].keys()) for pair in combinations(rows, 2)
    }
    first, second = max(shared, key=shared.__getitem__)
    return f"{shared[first, second]:,} of the {second} part are in the {first} part"


def moved_into_training(rows: Sequence[Rows]) -> int:
    """Examples of the test part of a seed that are in another part of another seed.

    Those that the source repeats are left out.
    """
    tests = [{*r["test"]} for r in rows]
    others = [{*r["train"], *r["validation"]} for r in rows]
    repeated = {row for r in rows for counts in r.values() for row, n in counts.items() if n > 1}
    repeated |= {row for test, other in zip(tests, others, strict=True) for row in test & other}
    moved = {
        row
        for place, test in enumerate(tests)
        for other in (*others[:place], *others[place + 1 :])
        for row in test & other
    }
    return len(moved - repeated)


def _digest(row: Tensor) -> bytes:
    return hashlib.blake2b(row.contiguous().numpy().tobytes(), digest_size=16).digest()

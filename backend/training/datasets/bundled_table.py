"""Small tables that are bundled with scikit-learn."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from sklearn.datasets import load_breast_cancer, load_iris, load_wine

from backend.training.datasets.contract import Dataset, Split, stratified
from backend.training.tables.arrays import standardised

Name = Literal["iris", "wine", "breast_cancer"]
_LOADERS: dict[Name, Callable[..., Any]] = {
    "iris": load_iris,
    "wine": load_wine,
    "breast_cancer": load_breast_cancer,
}
_SIZES: dict[Name, tuple[int, int, tuple[int, ...]]] = {
    "iris": (150, 4, (50, 50, 50)),
    "wine": (178, 13, (59, 71, 48)),
    "breast_cancer": (569, 30, (212, 357)),
}
"""Examples, features, and examples of each class."""


@dataclass(frozen=True)
class BundledTable(Dataset):
    """Small tables bundled with scikit-learn: iris, wine or breast cancer; no network is needed.

    Every feature is standardised by its mean and deviation over the training part.
    """

    title: ClassVar[str] = "Small tables (iris, wine, breast cancer)"

    table: Name = "iris"
    """iris: 150 flowers, 4 features, 3 classes. wine: 178 wines, 13 features, 3 classes.
    breast_cancer: 569 tumours, 30 features, 2 classes."""

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override], a choice
        return (_SIZES[self.table][1],)

    @property
    def classes(self) -> int:  # type: ignore[override]
        return len(_SIZES[self.table][2])

    @property
    def description(self) -> str:
        count, features, _ = _SIZES[self.table]
        return f"{self.table}: {count} examples of {features} features; 60/20/20 % parts."

    @property
    def training_examples(self) -> int:
        sizes = _SIZES[self.table][2]
        return sum(int((torch.arange(n) / n >= 0.4).sum()) for n in sizes)

    def load(self, seed: int) -> Split:
        x, y = _LOADERS[self.table](return_X_y=True)
        split = stratified(torch.tensor(x), torch.tensor(y, dtype=torch.int64), seed)
        return standardised(split)

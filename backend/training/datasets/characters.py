"""The characters of a text, each to be predicted from those before it."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from torch import Tensor

from backend.data_folders.folders import TEXTS, DataError
from backend.training.datasets.contract import Dataset, Part, Split
from backend.training.datasets.data_folder import examined, folder_field
from backend.training.text_files.files import Text, text
from estimators.core.bounds import Ge, Le, Unit

HELD_BACK = 0.1
"""Share of the text for the validation part, and again for the test part."""


Folder = Annotated[str, examined(text), folder_field(TEXTS, bundled=True)]


@dataclass(frozen=True)
class Characters(Dataset):
    """The characters of a text: predict each from those before it, within a window.

    The bundled text is the novel Northanger Abbey (Jane Austen, 1817). An example is a window of
    `context` characters; its targets are the same characters, one further. Windows do not overlap.
    The first 80 % of the text are the training part, the next 10 % the validation part and the last
    10 % the test part, for every seed.
    """

    folder: Folder = ""
    """A folder of HOME/datasets whose files *.txt (UTF-8) are the text. Empty: the bundled text."""
    context: Annotated[int, Ge(1), Le(4096), Unit("characters")] = 64
    """Characters in a window (T)."""

    tokens: ClassVar[bool] = True
    separate_test: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.context >= (shortest := min(len(part) for part in self._parts)):
            raise DataError(
                f"context is {self.context}; the shortest part of the text has {shortest:,} "
                f"characters, so it must be less than that"
            )

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override], here it is a choice
        return (self.context,)

    @property
    def classes(self) -> int:  # type: ignore[override], the text decides
        return len(self._text.alphabet)

    @property
    def description(self) -> str:
        source = self.folder or "Northanger Abbey (Jane Austen, 1817)"
        return (
            f"{len(self._text.indices):,} characters of {source}, {self.classes} different ones; "
            f"{self.training_examples:,} windows of {self.context} to train on."
        )

    @property
    def training_examples(self) -> int:
        return (len(self._parts[0]) - 1) // self.context

    def load(self, seed: int) -> Split:
        """The three parts, which are the same for every seed."""
        return Split(*(self._windows(part) for part in self._parts))

    @property
    def _text(self) -> Text:
        return text(self.folder)

    @property
    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """The indices of training, validation and test text, in the text's order."""
        indices = self._text.indices
        held_back = round(HELD_BACK * len(indices))
        ends = len(indices) - 2 * held_back, len(indices) - held_back
        return indices[: ends[0]], indices[ends[0] : ends[1]], indices[ends[1] :]

    def _windows(self, part: Tensor) -> Part:
        """Windows (N, T) of a part and their targets (N, T), one character further."""
        count = (len(part) - 1) // self.context
        x, y = part[: count * self.context], part[1 : count * self.context + 1]
        return Part(x.view(count, self.context), y.view(count, self.context))

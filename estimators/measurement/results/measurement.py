"""`Measurement`: the numbers of a measurement, and the tables that print them."""

from collections.abc import Mapping
from dataclasses import dataclass

from estimators.measurement.estimates.anatomy import Anatomy
from estimators.measurement.results.data import MeasurementData
from estimators.measurement.results.table import Table
from estimators.measurement.results.tables import findings_table, measures_table, null_table

LEVELS = ("stage", "tensor")
MAX_LAYERS = 20
"""Most layers that `print` shows; of a deeper network it shows the whole alone."""


@dataclass(frozen=True, repr=False)
class Measurement(MeasurementData):
    """Draws of several estimators at one point, compared with the exact gradient there.

    Printed, it is a table of the measures; `why()` is one of findings in sentences.
    """

    def table(self, level: str = "stage") -> Table:
        """Measures with their intervals, laws, law checks and verdicts on bias.

        `level`: "stage" for the network and its stages, "tensor" for all tensors too. Raises
        ValueError for another.
        """
        return measures_table(self, self._places(level))

    def why(self, level: str = "stage", anatomies: Mapping[str, Anatomy] | None = None) -> Table:
        """What is wrong in each layer, and what would mend it, in sentences.

        With {label: its anatomy}, as `anatomy(…).by_label`, also whether a larger batch would.
        """
        return findings_table(self, self._places(level), anatomies or {})

    def nulls(self, level: str = "stage") -> Table:
        """Cosine and scaled error of each layer beside what chance gives."""
        return null_table(self, self._places(level))

    def _places(self, level: str) -> list[int]:
        if level not in LEVELS:
            raise ValueError(f"level is {level!r}; allowed are {', '.join(LEVELS)}")
        tensors = self.tensors if level == "stage" else ()
        return [i for i, layer in enumerate(self.layers) if layer not in tensors]

    def __str__(self) -> str:
        return str(self._brief())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._brief()._repr_html_()

    def _brief(self) -> Table:
        places = self._places("stage")
        return measures_table(self, places if len(places) <= MAX_LAYERS else [0])

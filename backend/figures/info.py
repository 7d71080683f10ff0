"""What a figure says of itself: its words, its parameters, and the charts that show it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Page = Literal[
    "overview", "run", "draws", "sweep", "anatomy", "one_step", "adjoint_map", "comparison", "study"
]  # fmt: skip
"""Where charts stand together: at the first look at one training run, below training runs, below a
microscope's draws, sweep, anatomy, one-step draws or adjoint map, in a notebook's comparison, or
above the runs of a study."""
Tab = Literal["", "overview", "variance", "layers"]
"""The tab of a run's page that shows a section; "" for sections of other pages."""
Size = Literal["small", "tall", "wide", "table"]
"""small: shares a row, of one height; tall: shares a row, with the height that the figure asks
for; wide: a row for itself; table: a row for itself, shown as a table."""


@dataclass(frozen=True)
class Condition:
    """Whether a field of a run's configuration matches: `Condition("dataset.name", "surface")`."""

    path: str
    """Names of nested fields, separated by dots."""
    pattern: str
    """The value as text; a `*` at its end stands for any ending."""

    def holds(self, config: Mapping[str, Any]) -> bool:
        value: Any = config
        for name in self.path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is None:
            return False
        text, stem = str(value), self.pattern.removesuffix("*")
        return text.startswith(stem) if self.pattern.endswith("*") else text == stem


@dataclass(frozen=True)
class Pick:
    """A control by which the reader chooses the value of a parameter."""

    parameter: str
    title: str = ""
    """Empty for the parameter's own title."""
    choices: tuple[str, ...] = ()
    """Values of a metric; empty for the parameter's own choices. The first is the default."""
    empty: str = ""
    """Words of the choice that leaves the parameter out."""
    own: bool = False
    """Whether the choice concerns its chart alone and is not kept in the page's address."""


@dataclass(frozen=True)
class Section:
    """A section of a page: a heading, and controls that all charts of the page follow."""

    page: Page
    name: str
    title: str
    """`{field}` stands for the field that a sweep varies."""
    picks: tuple[Pick, ...] = ()
    legend: bool = False
    """Whether the section has one legend for those charts that share it."""
    optional: bool = False
    """Whether the section is left out while none of its charts is shown."""
    action: Literal["", "fork"] = ""
    """fork: a button that starts a training run at the microscope's checkpoint."""
    tab: Tab = ""


@dataclass(frozen=True)
class Place:
    """Where a chart stands: a section of a page, and its order within the section."""

    page: Page
    section: str
    order: int
    span: int = 0
    """The columns out of twelve that it takes on a wide screen; 0 for as many as its size asks."""


@dataclass(frozen=True)
class Chart:
    """One chart of a figure, on the page, in an export and in a notebook."""

    key: str
    """A stable name, unique on a page: it stands in addresses and names downloads."""
    places: tuple[Place, ...]
    title: str = ""
    """Empty for the figure's title; so are `help` and `reading`."""
    help: str = ""
    reading: str = ""
    asks: Mapping[str, str] = field(default_factory=dict)
    """Values that this chart gives to parameters of its figure. For all other parameters it
    follows the controls of its page."""
    picks: tuple[Pick, ...] = ()
    """Controls of this chart alone."""
    follows: tuple[str, ...] = ()
    """Metrics whose new points change the chart. `{metric}` stands for each metric that it asks
    for, a `*` at the end for any ending; empty for every metric."""
    size: Size = "wide"
    runs: Literal["shown", "focused", "focused first"] = "shown"
    """Which of the runs on the page it draws; "focused first" draws all, that run before others."""
    per_estimator: bool = False
    """Whether there is a chart for each estimator of the run."""
    shares_legend: bool = False
    """Whether the section's legend stands for the chart's own."""
    colours_runs: bool = False
    """Whether its lines are the samples beside the names of the runs."""
    only: Condition | None = None
    """The chart is shown if any run on the page fulfils this condition."""
    unless: Condition | None = None
    """The chart is hidden if every run on the page fulfils this condition."""
    with_points: bool = False
    """Whether the chart is shown only once it has points."""
    menus: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Parameters that an exported page can switch, and their values; no values: those that the
    parameter has, or (of layers and estimators) that the run has."""
    together: Mapping[str, str] | None = None
    """What else an export asks for when it draws several runs in one chart; None: it does not."""


@dataclass(frozen=True)
class FigureInfo:
    """A figure's words, its parameters and its charts; each figure module has one, `INFO`."""

    title: str
    help: str
    """What is drawn, in full sentences."""
    reading: str
    """One sentence: how to read it, and what to conclude."""
    parameters: tuple[str, ...]
    """Names out of `data.query.PARAMETERS`, in the order in which a notebook takes them."""
    charts: tuple[Chart, ...]

"""What a reader of a run must know: signals of its losses and layers, and how estimators do."""

from dataclasses import asdict
from typing import Annotated, Literal

from pydantic import Field

from backend.api.deps import LabDep
from backend.api.models import Id, View
from backend.api.router import router
from backend.figures.data.select import estimators
from backend.figures.drawing import style
from backend.figures.findings import findings_of

routes = router("findings")


class LookView(View):
    """How an estimator is drawn, the same everywhere."""

    marker: str
    colour: dict[str, int | str]


class FindingView(View):
    """One thing to know of a run."""

    kind: str
    severity: Annotated[
        int, Field(description="3: the run ended for it; 2: a fault; 1: a remark.", ge=1, le=3)
    ]
    title: Annotated[str, Field(description="A sentence of at most 90 characters.")]
    text: Annotated[str, Field(description="How much, and what to do; may be empty.")]
    step: Annotated[int | None, Field(description="Where it began, if it has a step.")]
    last: int | None
    estimator: Annotated[str, Field(description="The label that it is about; empty: the run.")]
    look: Annotated[
        LookView | None, Field(description="How the estimator is drawn; null: it is of the run.")
    ]
    layer: str
    where: Annotated[
        Literal["", "variance", "layers", "microscope", "setup"],
        Field(description="The tab of the run's page that shows it; empty: the first."),
    ]
    action: Annotated[
        Literal["", "lower rate", "duplicate"],
        Field(description="What a button beside it does."),
    ]


@routes.get("/runs/{run_id}/findings")
def findings(run_id: Id, lab: LabDep) -> list[FindingView]:
    """The findings of a run, the most severe first, then by step."""
    with lab.store.snapshot() as snapshot:
        run = snapshot.run(run_id)
        made = findings_of(snapshot, run.id)
    marks = style.symbols(estimators(run))
    return [
        FindingView(**asdict(finding), look=_look(finding.estimator, marks)) for finding in made
    ]


def _look(label: str, marks: dict[str, str]) -> LookView | None:
    if not label:
        return None
    ink = style.ink(label)
    colour = {"index": style.index(label), "light": ink.light, "dark": ink.dark}
    return LookView(marker=marks.get(label, style.symbol(label)), colour=colour)

"""Runs of training loops of the user's own, which report by themselves."""

from fastapi import HTTPException

from backend.api.deps import LabDep
from backend.api.models import View
from backend.api.router import router
from backend.attach.registration import ATTEMPT, PROTOCOL, Registration
from backend.store.base import FullError

routes = router("runs")


class AttachedView(View):
    """The run of a training loop."""

    id: str
    number: int
    attempt: int
    """What the loop's reports have to say beside the id."""
    protocol: int
    """The newest version of the reports that this lab takes."""


@routes.post("/runs/attached", status_code=201)
def attach(body: Registration, lab: LabDep) -> AttachedView:
    """Begin a run of a training loop of the user's own. Repeating the request changes nothing.

    The loop sends its reports to `/api/worker/report` with the token of the request. This lab
    neither starts the loop nor ends it.
    """
    try:
        run = lab.store.attach(body.row(), body.token)
    except FullError as error:  # not 409, at which a loop gives its reports up
        raise HTTPException(503, str(error)) from error
    assert run.number is not None
    return AttachedView(id=run.id, number=run.number, attempt=ATTEMPT, protocol=PROTOCOL)

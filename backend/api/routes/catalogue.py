"""The catalogue: estimators, networks, data sets, losses, optimisers and schedules."""

from typing import Any

from backend.api.deps import LabDep
from backend.api.router import router

routes = router("catalogue")


@routes.get("/catalogue")
def catalogue(lab: LabDep) -> dict[str, Any]:
    """Everything that a configuration can name, with JSON schemas, and what failed to load."""
    return lab.supervisor.catalogue()


@routes.post("/catalogue/refresh")
def refresh(lab: LabDep) -> dict[str, Any]:
    """Read the plug-in folder again and return the new catalogue."""
    fresh = lab.supervisor.catalogue(refresh=True)
    lab.hub.publish("catalogue", {"version": fresh["version"]})
    return fresh

"""The catalogue: estimators, networks, data sets, losses, optimisers and schedules."""

from typing import Any

from backend.api.deps import Lab, LabDep
from backend.api.router import router

routes = router("catalogue")


@routes.get("/catalogue")
def catalogue(lab: LabDep) -> dict[str, Any]:
    """Everything that a configuration can name, with JSON schemas, and what failed to load."""
    return _with_folder(lab, lab.supervisor.catalogue())


@routes.post("/catalogue/refresh")
def refresh(lab: LabDep) -> dict[str, Any]:
    """Read the plug-in folder again and return the new catalogue."""
    fresh = lab.supervisor.catalogue(refresh=True)
    lab.hub.publish("catalogue", {"version": fresh["version"]})
    return _with_folder(lab, fresh)


def _with_folder(lab: Lab, catalogue: dict[str, Any]) -> dict[str, Any]:
    return {**catalogue, "folder": str(lab.settings.plugin_dirs[0])}

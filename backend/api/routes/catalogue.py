"""The catalogue: estimators, networks, data sets, losses, optimisers and schedules."""

from typing import Any

from backend.api.deps import Lab, LabDep
from backend.api.router import router
from backend.figures.words.names import SHORT, capital

routes = router("catalogue")


@routes.get("/catalogue")
def catalogue(lab: LabDep) -> dict[str, Any]:
    """Everything that a configuration can name, with JSON schemas, and what failed to load."""
    return _for_the_page(lab, lab.supervisor.catalogue())


@routes.post("/catalogue/refresh")
def refresh(lab: LabDep) -> dict[str, Any]:
    """Read the plug-in folder again and return the new catalogue."""
    fresh = lab.supervisor.catalogue(refresh=True)
    lab.hub.publish("catalogue", {"version": fresh["version"]})
    return _for_the_page(lab, fresh)


def _for_the_page(lab: Lab, catalogue: dict[str, Any]) -> dict[str, Any]:
    """With the plug-in folder, and with the short name of each estimator."""
    estimators = [
        {**entry, "short": capital(str(SHORT.get(entry["name"], entry["title"])))}
        for entry in catalogue["estimators"]
    ]
    folder = str(lab.settings.plugin_dirs[0])
    return {**catalogue, "estimators": estimators, "folder": folder}

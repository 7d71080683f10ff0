"""Whether the lab is up, and which one it is. Open: it says nothing else."""

from importlib.metadata import version

from pydantic import BaseModel

from backend.api.deps import LabDep
from backend.api.router import router

routes = router("health")


class Health(BaseModel):
    status: str = "ok"
    version: str
    instance: str


@routes.get("/health")
def health(lab: LabDep) -> Health:
    """Answer without a token."""
    return Health(version=version("gradlab"), instance=lab.home.instance)

"""What the lab's page shows of a measurement, in a notebook or a script: no server, no browser.

from backend.notebook import show
from estimators import SPSA, measure
show(measure(net, loss, (x, y), [SPSA()], draws=512))
"""

from backend.notebook.show import show
from backend.notebook.views import Views

__all__ = ["Views", "show"]

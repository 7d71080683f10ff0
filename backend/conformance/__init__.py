"""The contracts of networks, data sets, losses, optimisers, schedules and figures as checks.

`check` runs every check of a kind on several settings of a class and states each verdict in a
plain sentence, as `estimators.conformance` does for estimators.
"""

from backend.conformance.every_kind import CONTRACTS, check

__all__ = ["CONTRACTS", "check"]

"""The names that a plug-in file imports from `gradlab` to define a component of a run.

`gradlab` exports them lazily, beside the names of the estimators' library:

    from gradlab import Network, Site, named
"""

from backend.training.datasets import Dataset, Part, Split
from backend.training.datasets.contract import stratified
from backend.training.losses import Loss
from backend.training.losses.contract import Batch, Evaluation, Plan, Prepare
from backend.training.losses.per_example import PerExampleLoss
from backend.training.networks import Network
from backend.training.networks.contract import named
from backend.training.optimizers import Optimizer, Schedule
from backend.training.optimizers.contract import WithRates
from backend.training.schedules.constant import Constant
from backend.training.schedules.contract import WithWarmup

__all__ = [
    "Batch",
    "Constant",
    "Dataset",
    "Evaluation",
    "Loss",
    "Network",
    "Optimizer",
    "Part",
    "PerExampleLoss",
    "Plan",
    "Prepare",
    "Schedule",
    "Split",
    "WithRates",
    "WithWarmup",
    "named",
    "stratified",
]

"""The networks of the catalogue that suit a data set or an estimator, for error messages."""

from collections.abc import Iterator

from backend.training.datasets import Dataset
from backend.training.losses import Loss
from backend.training.memory.need import on_meta_device
from backend.training.networks import networks
from estimators.core.contract import Estimator
from estimators.core.objective import Chain
from estimators.requirements import require


def networks_for_data(dataset: Dataset, loss: Loss) -> str:
    """`; networks that take it: mlp, …`, or "" if there is none."""
    return _sentence_end("take it", [name for name, _ in _defaults(dataset, loss)])


def networks_for_estimator(estimator: Estimator, dataset: Dataset, loss: Loss) -> str:
    """`; networks that suit it by default: mlp, …`, or "" if there is none."""
    names = [name for name, chain in _defaults(dataset, loss) if _suits(chain, estimator)]
    return _sentence_end("serve it by default", names)


def _defaults(dataset: Dataset, loss: Loss) -> Iterator[tuple[str, Chain]]:
    """Each network with default fields that takes the data set's shape."""
    for name, cls in networks().items():
        try:
            yield name, on_meta_device(cls(), dataset, loss)
        except ValueError:  # it does not take this shape
            continue


def _suits(chain: Chain, estimator: Estimator) -> bool:
    try:
        require(estimator, chain)
    except (Exception, SystemExit):  # a plug-in's own code, which may not expect every network
        return False
    return True


def _sentence_end(verb: str, names: list[str]) -> str:
    return f"; networks that {verb}: {', '.join(names)}" if names else ""

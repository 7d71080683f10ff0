"""Which networks of the catalogue would do where the one that was chosen does not."""

from collections.abc import Iterator

import torch

from backend.training.datasets import Dataset
from backend.training.losses import Loss
from backend.training.networks import Network, networks
from estimators.core.contract import Estimator
from estimators.core.objective import Chain
from estimators.core.requirements import require


def on_paper(network: Network, dataset: Dataset, loss: Loss) -> Chain:
    """The network on two examples, on torch's meta device: shapes, and no numbers."""
    with torch.device("meta"):
        module = network.layout(dataset.shape, loss.outputs(dataset))
        x, y = torch.empty(2, *dataset.shape), torch.empty(2, dtype=torch.int64)
    return loss.chain(module, (x, y), dataset)


def taking(dataset: Dataset, loss: Loss) -> str:
    """`; networks that take it: mlp, …`; nothing if none does."""
    return _told("take it", [name for name, _ in _all(dataset, loss)])


def serving(estimator: Estimator, dataset: Dataset, loss: Loss) -> str:
    """`; networks that serve it by default: mlp, …`; nothing if none does."""
    return _told(
        "serve it by default", [n for n, chain in _all(dataset, loss) if _serves(chain, estimator)]
    )


def _all(dataset: Dataset, loss: Loss) -> Iterator[tuple[str, Chain]]:
    for name, cls in networks().items():
        try:
            yield name, on_paper(cls(), dataset, loss)
        except ValueError:  # it does not take this shape
            continue


def _serves(chain: Chain, estimator: Estimator) -> bool:
    try:
        require(estimator, chain)
    except Exception:  # a plug-in's own code, which need not expect every network
        return False
    return True


def _told(what: str, names: list[str]) -> str:
    return f"; networks that {what}: {', '.join(names)}" if names else ""

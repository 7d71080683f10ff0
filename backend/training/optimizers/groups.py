"""Parameters in groups of one learning rate each, and an optimiser's state under their names."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from backend.training.optimizers.contract import Optimizer
from backend.training.optimizers.rates import factors

_OF_A_RUN = ("params", "param_names", "lr")
"""Of a group: what does not tell one optimiser from another."""


class GroupedOptimizer:
    """A torch optimiser whose groups keep their factors of one learning rate.

    Raises ValueError if `rates` of the optimiser names a stage that the network does not have.
    """

    def __init__(self, optimizer: Optimizer, module: nn.Module) -> None:
        of_name = factors(module, optimizer.rates)
        parameters = dict(module.named_parameters())
        grouped: dict[float, list[nn.Parameter]] = {}
        for name, factor in of_name.items():
            grouped.setdefault(factor, []).append(parameters[name])
        if [*grouped] == [1.0]:
            self.torch = optimizer.build(parameters.values())
        else:
            self.torch = optimizer.build(
                [{"params": own, "lr": optimizer.lr * f} for f, own in grouped.items()]
            )
        names = {id(parameter): name for name, parameter in parameters.items()}
        members = [[names[id(p)] for p in g["params"]] for g in self.torch.param_groups]
        self.names = [name for group in members for name in group]
        """Of the parameters, in the order in which the optimiser counts them."""
        self._factors = [of_name[group[0]] for group in members]

    def set_rate(self, rate: float) -> None:
        """Give each group its multiple of the learning rate `rate`."""
        for group, factor in zip(self.torch.param_groups, self._factors, strict=True):
            group["lr"] = rate * factor

    def adopt(self, state: Mapping[str, Any], names: Sequence[str]) -> bool:
        """Take over the state of another run's optimiser, which counts the parameters as `names`.

        Returns whether it could be taken: both need the same fields, learning rates aside.
        """
        own = self.torch.state_dict()
        if _fields_by_name(own, self.names) != _fields_by_name(state, names):
            return False
        moments = {names[i]: values for i, values in state["state"].items()}
        places = {i: moments[name] for i, name in enumerate(self.names) if name in moments}
        self.torch.load_state_dict({**own, "state": places})
        return True


def _fields_by_name(state: Mapping[str, Any], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """{parameter: the fields of its group}."""
    fields: dict[str, dict[str, Any]] = {}
    for group in state["param_groups"]:
        own = {key: value for key, value in group.items() if key not in _OF_A_RUN}
        fields |= {names[int(i)]: own for i in group["params"]}
    return fields

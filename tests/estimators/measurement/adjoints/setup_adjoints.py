"""Small maps of the networks with linear and tanh cells, and what they are compared with."""

import torch
from torch import nn

from estimators import (
    adjoint_map,
)
from estimators.implicit.equilibrium import equilibria
from estimators.measurement.adjoints.powers import Linearisation
from tests.estimators.implicit.setup_implicit import (
    TanhCell,
    batch,
    jacobians,
)

EPS = torch.finfo(torch.float64).eps
STAGE = "1.0"
GRID = {"steps": [1, 3, 8], "damping": [0.5, 1.0]}


def losses(output, y):
    return nn.functional.cross_entropy(output, y, reduction="none")


def map_of(net, **fields):
    return adjoint_map(net, losses, batch(), **{**GRID, "solvers": [], "repeats": 1, **fields})


def eye(n=5):
    return torch.eye(n).double()


def b_of(j, damping):
    return damping * j + (1 - damping) * eye(len(j))


def weights(net):
    return equilibria(net)[STAGE].cell.recurrent.weight.detach()


def linearised(net, cell_type=TanhCell):
    stage = equilibria(net)[STAGE]
    x = net[0](batch()[0]).detach()
    z, j = jacobians(stage, x)
    return Linearisation(lambda z: stage.cell(z, x[: len(z)]), z), j

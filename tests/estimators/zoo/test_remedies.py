"""What a refusal advises is enough: the network so changed is served."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrize

from estimators import (
    ActivityForwardGradient,
    DirectFeedbackAlignment,
    ForwardGradient,
    LocalLosses,
    Site,
)
from tests.estimators.zoo.foreign import CLASSES, EXAMPLES, Foreign, Network, in_rows, network
from tests.estimators.zoo.functions import WRITTEN
from tests.estimators.zoo.judge import admitted, verdict
from tests.estimators.zoo.layers import LAYERS
from tests.estimators.zoo.parameters import HELD

NETWORKS = {f.name: f for f in (*LAYERS, *WRITTEN, *HELD)}


class _WithoutFastPath:
    """The fused layers switched off, and attention by plain products."""

    def __init__(self) -> None:
        self._math = sdpa_kernel(SDPBackend.MATH)

    def __enter__(self) -> None:
        torch.backends.mha.set_fastpath_enabled(False)
        self._math.__enter__()

    def __exit__(self, *error: object) -> None:
        self._math.__exit__(*error)
        torch.backends.mha.set_fastpath_enabled(True)


class _WeightNorm(nn.Module):
    """g v / ‖v‖, written out."""

    def forward(self, g: Tensor, v: Tensor) -> Tensor:
        return g * v / v.norm(dim=1, keepdim=True)

    def right_inverse(self, w: Tensor) -> tuple[Tensor, Tensor]:
        return w.norm(dim=1, keepdim=True), w


def _weight_norm() -> Network:
    made = nn.Linear(4, 4)
    parametrize.register_parametrization(made, "weight", _WeightNorm())
    return in_rows(made)


class _Sum(nn.Module):
    def forward(self, h: Tensor) -> Tensor:
        return h.sum(1)


def _bag() -> Network:
    net = nn.Sequential(nn.Embedding(5, 3), _Sum(), Site(), nn.Tanh(), nn.Linear(3, CLASSES))
    return network(net, torch.randint(5, (EXAMPLES, 3)))


class _Complex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.view_as_real(torch.randn(4, 2, dtype=torch.complex128)).clone())

    def forward(self, z: Tensor) -> Tensor:
        return torch.view_as_real(z.to(torch.complex128) @ torch.view_as_complex(self.w)).flatten(1)


class _LastOfGRU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(4, 2, batch_first=True)

    def forward(self, z: Tensor) -> Tensor:
        return self.gru(z)[0][:, -1]


def _one_stage() -> Network:
    net = nn.Sequential(nn.Linear(3, 4), Site(), _LastOfGRU(), nn.Linear(2, CLASSES))
    return network(net, torch.randn(EXAMPLES, 3, 3))


def _called_once() -> Network:
    made = NETWORKS["lazy"].build()
    made.module(made.x)
    return made


REMEDIES: dict[str, Callable[[], Network]] = {
    "attention": lambda: NETWORKS["attention"].build()._replace(
        open=lambda: sdpa_kernel(SDPBackend.MATH)
    ),
    "encoder_layer_training": lambda: NETWORKS["encoder_layer_training"].build()._replace(
        open=lambda: sdpa_kernel(SDPBackend.MATH)
    ),
    "encoder_layer_evaluation": lambda: NETWORKS["encoder_layer_evaluation"].build()._replace(
        open=_WithoutFastPath
    ),
    "cube": NETWORKS["cube_with_jvp"].build,
    "checkpoint_reentrant": NETWORKS["checkpoint"].build,
    "tuple_between_stages": _one_stage,
    "weight_norm": _weight_norm,
    "spectral_norm": NETWORKS["spectral_norm_evaluation"].build,
    "spectral_norm_old": NETWORKS["spectral_norm_old_evaluation"].build,
    "embedding_max_norm": NETWORKS["embedding"].build,
    "embedding_bag": _bag,
    "complex": lambda: in_rows(_Complex()),
    "lazy": _called_once,
}  # fmt: skip


@pytest.mark.parametrize("name", REMEDIES)
def test_the_remedy_works(name):
    foreign = Foreign(name, REMEDIES[name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = foreign.build()
        point = admitted(net)
        assert not isinstance(point, str), point
        for estimator in (
            ForwardGradient(tangents=2),
            ActivityForwardGradient(),
            DirectFeedbackAlignment(),
            LocalLosses(inner=ForwardGradient()),
        ):
            assert verdict(foreign, net, point, estimator) == ""

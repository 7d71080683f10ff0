"""Parameters in unusual form: parametrised, pruned, tied, frozen, empty, complex, transposed."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

from estimators import Site
from tests.estimators.zoo.foreign import (
    CLASSES,
    EXAMPLES,
    Foreign,
    Network,
    classes,
    in_images,
    in_rows,
    network,
)


class _Symmetric(nn.Module):
    def forward(self, w: Tensor) -> Tensor:
        return w.triu() + w.triu(1).mT


class _Holding(nn.Module):
    """A module of parameters alone, and a function of them and the input."""

    def __init__(self, function, **parameters: Tensor) -> None:
        super().__init__()
        self.function = function
        for name, value in parameters.items():
            setattr(self, name, nn.Parameter(value))

    def forward(self, z: Tensor) -> Tensor:
        return self.function(self, z)


def _parametrised() -> nn.Module:
    made = nn.Linear(4, 4)
    parametrize.register_parametrization(made, "weight", _Symmetric())
    return made


def _old_weight_norm() -> nn.Module:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.utils.weight_norm(nn.Linear(4, 4))


def _old_spectral_norm(training: bool) -> nn.Module:
    return nn.utils.spectral_norm(nn.Linear(4, 4)).train(training)


def _pruned() -> nn.Module:
    made = nn.Linear(4, 4)
    prune.l1_unstructured(made, "weight", 0.5)
    return made


def _tied() -> Network:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.site = nn.Linear(4, 3, bias=False), Site()

        def forward(self, x: Tensor) -> Tensor:
            h = torch.tanh(self.site(x @ self.embed.weight))
            return self.embed(h)

    return network(Tied(), torch.randn(EXAMPLES, 3))


def _tied_stages() -> Network:
    first, last = nn.Linear(3, 3), nn.Linear(3, 3)
    last.weight = first.weight
    return network(nn.Sequential(first, Site(), nn.Tanh(), last), torch.randn(EXAMPLES, 3))


def _frozen_first() -> Network:
    """Frozen layers before the first site."""
    net = nn.Sequential(
        nn.Linear(3, 4).requires_grad_(False), Site(), nn.Tanh(),
        nn.Linear(4, 4), Site(), nn.Tanh(), nn.Linear(4, CLASSES),
    )  # fmt: skip
    return network(net, torch.randn(EXAMPLES, 3))


def _frozen_middle() -> Network:
    net = nn.Sequential(
        nn.Linear(3, 4), Site(), nn.Tanh(),
        nn.Linear(4, 4).requires_grad_(False), Site(), nn.Tanh(), nn.Linear(4, CLASSES),
    )  # fmt: skip
    return network(net, torch.randn(EXAMPLES, 3))


def _frozen_all() -> Network:
    made = _frozen_first()
    made.module.requires_grad_(False)
    return made


def _no_parameters() -> Network:
    return network(nn.Sequential(nn.Tanh(), Site(), nn.Tanh()), torch.randn(EXAMPLES, 3))


def _embedding(**options) -> Network:
    net = nn.Sequential(
        nn.Embedding(5, 2, **options), Site(), nn.Tanh(), nn.Flatten(), nn.Linear(6, CLASSES)
    )
    return network(net, torch.randint(5, (EXAMPLES, 3)))


def _embedding_bag(**options) -> Network:
    net = nn.Sequential(nn.EmbeddingBag(5, 3, **options), Site(), nn.Tanh(), nn.Linear(3, CLASSES))
    return network(net, torch.randint(5, (EXAMPLES, 3)))


def _complex() -> Network:
    def through(m, z):
        y = z.to(torch.complex128) @ m.w
        return torch.view_as_real(y).flatten(1)

    net = nn.Sequential(
        nn.Linear(3, 2),
        Site(),
        _Holding(through, w=torch.randn(2, 2, dtype=torch.complex128)),
        nn.Linear(4, CLASSES),
    )
    for m in (net[0], net[3]):
        m.double()
    return Network(net, torch.randn(EXAMPLES, 3).double(), classes(), nn.CrossEntropyLoss())


def _transposed() -> nn.Module:
    made = nn.Linear(4, 4)
    made.weight = nn.Parameter(torch.randn(4, 4).t())
    return made


def _sliced() -> nn.Module:
    """A parameter that is a view of every second row of a larger tensor."""
    made = nn.Linear(4, 4)
    made.weight = nn.Parameter(torch.randn(8, 4)[::2])
    return made


def _channels_last(norm: bool, site: bool = True) -> Network:
    layers = [nn.Conv2d(2, 2, 2), nn.GroupNorm(1, 2)] if norm else [nn.Conv2d(2, 2, 2)]
    marks = [Site()] if site else []
    net = nn.Sequential(*layers, *marks, nn.ReLU(), nn.Flatten(), nn.Linear(8, CLASSES))
    made = network(net, torch.randn(EXAMPLES, 2, 3, 3))
    return made._replace(
        module=made.module.to(memory_format=torch.channels_last),
        x=made.x.to(memory_format=torch.channels_last),
    )


def _starts_with_norm() -> Network:
    """A channels-last input that a GroupNorm reads first."""
    net = nn.Sequential(
        nn.GroupNorm(1, 2), Site(), nn.ReLU(), nn.Conv2d(2, 2, 2), nn.Flatten(),
        nn.Linear(8, CLASSES),
    )  # fmt: skip
    made = network(net, torch.randn(EXAMPLES, 2, 3, 3))
    return made._replace(x=made.x.to(memory_format=torch.channels_last))


def _permuted_norm() -> nn.Module:
    class Norm(nn.Module):
        """Channels last inside, as in ConvNeXt."""

        def __init__(self) -> None:
            super().__init__()
            self.map, self.norm = nn.Linear(2, 2), nn.GroupNorm(1, 2)

        def forward(self, z: Tensor) -> Tensor:
            return self.norm(self.map(z.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))

    return Norm()


def _typed(dtype: torch.dtype) -> Network:
    made = in_rows(nn.Tanh())
    return made._replace(module=made.module.to(dtype), x=made.x.to(dtype))


def _mixed_types() -> Network:
    class Cast(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z.float()

    net = nn.Sequential(nn.Linear(3, 4).double(), Site(), Cast(), nn.Linear(4, CLASSES))
    return Network(net, torch.randn(EXAMPLES, 3).double(), classes(), nn.CrossEntropyLoss())


def _autocast() -> Network:
    made = _typed(torch.float32)
    return made._replace(open=lambda: torch.autocast("cpu", torch.bfloat16))


def _lazy() -> Network:
    return network(
        nn.Sequential(nn.LazyLinear(4), Site(), nn.Tanh(), nn.LazyLinear(CLASSES)),
        torch.randn(EXAMPLES, 3),
    )


def _scale(m, z):
    return z * m.scale + m.shift


def _with_empty(m, z):
    return z @ m.w + m.empty.sum(0)


def _renormalised(m, z):
    m.w.data = torch.renorm(m.w.data, 2, 0, 0.5)  # as EEGNet's constrained layers do
    return z @ m.w


def _clamped(m, z):
    with torch.no_grad():
        m.w.clamp_(-0.1, 0.1)
    return z @ m.w


def _view_of(m, z):
    return z @ m.w[:4].view(4, 4) + m.w[4]


PARAMETERS = {
    "parametrised": lambda: in_rows(_parametrised()),
    "orthogonal": lambda: in_rows(parametrizations.orthogonal(nn.Linear(4, 4))),
    "weight_norm": lambda: in_rows(parametrizations.weight_norm(nn.Linear(4, 4))),
    "weight_norm_old": lambda: in_rows(_old_weight_norm()),
    "spectral_norm": lambda: in_rows(parametrizations.spectral_norm(nn.Linear(4, 4))),
    "spectral_norm_evaluation": lambda: in_rows(
        parametrizations.spectral_norm(nn.Linear(4, 4)).eval()
    ),
    "spectral_norm_old": lambda: in_rows(_old_spectral_norm(True)),
    "spectral_norm_old_evaluation": lambda: in_rows(_old_spectral_norm(False)),
    "pruned": lambda: in_rows(_pruned()),
    "tied": _tied,
    "tied_stages": _tied_stages,
    "frozen_first": _frozen_first,
    "frozen_middle": _frozen_middle,
    "frozen_all": _frozen_all,
    "no_parameters": _no_parameters,
    "embedding": lambda: _embedding(),
    "embedding_padding": lambda: _embedding(padding_idx=0),
    "embedding_scaled_by_frequency": lambda: _embedding(scale_grad_by_freq=True),
    "embedding_sparse": lambda: _embedding(sparse=True),
    "embedding_max_norm": lambda: _embedding(max_norm=0.5),
    "embedding_bag": lambda: _embedding_bag(mode="sum"),
    "embedding_bag_mean": lambda: _embedding_bag(mode="mean"),
    "embedding_bag_sparse": lambda: _embedding_bag(mode="sum", sparse=True),
    "complex": _complex,
    "transposed": lambda: in_rows(_transposed()),
    "sliced": lambda: in_rows(_sliced()),
    "channels_last": lambda: _channels_last(norm=False),
    "channels_last_group_norm": lambda: _channels_last(norm=True),
    "channels_last_starts_with_norm": _starts_with_norm,
    "permuted_group_norm": lambda: in_images(_permuted_norm(), 32),
    "float32": lambda: _typed(torch.float32),
    "bfloat16": lambda: _typed(torch.bfloat16),
    "float16": lambda: _typed(torch.float16),
    "mixed_types": _mixed_types,
    "autocast": _autocast,
    "lazy": _lazy,
    "scalars": lambda: in_rows(
        _Holding(_scale, scale=torch.tensor(0.7), shift=torch.tensor([0.1]))
    ),
    "empty": lambda: in_rows(_Holding(_with_empty, w=torch.randn(4, 4), empty=torch.zeros(0, 4))),
    "parameter_views": lambda: in_rows(_Holding(_view_of, w=torch.randn(5, 4))),
    "renormalised_in_forward": lambda: in_rows(_Holding(_renormalised, w=torch.randn(4, 4))),
    "clamped_in_forward": lambda: in_rows(_Holding(_clamped, w=torch.randn(4, 4))),
    "unused_parameter": lambda: in_rows(
        _Holding(lambda m, z: z * m.used, used=torch.randn(4), idle=torch.randn(2))
    ),
    "deep_lists": lambda: in_rows(nn.Sequential(nn.Sequential(nn.Sequential(nn.Linear(4, 4))))),
}

PRECISIONS = {
    "float32": torch.float32,
    "mixed_types": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "autocast": torch.bfloat16,
}
HELD = [
    Foreign(name, make, PRECISIONS.get(name, torch.float64)) for name, make in PARAMETERS.items()
]

"""Modules written by hand: functions of torch, custom derivatives, containers, calls."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from estimators import Site
from tests.estimators.zoo.foreign import (
    CLASSES,
    EXAMPLES,
    Apply,
    Foreign,
    Network,
    classes,
    in_rows,
    in_sequences,
    network,
)


class Cube(torch.autograd.Function):
    """x³, without a forward-mode derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return 3 * ctx.saved_tensors[0] ** 2 * g


class CubeWithJVP(torch.autograd.Function):
    """x³, with both derivatives."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x**3

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return 3 * ctx.saved_tensors[0] ** 2 * g

    @staticmethod
    def jvp(ctx: Any, t: Tensor) -> Tensor:
        return 3 * ctx.saved_tensors[0] ** 2 * t


def _masked(z: Tensor) -> Tensor:
    return z.masked_fill(z > 0.5, 0.5)


def _indexed(z: Tensor) -> Tensor:
    z = z.clone()
    z[:, 0] = z[:, 1] * 2
    return z


def _looped(z: Tensor) -> Tensor:
    for i in range(3):
        z = z + torch.tanh(z) if i % 2 else z.sin()
    return z


FUNCTIONS = {
    "einsum": lambda z: torch.einsum("bi,bj->bij", z, z).flatten(1)[:, :4],
    "fft": lambda z: torch.fft.rfft(z).abs().repeat(1, 2)[:, :4],
    "cumsum": lambda z: z.cumsum(1),
    "sort": lambda z: z.sort(1).values,
    "topk": lambda z: z.topk(4, 1).values,
    "where": lambda z: torch.where(z > 0, z, 0.1 * z),
    "masked_fill": _masked,
    "index_put": _indexed,
    "loop": _looped,
    "inverse": lambda z: torch.linalg.inv(z.view(-1, 2, 2) + 3 * torch.eye(2).to(z)).flatten(1),
    "cholesky": lambda z: torch.linalg.cholesky(
        z.view(-1, 2, 2) @ z.view(-1, 2, 2).mT + torch.eye(2).to(z)
    ).flatten(1),
    "gather": lambda z: z.gather(1, torch.tensor([[0, 2, 1, 3]]).expand(len(z), 4)),
    "complex_activation": lambda z: (torch.complex(z, z.sin()) ** 2).abs(),
    "chunk_and_cat": lambda z: torch.cat([c.tanh() for c in z.chunk(2, 1)][::-1], 1),
    "list_comprehension": lambda z: torch.stack([row.sin() for row in z]),
    "half_detached": lambda z: z.detach() * z,
    "cube": lambda z: Cube.apply(z),
    "cube_with_jvp": lambda z: CubeWithJVP.apply(z),
    "in_place_chain": lambda z: z.clone().mul_(2).add_(1).tanh_(),
    "inner_gradient": lambda z: torch.func.vmap(torch.func.grad(lambda r: r.sin().sum()))(z),
}


class _Keywords(nn.Module):
    """Calls an inner module with keywords and takes a dict back."""

    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Linear(4, 4)

        def forward(self, *, hidden: Tensor, scale: float = 1.0) -> dict[str, Tensor]:
            return {"hidden": self.map(hidden) * scale, "logits": hidden.sum(1)}

    def __init__(self) -> None:
        super().__init__()
        self.inner = self.Inner()

    def forward(self, z: Tensor) -> Tensor:
        return self.inner(hidden=z, scale=0.5)["hidden"]


class _Lists(nn.Module):
    """Parameters and modules in lists and dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.scales = nn.ParameterList([nn.Parameter(torch.randn(4)) for _ in range(2)])
        self.named = nn.ParameterDict({"shift": nn.Parameter(torch.randn(4))})
        self.maps = nn.ModuleList([nn.Linear(4, 4, bias=False)])
        self.acts = nn.ModuleDict({"tanh": nn.Tanh()})

    def forward(self, z: Tensor) -> Tensor:
        for s in self.scales:
            z = z * s + self.named["shift"]
        return self.acts["tanh"](self.maps[0](z))


class _Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Sequential(nn.Linear(4, 4), Site(), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        return z + self.map(z)


class _Checkpointed(nn.Module):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.map, self.reentrant = nn.Linear(4, 4), reentrant

    def forward(self, z: Tensor) -> Tensor:
        return checkpoint(self._run, z, use_reentrant=self.reentrant)  # type: ignore[return-value]

    def _run(self, z: Tensor) -> Tensor:
        return self.map(z).tanh()


class _Script(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(4, 4)

    def forward(self, z: Tensor) -> Tensor:
        return torch.relu(self.map(z)) + z


class _Counting(nn.Module):
    """Updates a buffer in the forward pass, and reads an integer one."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("order", torch.tensor([1, 0, 3, 2]))
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, z: Tensor) -> Tensor:
        self.calls += 1
        self.mean.lerp_(z.detach().mean(0), 0.1)
        return z[:, self.order]


class _Assigning(_Counting):
    """Assigns a new tensor to a buffer in the forward pass."""

    def forward(self, z: Tensor) -> Tensor:
        self.mean = 0.9 * self.mean + 0.1 * z.detach().mean(0)
        self.calls = self.calls + 1
        return z[:, self.order]


class _NoGrad(nn.Module):
    """Its parameters get no gradient, because it runs under no_grad."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(4, 4)

    def forward(self, z: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.tanh(self.map(z))


class _Tuple(nn.Module):
    """Returns a tuple, which the loss unpacks."""

    def __init__(self, kind: type) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), Site(), nn.Tanh())
        self.head, self.kind = nn.Linear(4, CLASSES), kind

    def forward(self, x: Tensor) -> Any:
        h = self.body(x)
        return (self.head(h), h) if self.kind is tuple else {"logits": self.head(h), "h": h}


def _tuple(kind: type) -> Network:
    key: Any = 0 if kind is tuple else "logits"
    cross_entropy = nn.CrossEntropyLoss()
    return network(
        _Tuple(kind), torch.randn(EXAMPLES, 3), lambda out, y: cross_entropy(out[key], y)
    )


def _scripted() -> Network:
    return in_rows(torch.jit.script(_Script()))


def _traced() -> Network:
    made = _Script().double()
    return in_rows(torch.jit.trace(made, torch.randn(2, 4).double()))


def _compiled() -> Network:
    return in_rows(torch.compile(_Script(), backend="eager"))  # type: ignore[arg-type]


def _hooked() -> Network:
    made = nn.Linear(4, 4)
    made.register_forward_hook(lambda m, i, o: 1.5 * o)
    made.register_forward_pre_hook(lambda m, i: (i[0] * 0.5,))
    return in_rows(made)


def _backward_hooked() -> Network:
    made = nn.Linear(4, 4)
    made.register_full_backward_hook(lambda m, gi, go: (1 * gi[0],))
    return in_rows(made)


def _site_alone() -> Network:
    """A site and a non-linearity among the stages, as in the README."""
    return network(
        nn.Sequential(nn.Linear(3, 4), Site(), nn.ReLU(), nn.Linear(4, CLASSES)),
        torch.randn(EXAMPLES, 3),
    )


def _identity_stages() -> Network:
    return network(
        nn.Sequential(
            nn.Identity(), nn.Linear(3, 4), nn.Identity(), Site(), nn.Tanh(), nn.Identity(),
            nn.Linear(4, CLASSES), nn.Identity(),
        ),
        torch.randn(EXAMPLES, 3),
    )  # fmt: skip


def _one_number() -> Network:
    """Outputs of shape (B,)."""
    net = nn.Sequential(nn.Linear(3, 4), Site(), nn.Tanh(), nn.Linear(4, 1), nn.Flatten(0))
    y = (torch.arange(EXAMPLES) % 2).double()
    return network(net, torch.randn(EXAMPLES, 3), nn.BCEWithLogitsLoss(), y)


def _regression() -> Network:
    net = nn.Sequential(nn.Linear(3, 4), Site(), nn.Tanh(), nn.Linear(4, 2))
    return network(net, torch.randn(EXAMPLES, 3), nn.MSELoss(), torch.randn(EXAMPLES, 2).double())


def _one_example() -> Network:
    net = nn.Sequential(nn.Linear(3, 4), Site(), nn.Tanh(), nn.Linear(4, CLASSES))
    return network(net, torch.randn(1, 3))


def _needs_input_gradient() -> Network:
    made = _site_alone()
    return made._replace(x=made.x.clone().requires_grad_())


def _input_with_history() -> Network:
    made = _site_alone()
    w = torch.ones(3, dtype=torch.float64, requires_grad=True)
    return made._replace(x=made.x * w)


def _plain_module() -> Network:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(4, CLASSES)
            self.site = Site()

        def forward(self, x: Tensor) -> Tensor:
            return self.b(torch.tanh(self.site(self.a(x))))

    return network(Net(), torch.randn(EXAMPLES, 3))


def _nested() -> Network:
    inner = nn.Sequential(nn.Sequential(nn.Linear(4, 4), Site()), nn.Sequential(nn.ReLU()))
    return in_rows(nn.Sequential(inner, nn.Sequential()))


def _tuple_between_stages() -> Network:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Linear(2, CLASSES)

        def forward(self, outputs: Any) -> Tensor:
            return self.map(outputs[0][:, -1])

    net = nn.Sequential(nn.Linear(3, 4), Site(), nn.GRU(4, 2, batch_first=True), Last())
    return network(net, torch.randn(EXAMPLES, 3, 3))


def _used_twice() -> Network:
    made = nn.Linear(4, 4)
    return in_rows(nn.Sequential(made, nn.Tanh(), made))


def _linear_last_frozen() -> Network:
    made = _site_alone()
    made.module[3].requires_grad_(False)  # type: ignore[index]
    return made


def _no_gradient_reaches() -> Network:
    return in_rows(Apply(lambda z: z.detach()))


HAND_WRITTEN = {
    "keywords_and_dicts": lambda: in_rows(_Keywords()),
    "parameter_lists": lambda: in_rows(_Lists()),
    "residual": lambda: in_rows(_Residual()),
    "checkpoint": lambda: in_rows(_Checkpointed(reentrant=False)),
    "checkpoint_reentrant": lambda: in_rows(_Checkpointed(reentrant=True)),
    "scripted": _scripted,
    "traced": _traced,
    "compiled": _compiled,
    "hooks": _hooked,
    "backward_hook": _backward_hooked,
    "counting_buffers": lambda: in_rows(_Counting()),
    "assigned_buffers": lambda: in_rows(_Assigning()),
    "no_grad_inside": lambda: in_rows(_NoGrad()),
    "tuple_output": lambda: _tuple(tuple),
    "dict_output": lambda: _tuple(dict),
    "site_among_stages": _site_alone,
    "identities_among_stages": _identity_stages,
    "one_number": _one_number,
    "regression": _regression,
    "one_example": _one_example,
    "input_requires_grad": _needs_input_gradient,
    "input_with_history": _input_with_history,
    "plain_module": _plain_module,
    "nested": _nested,
    "tuple_between_stages": _tuple_between_stages,
    "used_twice": _used_twice,
    "last_frozen": _linear_last_frozen,
    "detached": _no_gradient_reaches,
    "sequence_functions": lambda: in_sequences(Apply(lambda z: z.transpose(1, 2) @ z), 16),
}

WRITTEN = [
    *(Foreign(name, lambda f=f: in_rows(Apply(f))) for name, f in FUNCTIONS.items()),
    *(Foreign(name, make) for name, make in HAND_WRITTEN.items()),
]

__all__ = ["WRITTEN", "classes"]

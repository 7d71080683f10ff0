"""A small causal transformer, with the structure and the initial weights of GPT-2."""

from dataclasses import dataclass
from math import sqrt
from typing import Annotated, ClassVar

import torch
from torch import Generator, Tensor, nn

from backend.training.networks.contract import ACTIVATIONS, Activation, Network, named
from estimators.core.bounds import Ge, Le, Unit
from estimators.core.site import Site

STD = 0.02
"""Standard deviation of the initial weights, as in GPT-2."""


@dataclass(frozen=True)
class GPT(Network):
    """Causal transformer: embeddings, `depth` pre-LN blocks, a normalised linear head.

    h ← h + attention(norm(h)), then h ← h + MLP(norm(h)). The output at a position reads the
    tokens up to it. There is a site behind the embeddings and after each normalisation: all that
    the residual stream is read by. Attention is made of plain matrix products, so that forward mode
    exists. There is no dropout.

    Source: Radford, Wu, Child, Luan, Amodei and Sutskever (2019), GPT-2; weights are drawn from
    N(0, 0.02²), those that write to the residual stream from N(0, 0.02² / 2·depth).
    """

    title = "GPT"

    width: Annotated[int, Ge(1), Le(8192), Unit("units")] = 64
    """Units of the residual stream (D); a multiple of `heads`."""
    heads: Annotated[int, Ge(1), Le(128), Unit("heads")] = 4
    """Attention heads, each of width / heads units."""
    depth: Annotated[int, Ge(1), Le(64), Unit("blocks")] = 2
    """Number of blocks."""
    mlp_ratio: Annotated[int, Ge(1), Le(16)] = 4
    """Hidden units of a block's MLP over its width."""
    activation: Activation = "gelu"
    """Non-linearity of the MLPs."""
    tied: bool = False
    """The head's weights are the token embedding's. Methods that work stage by stage then refuse
    the network, since one weight belongs to two stages."""

    takes_tokens: ClassVar[bool] = True

    def layout(self, shape: tuple[int, ...], classes: int) -> nn.Sequential:
        if self.width % self.heads:
            raise ValueError(
                f"width is {self.width}; it must be a multiple of the number of heads, {self.heads}"
            )
        (context,) = shape
        blocks = {f"block{i}": self._block() for i in range(1, self.depth + 1)}
        head = named(
            norm=nn.LayerNorm(self.width),
            site=_site(),
            linear=nn.Linear(self.width, classes, bias=not self.tied),
        )
        module = named(embed=Embed(classes, context, self.width), **blocks, head=head)
        return self._tie(module)

    def build(self, shape: tuple[int, ...], classes: int, rng: Generator) -> nn.Sequential:
        module = self._tie(super().build(shape, classes, rng))
        with torch.no_grad():
            for name, p in module.named_parameters():
                if name.endswith("write.weight"):
                    p.mul_(1 / sqrt(2 * self.depth))
        return module

    def _block(self) -> nn.Sequential:
        hidden = self.mlp_ratio * self.width
        attention = named(
            norm=nn.LayerNorm(self.width),
            site=_site(),
            read=nn.Linear(self.width, 3 * self.width),
            attend=CausalAttention(self.heads),
            write=nn.Linear(self.width, self.width),
        )
        mlp = named(
            norm=nn.LayerNorm(self.width),
            site=_site(),
            read=nn.Linear(self.width, hidden),
            activation=ACTIVATIONS[self.activation](),
            write=nn.Linear(hidden, self.width),
        )
        return named(attention=Residual(attention), mlp=Residual(mlp))

    def _tie(self, module: nn.Sequential) -> nn.Sequential:
        """The module, with one weight for the embedding and the head if they are tied."""
        if self.tied:
            tokens = module.get_submodule("embed.token")
            module.get_submodule("head.linear").weight = tokens.weight
        return module

    def _initialise(self, part: nn.Module, rng: Generator) -> None:
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.normal_(part.weight, std=STD, generator=rng)
            if isinstance(part, nn.Linear) and part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.LayerNorm):
            part.reset_parameters()


class Embed(nn.Module):
    """(B, T) -> (B, T, D): a vector for each token and one for its position."""

    def __init__(self, vocabulary: int, context: int, width: int) -> None:
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(context, width)
        self.site = _site()

    def forward(self, x: Tensor) -> Tensor:
        return self.site(self.token(x) + self.position.weight[: x.shape[1]])


class Residual(nn.Module):
    """h + f(h)."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, h: Tensor) -> Tensor:
        return h + self.inner(h)


class CausalAttention(nn.Module):
    """softmax(Q Kᵀ / √d + mask) V for each head: (B, T, 3 D) -> (B, T, D)."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, qkv: Tensor) -> Tensor:
        split = qkv.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (3, B, H, T, d)
        q, k, v = split.unbind(0)
        scores = q @ k.transpose(2, 3) / sqrt(q.shape[3])  # (B, H, T, T)
        later = torch.ones(scores.shape[2:], dtype=torch.bool, device=qkv.device).triu(1)
        weights = scores.masked_fill(later, -torch.inf).softmax(3)
        return (weights @ v).transpose(1, 2).flatten(2)

    def extra_repr(self) -> str:
        return f"{self.heads} heads"


def _site() -> Site:
    return Site(("position", "unit"))

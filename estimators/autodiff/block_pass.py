"""`BlockPass`: a forward pass cut at the boundaries; signals go back, and tangents forward, block
by block.

Block b maps h_{b−1} to h_b, the activation at boundary b. The last block, the readout, ends in the
loss. `push` and `push_to_losses` are forward mode through one block, with K tangents at once.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import jvp, vmap

from estimators.core.contract import Params, UnsupportedError
from estimators.core.objective import Chain
from estimators.core.structure import PerNetwork
from estimators.core.vectors import dense

Function = Callable[[Tensor], Tensor]

_PARTS = PerNetwork[tuple[Chain, ...]]()


def parts_of(chain: Chain) -> tuple[Chain, ...]:
    """The blocks as chains of their own, worked out once for each network."""
    return _PARTS.get_or_make(chain, None, lambda: tuple(map(chain.part, chain.blocks)))


def names_in(part: Chain, params: Params) -> list[str]:
    """The names of a block's parameters, of those in `params`."""
    return [name for name, _ in part.module.named_parameters() if name in params]


def refuse_tied(chain: Chain) -> None:
    """Raise UnsupportedError for a weight that two blocks share: its name is the first block's."""
    names = {name for name, _ in chain.module.named_parameters()}
    for part in parts_of(chain):
        for name, _ in part.module.named_parameters():
            if name not in names:
                raise UnsupportedError(
                    f"{name} is tied to a weight of an earlier block; blocks that have losses or "
                    "guesses of their own take weights of their own: untie it"
                )


def outputs_of_blocks(
    chain: Chain, *, positions: bool = False
) -> tuple[list[Tensor], tuple[int, ...]]:
    """The activation at each boundary, and the shape of an example's output, for heads behind
    the blocks: (classes,), or (T, classes) if `positions` and each of T positions has a target.

    Raises UnsupportedError where the network's output is another one.
    """
    ends: list[Tensor] = []

    def keep(_: int, h: Tensor) -> Tensor:
        ends.append(h)
        return h

    with torch.no_grad():
        output = chain.forward({}, at_stage=keep)
    each_position = output.ndim == 3 and output.shape[:2] == chain.y.shape
    if output.ndim != 2 and not (positions and each_position):
        raise UnsupportedError(
            "local losses need an output of one number a class, (B, classes); this network's has "
            f"shape {tuple(output.shape)}"
        )
    return ends, tuple(output.shape[1:])


class BlockPass:
    """A forward pass at `params`, block by block, that pulls signals back through each block.

    Args:
        chain: A network with boundaries.
        params: Its parameters by name.
        record: Whether to keep the graph of every block, and so all activations. Else a block is
            run again when a signal is pulled back through it.
    """

    def __init__(self, chain: Chain, params: Params, *, record: bool) -> None:
        self.y = chain.y
        self.parts = parts_of(chain)
        self.params = params
        self.inputs: list[Tensor] = [chain.x]
        """h_{b−1} of each block b; the first is the network's input."""
        self._record = record
        self._graphs: list[tuple[Tensor, dict[str, Tensor], Tensor] | None] = []
        for b in range(len(self.parts) - 1):
            graph = self._run(b) if record else None
            self._graphs.append(graph)
            self.inputs.append(self._output(b) if graph is None else graph[2].detach())
        self._readout: tuple[Tensor, Tensor, dict[str, Tensor]] | None = None
        self._exact: dict[tuple[int, bool], tuple[Tensor, dict[str, Tensor]]] = {}

    @property
    def outputs(self) -> list[Tensor]:
        """h_b at each boundary, without a graph."""
        return self.inputs[1:]

    @property
    def loss(self) -> Tensor:
        """L(θ), (), without a graph."""
        return self._read()[0]

    @property
    def readout_grads(self) -> dict[str, Tensor]:
        """∂L/∂θ of the readout's own parameters."""
        return self._read()[2]

    def back(
        self, block: int, signal: Tensor, *, to_input: bool = False, to_params: bool = False
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """The signal at h_b pulled back: at the block's input, and by its parameters."""
        graph = self._graphs[block] if self._record else self._run(block)
        assert graph is not None
        start, leaves, end = graph
        if not end.requires_grad:
            zeros = {n: torch.zeros_like(p) for n, p in leaves.items()} if to_params else {}
            return (torch.zeros_like(start) if to_input else None), zeros
        wanted = [*([start] if to_input else []), *(leaves.values() if to_params else [])]
        if not wanted:  # all of the block's parameters are frozen
            return None, {}
        grads = torch.autograd.grad(
            end, wanted, signal, retain_graph=self._record, materialize_grads=True
        )
        at_input = grads[0] if to_input else None
        rest = grads[1:] if to_input else grads
        return at_input, {n: dense(g) for n, g in zip(leaves, rest, strict=False)}

    def exact_signal(self, block: int) -> Tensor:
        """∂L/∂h_b."""
        if block == len(self.parts) - 2:
            return self._read()[1]
        return self._exact_back(block + 1)[0]

    def exact_grads(self, block: int) -> dict[str, Tensor]:
        """∂L/∂θ of a block's parameters. Ask for the last block's first: one pass serves all."""
        return self._exact_back(block, to_params=True)[1]

    def _exact_back(
        self, block: int, *, to_params: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        for key in ((block, True), (block, to_params)):
            if key in self._exact:
                return self._exact[key]
        first = block == 0
        signal = self.exact_signal(block)
        at_input, grads = self.back(block, signal, to_input=not first, to_params=to_params)
        result = (signal if at_input is None else at_input), grads
        self._exact[block, to_params] = result
        return result

    def _run(self, block: int) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """(input, parameters, output) with a graph from the first two to the last."""
        part, h = self.parts[block], self.inputs[block]
        leaves = {n: self.params[n].detach().requires_grad_() for n in names_in(part, self.params)}
        start = h.detach().requires_grad_(h.is_floating_point())
        with torch.enable_grad():
            # A copy, because the block may begin with an in-place non-linearity.
            end = part.on(start.clone(), self.y).forward(leaves)
        return start, leaves, end

    @torch.no_grad()
    def _output(self, block: int) -> Tensor:
        part = self.parts[block]
        own = {n: self.params[n] for n in names_in(part, self.params)}
        return part.on(self.inputs[block].clone(), self.y).forward(own)

    def _read(self) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """(loss, ∂L/∂h at the readout's input, its parameters' gradients)."""
        if self._readout is None:
            start, leaves, end = self._run(len(self.parts) - 1)
            with torch.enable_grad():
                loss = self.parts[-1].on(start, self.y).loss(end)
            grads = torch.autograd.grad(loss, [start, *leaves.values()], materialize_grads=True)
            by_name = {n: dense(g) for n, g in zip(leaves, grads[1:], strict=True)}
            self._readout = loss.detach(), grads[0], by_name
        return self._readout


def push(part: Chain, params: Params, h: Tensor, y: Tensor, tangents: Tensor) -> Tensor:
    """The K tangents of a block's output, (K, B, ...), for those of its input h."""
    own = {n: params[n] for n in names_in(part, params)}
    return _pushed(lambda x: part.on(x, y).forward(own), h, tangents)


def push_to_losses(part: Chain, params: Params, h: Tensor, y: Tensor, tangents: Tensor) -> Tensor:
    """∂ℓ along K tangents of the input h of a chain that ends in losses.

    Returns:
        (K, B), of each example's loss; or (K,) where the loss is one number.
    """
    own = {n: params[n] for n in names_in(part, params)}

    def losses(x: Tensor) -> Tensor:
        here = part.on(x, y)
        return here.losses(here.forward(own))

    slopes = _pushed(losses, h, tangents)
    return slopes.flatten(2).mean(2) if slopes.ndim > 2 else slopes


def tangents_of_output(part: Chain, params: Params, h: Tensor, y: Tensor, moved: Params) -> Tensor:
    """The tangents of a block's output for each parameter in `moved` alone, (K, B, ...)."""
    own = {n: params[n] for n in names_in(part, params)}

    def moved_by(name: str) -> Tensor:
        with torch.no_grad(), forward_ad.dual_level():
            dual = {name: forward_ad.make_dual(own[name].detach(), moved[name])}
            output = part.on(h.clone(), y).forward({**own, **dual})
            primal, tangent = forward_ad.unpack_dual(output)
            return torch.zeros_like(primal) if tangent is None else tangent

    return torch.stack([moved_by(name) for name in moved])


def _pushed(run: Function, h: Tensor, tangents: Tensor) -> Tensor:
    """The K tangents of run(h): one by dual numbers, several batched where that is possible."""
    if len(tangents) > 1:
        try:
            with torch.no_grad():
                return vmap(lambda t: jvp(lambda x: run(x.clone()), (h,), (t,))[1])(tangents)
        except RuntimeError:  # not every operation can be batched
            pass
    return torch.stack([_dual(run, h, t) for t in tangents])


def _dual(run: Function, h: Tensor, tangent: Tensor) -> Tensor:
    with torch.no_grad(), forward_ad.dual_level():
        output = run(forward_ad.make_dual(h.clone(), tangent.clone()))
        primal, moved = forward_ad.unpack_dual(output)
        return torch.zeros_like(primal) if moved is None else moved

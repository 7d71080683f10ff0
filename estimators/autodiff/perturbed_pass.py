"""One pass in which every site is perturbed, cut at the sites: what node perturbation needs.

`perturb` gives each example's derivative along the noise and pulls signals back within their
segments. The tangents go forward to the last site; what they do to the loss from there is read
off the gradient at that site, which the parameters behind it need anyway. Where examples are
coupled, units have losses of their own, or a path goes round the last site, the tangents go
all the way; where a network does what no rule covers, dual numbers do (twice as slow).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from estimators.autodiff.calculus import cut_at_sites, pull_back, push_forward_from_sites
from estimators.autodiff.jvp_mode import JVPMode, LinearMap, NoRuleError
from estimators.autodiff.rules import RULES
from estimators.autodiff.sequential_jvp import SequentialJVP
from estimators.core.contract import Need, Params, UnsupportedError
from estimators.core.noise import signs
from estimators.core.objective import Chain

Noise = Callable[[int, Tensor], Tensor]
"""(index of a site, its activation) -> its tangent, or K > 1 of them, (K, *shape); an axis may
have length 1."""

Grads = dict[str, Tensor | None]

Pull = Callable[[Sequence[Tensor]], dict[str, Tensor]]


class Perturbed:
    """The outcome of one perturbed pass."""

    def __init__(
        self,
        loss: Tensor,
        coefficients: Tensor,
        noise: list[Tensor],
        pull: Pull,
    ) -> None:
        self.loss = loss
        """(), the mean over the batch."""
        self.coefficients = coefficients
        """∂ℓ_n along the noise, divided by the number of losses: (B, *units), or () if L is one
        number; with an axis K before these where K > 1."""
        self.noise = noise
        """What was added at each site, K tangents each."""
        self.pull_back = pull
        """Σ_l (∂z_l/∂θ)ᵀ s_l between the sites, and the exact gradient behind the last."""


def perturb(chain: Chain, params: Params, noise: Noise, count: int = 1) -> Perturbed:
    """Run once, adding K = `count` tangents at every site."""
    route = chain.known.get("route")
    if route is None:  # tried without noise, so that the draws do not depend on what is known
        route = chain.known["route"] = _route(chain, params)
    try:
        return route(chain, params, noise, count)
    except NoRuleError:  # it has hooks by now, or other parameters are asked for
        route = chain.known["route"] = _route(chain, params)
        return route(chain, params, noise, count)


Route = Callable[[Chain, Params, Noise, int], "Perturbed"]


def _route(chain: Chain, params: Params) -> Route:
    """The fastest way that gives what dual numbers give: nothing then escaped its rules."""
    sure = _tried(_by_duals, chain, params)
    coupled = not chain.separable or chain.loss_units
    for make in [_to_the_end] if coupled else [_walking, _to_the_last_site, _to_the_end]:
        try:
            route = make(chain)
            found = _tried(route, chain, params)
        except NoRuleError:
            continue
        if _close(found[:1], sure[:1]) and _close(found[1:], sure[1:]):
            return route
    return _by_duals


def _tried(route: Route, chain: Chain, params: Params) -> list[Tensor]:
    """Coefficients and gradients of one pass, from signs that are always the same.

    Near the parameters, not at them: behind a head or a gate of zero all ways look right.
    """
    chain, params = chain.moved(params, _nearby)

    def still(_: int, z: Tensor) -> Tensor:
        rng = torch.Generator(z.device).manual_seed(0)
        return signs(z.numel(), z.dtype, z.device, rng).view(z.shape)

    found = route(chain, params, still, 1)
    return [found.coefficients, *found.pull_back(found.noise).values()]


def _nearby(params: Params) -> dict[str, Tensor]:
    """Every weight moved, by about half of what it has at a usual beginning, always the same."""
    rng = {p.device: torch.Generator(p.device).manual_seed(0) for p in params.values()}
    moved = {}
    for name, p in params.items():
        fan_in = p[0].numel() if p.ndim > 1 else 1
        v = torch.empty_like(p, requires_grad=False).normal_(generator=rng[p.device])
        moved[name] = torch.add(p.detach(), v, alpha=0.5 * fan_in**-0.5)
    return moved


def _close(found: list[Tensor], sure: list[Tensor]) -> bool:
    """To the largest of them all: a bias before a norm has a gradient of rounding errors alone."""
    scale = max(s.abs().max().item() for s in sure)
    return all(
        torch.allclose(f, s, rtol=1e-2, atol=1e-3 * scale + 1e-12)
        for f, s in zip(found, sure, strict=True)
    )


def unperturbed(chain: Chain, params: Params) -> Perturbed:
    """The pass alone: ℓ_n over their number as coefficients, and the pull-back between sites."""
    cut = cut_at_sites(chain, params)
    _need_sites(cut.places)
    losses = cut.losses.detach()
    return Perturbed(
        losses.mean(), losses / losses.numel(), [], lambda signals: pull_back(cut, signals)
    )


# --- tangents carried by rules ---


def _walking(chain: Chain) -> Route:
    walk = SequentialJVP(chain)

    def route(chain: Chain, params: Params, noise: Noise, count: int) -> Perturbed:
        carrier = JVPMode(params, RULES, count)
        sites = _Sites(carrier, noise, None)
        with torch.enable_grad():
            output = walk.run(chain.x, carrier, sites.perturb)
        return sites.written(chain, output)

    return route


def _to_the_last_site(chain: Chain) -> Route:
    def route(chain: Chain, params: Params, noise: Noise, count: int) -> Perturbed:
        carrier = JVPMode(params, RULES, count)
        sites = _Sites(carrier, noise, len(chain.places) - 1)
        losses = _watched(chain, carrier, sites)
        with torch.enable_grad():
            loss = losses.mean()
        return sites.backwards(chain, loss)

    return route


def _to_the_end(chain: Chain) -> Route:
    def route(chain: Chain, params: Params, noise: Noise, count: int) -> Perturbed:
        carrier = JVPMode(params, RULES, count)
        sites = _Sites(carrier, noise, None)
        losses = _watched(chain, carrier, sites)
        c = carrier.get(losses)
        shape = losses.shape if count == 1 else (count, *losses.shape)
        c = losses.new_zeros(shape) if c is None else c.detach() / losses.numel()
        behind = _Behind(carrier)
        with torch.enable_grad():
            loss = losses.mean()
        behind.derive(loss)
        return sites.found(loss, c, behind)

    return route


def _watched(chain: Chain, carrier: JVPMode, sites: "_Sites") -> Tensor:
    """The losses, with the carrier watching every call."""
    for name in carrier.raw:
        carrier.leaf(name)

    def perturb(site: int, z: Tensor) -> Tensor:
        with torch._C.DisableTorchFunction():
            return sites.perturb(site, z)

    with torch.enable_grad(), carrier:
        return chain.losses(chain.forward(carrier.leaves, at_site=perturb))


class _Sites:
    """What happens at the sites of one pass."""

    def __init__(self, carrier: JVPMode, noise: Noise, last: int | None) -> None:
        self._carrier, self._noise, self._last = carrier, noise, last
        self._places: list[Tensor] = []
        self._us: list[Tensor] = []

    def perturb(self, site: int, z: Tensor) -> Tensor:
        """z, cut off from its graph, with a tangent."""
        carrier, value = self._carrier, z.detach()
        t = u = self._noise(site, value)
        before = carrier.get(z)
        self._us.append(u)
        self._places.append(z)
        if before is not None:
            t = before + u
        elif u.shape[u.ndim - z.ndim :] != z.shape:
            t = u.expand(*u.shape[: u.ndim - z.ndim], *z.shape)
        if site == self._last:
            carrier.finish(value.requires_grad_(), t)
        else:
            carrier.put(value, t)
        return value

    def written(self, chain: Chain, output: Tensor) -> Perturbed:
        """The output as one more place, whose signal is the error ∂L/∂output."""
        carrier, places = self._carrier, [*self._places, output]
        t = carrier.get(output)
        if t is None:
            raise NoRuleError
        loss, e = chain.loss_and_error(output)
        c, behind = _slopes_of(chain, e, t, carrier.count), _Behind(carrier)
        return Perturbed(loss, c, self._us, lambda s: behind.pull_back(places, [*s, e]))

    def backwards(self, chain: Chain, loss: Tensor) -> Perturbed:
        """The coefficients, from the gradient at the last site."""
        behind, end = _Behind(self._carrier), self._carrier.end
        error = behind.derive(loss)
        if end is None or error is None:
            raise UnsupportedError(f"no Site() reaches the loss; {Need.SITES.value} is needed")
        c = _slopes_of(chain, error, end[1], self._carrier.count)
        return self.found(loss, c, behind)

    def found(self, loss: Tensor, c: Tensor, behind: "_Behind") -> Perturbed:
        _need_sites(self._places)
        pull: Pull = lambda signals: behind.pull_back(self._places, signals)  # noqa: E731
        return Perturbed(loss.detach(), c, self._us, pull)


def _slopes_of(chain: Chain, g: Tensor, t: Tensor, count: int) -> Tensor:
    """How each example's loss moves, (B,) or (K, B): its tangent times the gradient there."""
    examples = chain.x.shape[0]
    if g.shape[0] != examples:
        raise UnsupportedError(_not_the_batch(g.shape[0], examples))
    if g.ndim != 2:
        g = g.flatten(1)
        t = t.reshape(g.shape if count == 1 else (count, *g.shape))
    return (t * g).sum(-1)


class _Behind:
    """The gradient of the loss between the cuts, and what is added to it from the sites."""

    def __init__(self, carrier: JVPMode) -> None:
        self._carrier = carrier
        self._maps = list(carrier.maps.values())
        self._at: list[Tensor | None] = [None] * len(self._maps)
        self._grads: Grads = {}

    def derive(self, loss: Tensor) -> Tensor | None:
        """Take in what reaches parameters with no site between; give the gradient at the end."""
        carrier = self._carrier
        ends = [] if carrier.end is None else [carrier.end[0]]
        count = len(ends) + len(self._maps)
        inputs = [*ends, *(m.y for m in self._maps), *carrier.leaves.values()]
        if not loss.requires_grad:
            return None
        found = torch.autograd.grad(loss, inputs, allow_unused=True, retain_graph=True)
        self._at = [*found[len(ends) : count]]
        self._grads = dict(zip(carrier.leaves, found[count:], strict=True))
        return found[0] if ends else None

    def pull_back(self, places: list[Tensor], signals: Sequence[Tensor]) -> dict[str, Tensor]:
        at, grads = list(self._at), dict(self._grads)
        index = {id(m.y): i for i, m in enumerate(self._maps)}
        inner = []
        for z, s in zip(places, signals, strict=True):
            i = index.get(id(z))
            if i is not None:
                at[i] = _sum(at[i], s)
            elif z.requires_grad:
                inner.append((z, s))
        if inner:
            self._pull_inner(inner, at, grads)
        for m, s in zip(self._maps, at, strict=True):
            if s is not None:
                self._pull_map(m, s, grads)
        found = ((n, p, grads.get(n)) for n, p in self._carrier.raw.items())
        return {n: torch.zeros_like(p) if g is None else g for n, p, g in found}

    def _pull_inner(
        self, inner: list[tuple[Tensor, Tensor]], at: list[Tensor | None], grads: Grads
    ) -> None:
        """Through what lies between a map and a site, a norm for instance."""
        begun = [i for i, m in enumerate(self._maps) if m.y.requires_grad]
        leaves = self._carrier.leaves
        found = torch.autograd.grad(
            [z for z, _ in inner],
            [*(self._maps[i].y for i in begun), *leaves.values()],
            [s for _, s in inner],
            allow_unused=True,
        )
        for i, g in zip(begun, found, strict=False):
            at[i] = _sum(at[i], g)
        for name, g in zip(leaves, found[len(begun) :], strict=True):
            grads[name] = _sum(grads.get(name), g)

    def _pull_map(self, m: LinearMap, s: Tensor, grads: Grads) -> None:
        if m.x._version != m.version:
            raise RuntimeError(f"the input of {m.weight} was modified by an inplace operation")
        raw = self._carrier.raw
        w, b = m.pull(s, m.x, raw[m.weight], None if m.bias is None else raw[m.bias])
        grads[m.weight] = _sum(grads.get(m.weight), w)
        if m.bias is not None:
            grads[m.bias] = _sum(grads.get(m.bias), b)


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b


# --- dual numbers from end to end ---


def _by_duals(chain: Chain, params: Params, noise: Noise, count: int) -> Perturbed:
    cut = cut_at_sites(chain, params)
    _need_sites(cut.places)
    us = [noise(i, z.detach()) for i, z in enumerate(cut.places)]
    slopes = [
        _slopes(chain, params, us if count == 1 else [u[k] for u in us]) for k in range(count)
    ]
    c = (slopes[0] if count == 1 else torch.stack(slopes)) / cut.losses.numel()
    return Perturbed(cut.losses.detach().mean(), c, us, lambda signals: pull_back(cut, signals))


def _slopes(chain: Chain, params: Params, us: list[Tensor]) -> Tensor:
    row = iter(us)
    return push_forward_from_sites(chain, params, lambda z: next(row).expand_as(z))[1]


def _need_sites(places: list[Tensor]) -> None:
    if not places:
        raise UnsupportedError(f"no Site() was passed; {Need.SITES.value} is needed")


def _not_the_batch(rows: int, examples: int) -> str:
    return f"a site's first axis must be the batch: it has {rows} rows for {examples} examples"

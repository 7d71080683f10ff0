"""GPT: what an output reads, its derivatives, its first weights, its stages and sites."""

from math import sqrt

import pytest
import torch
from torch.nn import functional as F

from backend.training.networks import networks
from backend.training.networks.gpt import GPT
from estimators import Chain, Site, stream
from estimators.autodiff.calculus import push_forward
from estimators.core.token_loss import token_cross_entropy

VOCABULARY, CONTEXT = 7, 6
SMALL = GPT(width=8, heads=2, depth=2, mlp_ratio=2)


def built(network=SMALL, seed=0, large=True):
    """In float64; large weights, so that attention is far from uniform."""
    module = network.build((CONTEXT,), VOCABULARY, stream(seed, "init")).double()
    if large:
        with torch.no_grad():
            for p in module.parameters():
                p.normal_(std=0.5, generator=stream(seed, "data"))
    return module


def tokens(count=3, seed=0):
    return torch.randint(VOCABULARY, (count, CONTEXT), generator=stream(seed, "data", "tokens"))


def test_it_is_in_the_catalogue():
    assert networks()["gpt"] is GPT


@pytest.mark.parametrize("tied", [False, True])
def test_it_equals_the_same_network_by_torch_s_own_attention(tied):
    module = built(GPT(width=8, heads=2, depth=2, mlp_ratio=2, tied=tied))
    p, x = dict(module.named_parameters(remove_duplicate=False)), tokens()
    linear = lambda name, h: F.linear(h, p[f"{name}.weight"], p.get(f"{name}.bias"))  # noqa: E731

    def norm(name, h):
        return F.layer_norm(h, (8,), p[f"{name}.norm.weight"], p[f"{name}.norm.bias"])

    h = p["embed.token.weight"][x] + p["embed.position.weight"]
    for block in ("block1", "block2"):
        a, m = f"{block}.attention.inner", f"{block}.mlp.inner"
        q, k, v = linear(f"{a}.read", norm(a, h)).split(8, 2)
        heads = [t.view(3, CONTEXT, 2, 4).transpose(1, 2) for t in (q, k, v)]
        mixed = F.scaled_dot_product_attention(*heads, is_causal=True)
        h = h + linear(f"{a}.write", mixed.transpose(1, 2).reshape(3, CONTEXT, 8))
        h = h + linear(f"{m}.write", F.gelu(linear(f"{m}.read", norm(m, h))))
    expected = linear("head.linear", norm("head", h))
    eps = torch.finfo(torch.float64).eps
    assert (module(x) - expected).abs().max() < 1000 * eps * expected.abs().max()


def test_an_output_reads_the_tokens_up_to_its_own_and_no_later_one():
    module = built()
    embedded = []
    module.get_submodule("embed").register_forward_hook(lambda *args: embedded.append(args[2]))
    output = module(tokens(1))
    for t in range(CONTEXT):
        (slope,) = torch.autograd.grad(output[0, t].sum(), embedded[0], retain_graph=True)
        moves = slope[0].abs().sum(1)
        assert (moves[t + 1 :] == 0).all()
        assert (moves[: t + 1] > 0).all()


@pytest.mark.parametrize("activation", ["gelu", "tanh"])
@pytest.mark.parametrize("tied", [False, True])
def test_forward_mode_reverse_mode_and_central_difference_agree(tied, activation):
    network = GPT(width=8, heads=2, depth=1, mlp_ratio=2, tied=tied, activation=activation)
    chain = Chain(built(network), tokens(), tokens(seed=1), token_cross_entropy)
    params = {n: p.detach() for n, p in chain.module.named_parameters()}
    v = {
        n: torch.randn(p.shape, generator=stream(2, "data", n)).double() for n, p in params.items()
    }
    _, by_torch = torch.func.jvp(chain, (params,), (v,))
    _, forward = push_forward(chain, params, [*v.values()])
    grads = torch.func.grad(chain)(params)
    reverse = sum((g * v[n]).sum() for n, g in grads.items())
    size = sum((g * v[n]).abs().sum() for n, g in grads.items())
    assert max(abs(by_torch - reverse), abs(forward - reverse)) < 1e-12 * size
    h = 1e-5  # its error is O(h²), and the rounding of the losses over h
    up, down = (chain({n: p + s * v[n] for n, p in params.items()}) for s in (h, -h))
    assert abs((up - down) / (2 * h) - reverse) < 1e-6 * max(1, abs(reverse))


def test_the_first_weights_are_those_of_gpt_2():
    network = GPT(width=128, heads=4, depth=3)
    module = network.build((CONTEXT,), 50, stream(0, "init"))
    for name, p in module.named_parameters():
        if "norm" in name:
            assert (p == float(name.endswith("weight"))).all()
        elif name.endswith("bias"):
            assert not p.any()
        else:
            std = 0.02 / sqrt(6) if name.endswith("write.weight") else 0.02
            assert abs(p.std() / std - 1) < 5 / sqrt(2 * p.numel()), name
    again = network.build((CONTEXT,), 50, stream(0, "init"))
    assert all(map(torch.equal, module.parameters(), again.parameters()))


def test_it_says_how_many_weights_it_has():
    d, vocabulary = 8, 7
    block = 2 * 2 * d + (3 * d * d + 3 * d) + (d * d + d) + (2 * d * d + 2 * d) + (2 * d * d + d)
    untied = (vocabulary + CONTEXT) * d + 2 * block + 2 * d + (d * vocabulary + vocabulary)
    assert SMALL.count((CONTEXT,), VOCABULARY) == untied
    tied = GPT(width=8, heads=2, depth=2, mlp_ratio=2, tied=True)
    assert tied.count((CONTEXT,), VOCABULARY) == untied - d * vocabulary - vocabulary


def test_a_tied_head_is_the_embedding():
    module = built(GPT(width=8, heads=2, tied=True), large=False)
    assert module.get_submodule("head.linear").weight is module.get_submodule("embed.token").weight
    assert not any(n.startswith("head.linear") for n, _ in module.named_parameters())
    separate = built(GPT(width=8, heads=2), large=False)
    weights = dict(separate.named_parameters())
    assert not torch.equal(weights["head.linear.weight"], weights["embed.token.weight"])


def test_every_stage_has_a_site_behind_each_normalisation():
    module = built()
    chain = Chain(module, tokens(), tokens(seed=1), token_cross_entropy)
    assert chain.stages == ("embed", "block1", "block2", "head")
    assert [place.name for place in chain.places] == [
        "embed.site",
        *(f"block{i}.{part}.inner.site" for i in (1, 2) for part in ("attention", "mlp")),
        "head.site",
    ]
    assert {(place.shape, place.units) for place in chain.places} == {
        ((CONTEXT, 8), ("position", "unit"))
    }
    for inner in module.modules():
        names = [type(m) for m in inner.children()]
        if torch.nn.LayerNorm in names:
            assert names.index(Site) == names.index(torch.nn.LayerNorm) + 1
    assert chain.separable


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match=r"width is 9; it must be a multiple of .* heads, 4"):
        GPT(width=9).count((CONTEXT,), VOCABULARY)

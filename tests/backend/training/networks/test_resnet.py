"""ResNet: its parameters by the known architecture, its stages and sites, and what it refuses."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from backend.catalogue.validation import validate
from backend.training.networks import networks
from backend.training.networks.resnet import ResidualBlock, ResNet
from estimators import Chain, stream

CIFAR = (3, 32, 32)
VARIANTS = {"8_blocks": 8, "16_blocks": 16, "6_blocks": 6}


def built(shape=CIFAR, classes=10, **fields):
    return ResNet(**fields).build(shape, classes, stream(0, "init"))


def test_it_is_in_the_catalogue():
    assert networks()["resnet"] is ResNet
    assert "res_net" not in networks()


@pytest.mark.parametrize(
    ("variant", "parameters"),
    [
        ("8_blocks", 11_173_962),  # ResNet-18 with a 3×3 stem, as it is used on CIFAR-10
        ("16_blocks", 11_000_138),  # without the three projections, 172,032 + 1,792
        ("6_blocks", 2_777_674),
    ],
)
@pytest.mark.parametrize("normalisation", ["batch", "group", "layer"])
def test_the_parameters_are_those_of_the_known_architecture(variant, parameters, normalisation):
    network = ResNet(variant=variant, width=64, normalisation=normalisation)
    assert network.count(CIFAR, 10) == parameters


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_block_is_a_stage_and_the_last_holds_the_head(variant):
    module = built(variant=variant, width=4)
    chain = Chain(module, torch.randn(2, *CIFAR), torch.tensor([0, 1]))
    names = [f"block{i + 1}" for i in range(VARIANTS[variant])]
    assert list(chain.stages) == names
    assert [place.name for place in chain.boundaries] == names[:-1]
    assert [name for name, m in module.named_modules() if isinstance(m, nn.Linear)] == [
        f"{names[-1]}.head.linear"
    ]
    assert module(chain.x).shape == (2, 10)


@pytest.mark.parametrize(
    ("variant", "shapes"),
    [
        ("8_blocks", [(4, 32)] * 2 + [(8, 16)] * 2 + [(16, 8)] * 2 + [(32, 4)]),
        ("16_blocks", [(4, 32)] * 4 + [(8, 16)] * 4 + [(16, 8)] * 4 + [(32, 4)] * 3),
        ("6_blocks", [(4, 32)] * 2 + [(8, 16)] * 2 + [(16, 8)]),
    ],
)
def test_height_and_width_halve_where_the_channels_double(variant, shapes):
    chain = Chain(built(variant=variant, width=4), torch.randn(2, *CIFAR), torch.tensor([0, 1]))
    assert [place.shape for place in chain.boundaries] == [(c, n, n) for c, n in shapes]


@pytest.mark.parametrize("variant", VARIANTS)
def test_there_are_skip_connections_but_in_16_blocks(variant):
    module = built(variant=variant, width=4)
    blocks = [m for m in module.modules() if isinstance(m, ResidualBlock)]
    assert len(blocks) == (0 if variant == "16_blocks" else VARIANTS[variant])
    projections = [m for m in module.modules() if isinstance(m, nn.Conv2d) and m.kernel_size[0] < 3]
    assert len(projections) == {"8_blocks": 3, "16_blocks": 0, "6_blocks": 2}[variant]
    assert not any(isinstance(m, nn.MaxPool2d) for m in module.modules())
    sites = {"8_blocks": 17, "16_blocks": 17, "6_blocks": 13}[variant]
    chain = Chain(module, torch.randn(2, *CIFAR), torch.tensor([0, 1]))
    assert [place.units for place in chain.places] == [("channel", "height", "width")] * sites


@pytest.mark.parametrize("fan_out", [4, 8])
def test_a_block_adds_before_the_second_site_and_non_linearity(fan_out):
    module = built((4, 6, 6), width=4, normalisation="batch").double()
    block = module.block1.body if fan_out == 4 else module.block3.body
    x = torch.randn(3, 4, 6, 6, dtype=torch.float64, generator=stream(0, "data"))

    def normal(z):
        mean, variance = z.mean((0, 2, 3), True), z.var((0, 2, 3), correction=0, keepdim=True)
        return (z - mean) / (variance + 1e-5).sqrt()

    stride = fan_out // 4
    h = normal(F.conv2d(x, block.first.conv.weight, stride=stride, padding=1)).relu()
    h = normal(F.conv2d(h, block.second.conv.weight, padding=1))
    skipped = x if stride == 1 else normal(F.conv2d(x, block.shortcut.conv.weight, stride=stride))
    seen = []
    block.site.register_forward_hook(lambda m, args, z: seen.append(z))
    torch.testing.assert_close(block(x), (h + skipped).relu())
    torch.testing.assert_close(seen, [h + skipped])


@pytest.mark.parametrize(("variant", "least"), [("8_blocks", 5), ("16_blocks", 5), ("6_blocks", 3)])
def test_images_that_are_too_small_are_refused(variant, least):
    network = ResNet(variant=variant, width=4)
    small = f"{least}×{least}; those of this data set have {least}×{least - 1}"
    with pytest.raises(ValueError, match=f"a resnet of {variant} halves .* at least {small}"):
        network.layout((1, least, least - 1), 10)
    module = network.build((1, least, least), 10, stream(0, "init"))
    chain = Chain(module, torch.rand(2, 1, least, least), torch.tensor([0, 1]))
    assert [p.shape[1] for p in chain.boundaries if p.shape[1] == 1] == [1] * (
        {"8_blocks": 1, "16_blocks": 3, "6_blocks": 1}[variant]
    )
    with pytest.raises(ValueError, match="a resnet needs images"):
        network.layout((2,), 2)


def test_the_form_refuses_what_it_cannot_run(config):
    for field, value in {"variant": "7_blocks", "normalisation": "none", "width": 1}.items():
        network = {"name": "resnet", field: value}
        answer = validate(config(dataset={"name": "digits"}, network=network).model_dump())
        assert [error["loc"][-1] for error in answer["errors"]] == [field]
    answer = validate(config(network={"name": "resnet"}).model_dump())  # two moons
    assert "a resnet needs images" in answer["errors"][0]["msg"]


def test_it_is_drawn_from_its_generator_alone():
    torch.manual_seed(12_345)
    before = torch.get_rng_state()
    first, again = built(width=4), built(width=4)
    assert torch.equal(torch.get_rng_state(), before)
    other = ResNet(width=4).build(CIFAR, 10, stream(1, "init"))
    for name, p in first.named_parameters():
        assert p.isfinite().all()
        assert torch.equal(p, again.get_parameter(name))
    assert not torch.equal(first.block3.body.shortcut.conv.weight,
                           other.block3.body.shortcut.conv.weight)  # fmt: skip

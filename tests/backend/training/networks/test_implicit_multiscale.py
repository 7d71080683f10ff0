"""The implicit multiscale network: its sizes and weights, its cell, its derivatives, runs on it."""

import pytest
import torch
from torch.nn import functional

from backend.catalogue.entries import schema_of
from backend.training.loop import train
from backend.training.networks.implicit_conv import gain
from backend.training.networks.implicit_multiscale import ImplicitMultiscale
from estimators import (
    FDFA,
    ActivityForwardGradient,
    Backprop,
    Chain,
    DirectFeedbackAlignment,
    ForwardGradient,
    ImplicitAdjoint,
    LocalLosses,
    stream,
)
from estimators.autodiff.calculus import push_forward, value_and_grad
from tests.backend.training.descent import loss_falls

SHAPE = (1, 7, 6)
SMALL = {"channels": 3, "scales": 3, "expansion": 2, "stride": 1, "pool": 1, "activation": "tanh"}


def built(shape=SHAPE, **fields):
    return ImplicitMultiscale(**{**SMALL, **fields}).build(shape, 3, stream(0, "init"))


def on_images(**fields):
    module = built(**fields).double()
    x = torch.randn(4, *SHAPE, generator=stream(1, "data"), dtype=torch.float64)
    chain = Chain(module, x, torch.arange(4) % 3)
    return chain, {n: p.detach().clone() for n, p in module.named_parameters()}


def cell_of(module):
    return module.get_submodule("equilibrium.layer.cell")


def test_it_has_the_size_of_mdeq_tiny():
    assert ImplicitMultiscale().count((3, 32, 32), 10) == 176_506


def test_its_stages_sites_and_state():
    chain, params = on_images()
    assert chain.stages == ("input", "equilibrium", "head")
    cell = cell_of(chain.module)
    assert cell.shapes == ((3, 7, 6), (3, 4, 3), (3, 2, 2))
    assert [p.shape for p in chain.places] == [(3, 7, 6), (cell.units,)]
    branches = 2 * 3 * (6 * 3 * 9)
    fusions = 3 * (3 * 3 * 9) + 3 * (3 * 3)
    assert sum(p.numel() for p in params.values()) == (
        (3 * 9 + 3) + branches + fusions + 3 * 2 * 3 + (3 * 3 * 3 + 3)
    )


def test_the_cell_is_its_equation_written_out():
    cell = cell_of(built())
    z = torch.randn(2, cell.units, generator=stream(2, "z"))
    x = torch.randn(2, 3, 7, 6, generator=stream(2, "x"))
    w = dict(cell.named_parameters())
    images, start = [], 0
    for c, height, width in cell.shapes:
        stop = start + c * height * width
        images.append(z[:, start:stop].reshape(2, c, height, width))
        start = stop
    branches = [
        functional.conv2d(
            functional.conv2d(each, w[f"widen.{i}.weight"], padding=1).tanh(),
            w[f"narrow.{i}.weight"],
            padding=1,
        )
        for i, each in enumerate(images)
    ]
    expected = []
    for i, (_, height, width) in enumerate(cell.shapes):
        total = branches[i] + functional.adaptive_avg_pool2d(x, (height, width))
        for j in range(3):
            if j == i:
                continue
            kernel = w[f"fusions.{j + 1}_to_{i + 1}.weight"]
            if j < i:
                total = total + functional.conv2d(
                    branches[j], kernel, stride=2 ** (i - j), padding=1
                )
            else:
                rows = torch.arange(height) * cell.shapes[j][1] // height
                columns = torch.arange(width) * cell.shapes[j][2] // width
                mixed = functional.conv2d(branches[j], kernel)
                total = total + mixed[:, :, rows][:, :, :, columns]
        normalised = functional.group_norm(total, 1, w[f"norms.{i}.weight"], w[f"norms.{i}.bias"])
        expected.append(normalised.tanh().flatten(1))
    torch.testing.assert_close(cell(z, x), torch.cat(expected, 1))


def test_the_head_reads_every_resolution():
    module = built(pool=2)
    z = torch.randn(2, cell_of(module).units, generator=stream(2, "z"))
    images = (z[:, :126], z[:, 126:162], z[:, 162:])  # 3 × 7 × 6, 3 × 4 × 3 and 3 × 2 × 2
    sizes = ((7, 6), (4, 3), (2, 2))
    pooled = [
        functional.adaptive_avg_pool2d(part.reshape(2, 3, *size), 2).reshape(2, 12)
        for part, size in zip(images, sizes, strict=True)
    ]
    torch.testing.assert_close(module.head.pool(z), torch.cat(pooled, 1))


def test_every_kernel_begins_with_its_gain():
    gains = {
        name.removesuffix(".weight"): gain(kernel).item()
        for name, kernel in cell_of(built(scale=2.0)).named_parameters()
        if kernel.ndim == 4
    }
    expected = {f"widen.{i}": 1.0 for i in range(3)}
    expected |= {f"narrow.{i}": 2.0 / 3**0.5 for i in range(3)}
    expected |= {f"fusions.{i}_to_{j}": 1.0 for i, j in ((1, 2), (1, 3), (2, 3))}
    # Interpolation by 2 copies each pixel 4 times, which doubles an image's length.
    expected |= {"fusions.2_to_1": 0.5, "fusions.3_to_2": 0.5, "fusions.3_to_1": 0.25}
    assert gains == pytest.approx(expected, rel=1e-5)


def test_the_gain_before_the_normalisation_is_at_most_the_scale():
    module = built(scale=2.0).double()
    cell = cell_of(module)
    x = torch.zeros(1, 3, 7, 6, dtype=torch.float64)
    cell.norms = torch.nn.ModuleList(torch.nn.Identity() for _ in cell.shapes)
    at_zero = torch.zeros(1, cell.units, dtype=torch.float64)  # where tanh has the slope 1
    jacobian = torch.func.jacrev(lambda z: cell(z, x)[0])(at_zero)[:, 0]
    gain = torch.linalg.matrix_norm(jacobian, 2).item()
    # Zero padding and strides shorten; on so small an image, by much.
    assert 0.25 * 2.0 < gain <= 2.0


@pytest.mark.parametrize("solver", ["anderson", "broyden", "fixed_point"])
def test_both_modes_agree_on_it(solver):
    chain, params = on_images(solver=solver)
    exact = value_and_grad(chain, params)[1]
    rng = stream(2, "estimator")
    v = {n: torch.randn(p.shape, generator=rng, dtype=p.dtype) for n, p in params.items()}
    slope = push_forward(chain, params, list(v.values()))[1]
    torch.testing.assert_close(slope, sum((exact[n] * v[n]).sum() for n in v), rtol=1e-9, atol=0)
    assert all(g.abs().max() > 0 for g in exact.values())


@pytest.mark.parametrize(
    "estimator",
    [
        ForwardGradient(),
        FDFA(),
        DirectFeedbackAlignment(),
        LocalLosses(Backprop()),
        ImplicitAdjoint(inner=ActivityForwardGradient()),
    ],
    ids=str,
)
def test_estimators_work_through_it(estimator):
    """Thirty small steps, each tensor's of one length, lower the loss."""
    assert loss_falls(estimator, *on_images(), steps=30, length=0.03)


def test_images_that_are_too_small_are_refused_with_a_remedy():
    with pytest.raises(ValueError, match="an implicit_multiscale needs images"):
        ImplicitMultiscale().count((5,), 3)
    with pytest.raises(ValueError, match=r"\(2×2\) until one pixel is left; take fewer"):
        ImplicitMultiscale(stride=1).count((1, 2, 2), 3)
    assert ImplicitMultiscale(stride=1, scales=2, pool=1).count((1, 2, 2), 3) > 0


def test_the_form_shows_its_own_fields_first_and_words_for_all():
    properties = schema_of(ImplicitMultiscale)["properties"]
    names = list(properties)
    assert names.index("channels") < names.index("solver")
    assert "finds the equilibrium" in properties["solver"]["description"]
    assert all(each["description"] for each in properties.values())


def test_a_short_run_trains(config, gather):
    run = config(
        dataset={"name": "digits"},
        network={"name": "implicit_multiscale", "channels": 4, "expansion": 2},
        estimator={"name": "implicit_adjoint"},
        shadows=[{"name": "implicit_adjoint", "adjoint": "ift"}],
        optimizer={"name": "sgd", "lr": 0.1},
        probe={"every": 20, "draws": 2},
        batch_size=32,
        steps=24,
    )
    result = gather(train(run))
    assert result.ended.status == "finished", result.ended
    losses = list(result.of("train/loss").values())
    assert sum(losses[-5:]) < 0.95 * sum(losses[:5])
    driver = result.facts.labels["driver"]
    assert min(result.of("cosine", "", driver).values()) > 0.9

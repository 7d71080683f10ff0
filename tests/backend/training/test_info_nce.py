"""Runs that train with InfoNCE: views, the loss, the readout, and what is refused."""

import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

from backend.catalogue import validate
from backend.config import RunConfig
from backend.series.points import unit_of
from backend.training.batches import Batches
from backend.training.components.assemble import assemble
from backend.training.control import Control
from backend.training.datasets import Part, Split
from backend.training.evaluation.contrastive import Contrastive
from backend.training.evaluation.evaluation import Evaluation
from backend.training.evaluation.readout import PENALTIES, _ridge, readout, watching
from backend.training.examples.augmentation import Augmentation, erased, flipped, shifted
from backend.training.loop import train
from backend.training.losses import losses
from backend.training.losses.contract import Plan
from backend.training.losses.info_nce import InfoNCE
from backend.training.records import Progress
from estimators import ActivityForwardGradient, Claim
from estimators.autodiff.calculus import value_and_grad
from estimators.conformance import CHECKS, Case, Trial
from estimators.core import info_nce
from estimators.local.local_losses import LocalLosses
from estimators.perturbation._activities.noise_sharing import NoiseSharing

LOCAL = {"name": "local_losses"}
ESTIMATORS = [
    {"name": "backprop"},
    {"name": "forward_gradient"},
    {"name": "activity_forward_gradient"},
    LOCAL,
    {**LOCAL, "inner": {"name": "forward_gradient"}},
    {**LOCAL, "inner": {"name": "backprop"}, "greedy": False},
]
NETWORKS = [
    {"name": "mlp", "width": 8},
    {"name": "cnn", "channels": 4},
    {"name": "local_mixer", "channels": 8, "groups": 2},
]
DIGITS = {"name": "digits"}
SMALL = {"name": "info_nce", "projector": 6}
torch.manual_seed(0)
X = torch.rand(5, 2, 6, 6)


@pytest.fixture
def digits(config):
    def make(**changes):
        base = {"dataset": DIGITS, "loss": SMALL, "steps": 2, "batch_size": 8}
        return config(**{**base, **changes})

    return make


@pytest.fixture
def check(config):
    def run(**changes):
        given = config().model_dump() | {"loss": SMALL} | changes
        answer = validate({k: v for k, v in given.items() if v is not None})
        return answer["config"], {tuple(e["loc"]): e["msg"] for e in answer["errors"]}

    return run


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# --- the configuration ---


def test_a_configuration_without_a_loss_is_one_with_cross_entropy(config):
    older = {k: v for k, v in config().model_dump().items() if k != "loss" and v is not None}
    answer = validate(older)
    assert answer["config"]["loss"] == {"name": "cross_entropy"}
    assert validate(answer["config"])["config"] == answer["config"]
    assert isinstance(assemble(RunConfig.model_validate(older)).loss, losses()["cross_entropy"])


def test_every_default_is_written_out(check):
    found, _ = check()
    assert found["loss"] == {
        "name": "info_nce", "temperature": 0.1, "projector": 6, "stop_gradient": True,
        "shared_noise": True, "shift": 1, "erase": 2, "flip": False, "noise": 0.1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "loc", "words"),
    [
        ({"dataset": {"name": "surface"}, "network": {"name": "point"}}, ("loss",), "digits or"),
        (
            {"dataset": DIGITS, "loss": {**SMALL, "shift": 5}},
            ("loss", "shift"),
            "at most 4 of images",
        ),
        ({"dataset": DIGITS, "loss": {**SMALL, "erase": 8}}, ("loss", "erase"), "erase is 8"),
        ({"loss": {**SMALL, "noise": 0}}, ("loss",), "the two views would be the same; give noise"),
        ({"loss": {**SMALL, "temperature": 0}}, ("loss", "temperature"), "more than 0"),
        ({"loss": {"name": "infonce"}}, ("loss", "name"), "did you mean 'info_nce'"),
        ({"batch_size": 1}, ("batch_size",), "at least 2: info_nce tells"),
        ({"estimator": {"name": "spsa"}}, ("estimator", "name"), "takes differences"),
        (
            {"shadows": [{"name": "mean_of_draws", "inner": {"name": "mezo"}}]},
            ("shadows", 0, "name"),
            "stop_gradient off",
        ),
        (
            {"estimator": {"name": "forward_gradient", "per": "example"}},
            ("estimator", "per"),
            "compares the examples of a batch",
        ),
        (
            {
                "loss": {**SMALL, "shared_noise": False},
                "estimator": {**LOCAL, "inner": {"name": "forward_gradient", "per": "example"}},
            },
            ("estimator", "name"),
            "hidden1 with a head of its own: per is 'example'",
        ),
    ],
)
def test_what_cannot_run_is_refused_in_words(changes, loc, words, check):
    _, problems = check(**changes)
    assert words in problems[loc]
    assert len(problems) == 1


def test_differences_are_served_where_the_keys_move(check):
    assert not check(estimator={"name": "spsa"}, loss={**SMALL, "stop_gradient": False})[1]


# --- views ---


def test_a_shift_moves_each_image_by_its_own_whole_pixels():
    found = shifted(X, 2, generator())
    places = set()
    for image, moved in zip(X, found, strict=True):
        around = nn.functional.pad(image, [2] * 4)
        options = {(i, j): around[:, i : i + 6, j : j + 6] for i in range(5) for j in range(5)}
        (place,) = [p for p, option in options.items() if torch.equal(option, moved)]
        places.add(place)
    assert all(len({*along}) > 2 for along in zip(*places, strict=True))


def test_a_square_is_erased_inside_each_image_and_nothing_else():
    found = erased(X, 2, generator())
    gone = (found == 0) & (X != 0)
    assert gone.sum((2, 3)).eq(4).all()
    assert torch.equal(found[~gone], X[~gone])
    assert gone.any(3).sum(2).eq(2).all()
    assert len(gone.flatten(1).unique(dim=0)) > 2


def test_a_flip_mirrors_some_images():
    found = flipped(X, generator())
    mirrored = [torch.equal(a, b.flip(2)) for a, b in zip(X, found, strict=True)]
    same = [torch.equal(a, b) for a, b in zip(X, found, strict=True)]
    assert {*mirrored} == {*same} == {True, False}
    assert all(a != b for a, b in zip(mirrored, same, strict=True))


def test_points_get_noise_alone():
    x = torch.zeros(20_000, 2)
    found = Augmentation(shift=3, erase=2, flip=True, noise=0.5)(x, generator())
    assert found.std().item() == pytest.approx(0.5, rel=0.02)


def test_views_are_fixed_by_seed_and_step_and_differ_from_each_other(digits):
    assembly, part = assemble(digits()), Part(torch.zeros(40, 1, 8, 8), torch.arange(40) % 10)
    straight, jumping = (assembly.batches(part, 8, 3) for _ in range(2))
    wanted = [straight.at(step) for step in range(12)]
    x, y = jumping.at(7)
    assert torch.equal(x, wanted[7][0])
    assert torch.equal(y, wanted[7][1])
    assert x.shape == (16, 1, 8, 8)
    assert torch.equal(y[:8], y[8:])
    assert not torch.equal(x[:8], x[8:])
    original, classes = Batches(part, 8, 3).at(7)
    assert torch.equal(classes, y[:8])
    assert not torch.equal(original, x[:8])
    assert not torch.equal(wanted[6][0], x)  # all images are zero: this is the noise
    assert not torch.equal(assembly.batches(part, 8, 4).at(7)[0], x)


# --- the objective ---


def explicit(z, keys, tau):
    """The definition with keys of their own, row by row."""
    z, keys = (t / t.norm(dim=1, keepdim=True) for t in (z, keys))
    total, rows = 0.0, len(z)
    for n in range(rows):
        others = torch.stack([z[n] @ keys[m] / tau for m in range(rows) if m != n])
        own = z[n] @ keys[(n + rows // 2) % rows] / tau
        total = total + torch.logsumexp(others, 0) - own
    return total / rows


@pytest.mark.parametrize("stops", [True, False])
def test_the_exact_gradient_is_that_of_the_formula(stops, digits):
    assembly = assemble(digits(loss={**SMALL, "temperature": 0.3, "stop_gradient": stops}))
    part = assembly.dataset.load(0).train
    x, y = assembly.batches(Part(part.x.double(), part.y), 4, 0).at(2)
    module = assembly.module(0).double()
    chain = assembly.loss.chain(module, (x, y), assembly.dataset)
    params = {n: p.detach() for n, p in module.named_parameters()}
    loss, grads = value_and_grad(chain, params)
    z = module(x)
    wanted = explicit(z, assembly.module(0).double()(x).detach() if stops else z, 0.3)
    torch.testing.assert_close(loss, wanted.detach())
    exact = torch.autograd.grad(wanted, list(module.parameters()))
    for (name, _), g in zip(module.named_parameters(), exact, strict=True):
        torch.testing.assert_close(grads[name], g)
    assert chain.separable == stops


def test_own_views_are_counted():
    z = torch.eye(4).repeat(2, 1)
    assert info_nce.InfoNCE().hits(z).tolist() == [1] * 8
    z[4:] = z[4:].roll(1, 0)
    assert info_nce.InfoNCE().hits(z).tolist() == [0] * 8


@pytest.mark.parametrize("count", [1, 3])
def test_noise_is_shared_by_both_views_or_by_none(count, digits):
    for shared in (True, False):
        assembly = assemble(digits(loss={**SMALL, "shared_noise": shared}))
        batch = assembly.batches(assembly.dataset.load(0).train, 4, 0).at(0)
        chain = assembly.loss.chain(assembly.module(0), batch, assembly.dataset)
        draw = NoiseSharing("normal", batch=False, unit="").draw(chain, count, generator())
        for site, place in enumerate(chain.places):
            u = draw(site, torch.zeros(8, *place.shape))
            first, second = u.unflatten(u.ndim - 1 - len(place.shape), (2, 4)).unbind(-3)
            assert torch.equal(first, second) == shared
            assert not torch.equal(first[..., :2, :], first[..., 2:, :])


@pytest.mark.parametrize("local", [False, True], ids=["FG-A", "LG-FG-A"])
def test_shared_noise_is_unbiased_behind_a_stop_gradient(local, digits):
    assembly = assemble(digits(network={"name": "mlp", "width": 5}))
    x, y = assembly.batches(assembly.dataset.load(0).train, 3, 0).at(0)
    module = assembly.module(0).double()
    chain = assembly.loss.chain(module, (x.double(), y), assembly.dataset)
    params = {n: p.detach() for n, p in module.named_parameters()}
    inner = ActivityForwardGradient(tangents=16)
    estimator = LocalLosses(inner) if local else inner
    assert estimator.claim(chain) is Claim.UNBIASED
    CHECKS["keeps its claim"](Trial(estimator, Case("two views", chain, params)))


def test_projectors_of_zero_are_drawn(digits):
    module = assemble(digits(network=NETWORKS[2])).module(0)
    assert all(m.weight.any() for m in module.modules() if isinstance(m, nn.Linear))
    again = assemble(digits(network=NETWORKS[2])).module(0)
    pairs = zip(module.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


# --- the readout ---


@pytest.mark.parametrize("features", [4, 30], ids=["more examples", "more features"])
def test_a_readout_is_ridge_regression_on_standardised_features(features):
    x, y = torch.randn(20, features), torch.arange(20) % 3
    x[:, 1] = 2.0  # a unit that says nothing
    found = _ridge(Part(x, y), 3)
    fresh = torch.randn(7, features)
    scores = found.scores(fresh)
    scale = torch.where(x.std(0, correction=0) > 0, 1 / x.std(0, correction=0), 0).double()
    for penalty, of in zip(PENALTIES, scores, strict=True):
        peer = Ridge(alpha=penalty * 20).fit(
            ((x - x.mean(0)) * scale).numpy(), nn.functional.one_hot(y, 3).double().numpy()
        )
        wanted = torch.from_numpy(peer.predict(((fresh - x.mean(0)) * scale).numpy()))
        torch.testing.assert_close(of, wanted, rtol=1e-4, atol=1e-5)


def test_the_penalty_is_the_best_on_validation():
    x, y = torch.randn(30, 25, generator=generator(2)), torch.arange(30) % 3
    x[:, 0] += 2 * y
    train, held = Part(x[:15], y[:15]), Part(x[15:], y[15:])
    every = _ridge(train, 3).accuracy(held)
    assert every[0] < every.max()  # on training all penalties are equal, so the first is taken
    assert readout(train, held, 3).accuracy(held) == every.max()


def test_features_that_are_not_finite_are_no_error():
    x, y = torch.full((10, 4), torch.nan), torch.arange(10) % 3
    assert readout(Part(x, y), Part(x, y), 3).accuracy(Part(x, y)) <= 1


def test_a_readout_learns_from_the_training_part_alone(digits):
    """With the classes of that part shuffled it knows nothing."""
    assembly = assemble(digits(network={"name": "mlp", "width": 32}))
    split = assembly.dataset.load(0)
    order = torch.randperm(len(split.train.y), generator=generator())
    shuffled = Split(Part(split.train.x, split.train.y[order]), split.validation, split.test)

    def accuracy(of):
        plan = Plan(of, 100, 8, 0)
        evaluation = assembly.loss.evaluation(assembly.module(0), assembly.dataset, plan)
        return dict(evaluation.last())["test/readout_accuracy"].item()

    assert accuracy(split) > 0.5
    assert accuracy(shuffled) < 0.25


def test_features_are_what_the_last_linear_map_takes(digits):
    for network in NETWORKS:
        module = assemble(digits(network=network)).module(0)
        x = torch.rand(3, 1, 8, 8)
        with torch.no_grad(), watching(module) as kept:
            output = module(x)
        last = [m for m in module.modules() if isinstance(m, nn.Linear)][-1]
        torch.testing.assert_close(last(kept[0]), output)
        assert not last._forward_pre_hooks


# --- whole runs ---


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n["name"])
def test_methods_train_with_it_and_probes_measure_against_it(network, digits, gather):
    driver, *shadows = ESTIMATORS
    run = digits(network=network, estimator=driver, shadows=shadows, probe={"every": 1, "draws": 2})
    assert not validate(run.model_dump(exclude_none=True))["errors"]
    found = gather(train(run))
    assert found.ended.status == "finished", found.ended.error
    assert found.of("cosine", "", "backprop") == {0: pytest.approx(1), 1: pytest.approx(1)}
    for part in ("train", "validation", "test"):
        assert 0 <= found.of(f"{part}/own_view")[2 if part == "test" else 0] <= 1
        assert 0 <= found.of(f"{part}/readout_accuracy")[2 if part == "test" else 0] <= 1
    assert found.of("test/loss").keys() == {2}
    assert not any(metric.endswith("/accuracy") for metric, _, _ in found.points)
    assert unit_of("train/own_view") == unit_of("test/readout_accuracy") == "fraction"
    assert unit_of("train/loss") == "nats"


@pytest.mark.parametrize("estimator", ESTIMATORS[1:], ids=lambda e: str(e.get("inner", e["name"])))
def test_each_method_drives(estimator, config, gather):
    run = config(loss=SMALL, estimator=estimator, steps=4, optimizer={"name": "sgd", "lr": 0.001})
    found = gather(train(run))
    assert found.ended.status == "finished", found.ended.error
    assert len({*found.of("train/loss").values()}) == 4


def test_a_resumed_run_sees_the_views_of_an_undisturbed_one(config, gather, gathered, tmp_path):
    run = config(loss=SMALL, estimator=LOCAL, steps=20, shadows=[{"name": "forward_gradient"}],
                 probe={"every": 4, "draws": 2})  # fmt: skip
    whole = gather(train(run)).curve()
    control = Control(run_until=9)
    for record in train(run, control, checkpoint_dir=tmp_path):
        gathered.take(record)
        if isinstance(record, Progress) and record.status == "paused":
            control.update(run_until=9, stop=True)
    rest = gather(train(run, checkpoint_dir=tmp_path))
    assert rest.facts.resumed_at == 9
    both = gathered.curve()
    for key, series in rest.curve().items():
        both[key] = both.get(key, {}) | series
    assert both == whole


def test_perturbed_activities_learn_by_it(config, gather):
    """With local losses the loss falls; this is no measure of how far."""
    run = config(
        dataset=DIGITS, network={"name": "mlp", "width": 32}, loss=SMALL | {"projector": 16},
        estimator=LOCAL, steps=100, batch_size=32, optimizer={"name": "sgd", "lr": 0.01,
        "momentum": 0.9},
    )  # fmt: skip
    found = gather(train(run))
    curve = [*found.of("train/loss").values()]
    assert sum(curve[-20:]) < sum(curve[:20]) - 2
    assert found.of("test/readout_accuracy")[100] > 0.6


def test_each_loss_brings_its_evaluation(digits):
    assembly = assemble(digits())
    plan = Plan(assembly.dataset.load(0), 100, 8, 0)
    kinds = {
        name: type(cls().evaluation(assembly.module(0), assembly.dataset, plan))
        for name, cls in losses().items()
    }
    assert kinds == {"cross_entropy": Evaluation, "info_nce": Contrastive}
    assert isinstance(assembly.loss, InfoNCE)

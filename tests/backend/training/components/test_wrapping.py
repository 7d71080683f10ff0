"""Plain modules and optimisers of torch become components; what was inferred is said."""

import pytest
import torch
from torch import nn

from backend.catalogue import catalogue, validate
from backend.training.components.index import KINDS, component_index
from backend.training.loop import train
from backend.training.optimizers import optimizers, schedules
from estimators.core.noise import stream
from estimators.core.objective import Chain
from estimators.registry import load_file

PLAIN = '''
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.body = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return torch.relu(x + self.body(x))


class Net(nn.Module):
    """A small network.

    Args:
        width: Channels of
            the block.
    """

    def __init__(self, in_channels: int, num_classes=10, width: int = 4, act=nn.ReLU, bias=True):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(in_channels, width, 3, bias=bias), act())
        self.block = Block(width)
        self.flat = nn.Flatten()
        self.act = nn.Tanh()
        self.head = nn.LazyLinear(num_classes)

    def forward(self, x):
        return self.head(self.act(self.flat(self.block(self.stem(x)))))


class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.99), weight_decay=0, foreach=None):
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                update = (mean * b1 + p.grad * (1 - b1)).sign()
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"])
                mean.mul_(b2).add_(p.grad, alpha=1 - b2)
'''
SHAPE, CLASSES = (1, 8, 8), 10


@pytest.fixture
def load(tmp_path):
    """The wrapped classes of a file with this text."""

    def loaded(text, kind="network"):
        (tmp_path / "plain.py").write_text(text)
        (cls,) = load_file(tmp_path / "plain.py", KINDS)[kind]
        return cls

    return loaded


def test_a_plain_module_has_its_constructor_s_fields(load, tmp_path):
    load(PLAIN)
    (entry,) = [e for e in catalogue([tmp_path])["networks"] if e["name"] == "net"]
    properties = entry["schema"]["properties"]
    assert {name: (p["type"], p["default"]) for name, p in properties.items()} == {
        "width": ("integer", 4), "bias": ("boolean", True),
    }  # fmt: skip
    assert properties["width"]["description"] == "Channels of the block."
    assert entry["summary"] == "A small network."
    assert entry["inferred"] == [
        "its stages are its layers: stem, block, flat, act, head",
        "sites stand before stem.1, act",
        "in_channels, num_classes are filled in from the data set",
        "act is left at the default",
    ]


def test_stages_and_sites_leave_the_function_as_it_was(load):
    cls = load(PLAIN)
    module = cls(width=3).build(SHAPE, CLASSES, stream(0, "init"))
    x = torch.randn(5, *SHAPE)
    chain = Chain(module, x, torch.zeros(5, dtype=torch.int64))
    assert chain.stages == ("stem", "block", "flat", "act", "head")
    assert [place.name for place in chain.places] == ["stem.site1", "act.site"]
    plain = cls.wrapped(in_channels=1, width=3)
    plain(x)  # makes the lazy layer
    plain.load_state_dict(module.state_dict())
    assert torch.equal(module(x), plain(x))
    with torch.device("meta"):
        names = [n for n, _ in cls(width=3).layout(SHAPE, CLASSES).named_parameters()]
    assert names == list(dict(module.named_parameters()))


def test_weights_are_the_module_s_own_and_come_from_the_seed(load):
    network = load(PLAIN)()
    state = torch.get_rng_state()
    first, again, other = (network.build(SHAPE, CLASSES, stream(s, "init")) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    pairs = zip(first.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
    fan_in = 9
    assert first[0][0].weight.abs().max() <= fan_in**-0.5, "torch's own rule, not the lab's"


ONE_STAGE = {
    "return self.b(torch.relu(self.a(x)))": "its forward pass does other things than call",
    "return self.b(self.a(x)) + x.sum()": "its forward pass does other things than call",
    "return self.a(self.b(x))": "do not fit each other (RuntimeError: ",
    "return self.b(self.a(x)) * self.scale": "it has weights of its own beside its layers",
}


@pytest.mark.parametrize("forward", ONE_STAGE)
def test_another_forward_pass_is_one_stage(load, forward):
    scale = "self.scale = nn.Parameter(torch.ones(()))" if "scale" in forward else "pass"
    a, b = ((10, 10), (2, 10)) if "self.a(self.b" in forward else ((2, 5), (5, 10))
    cls = load(f"""
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.a, self.b = nn.Linear(*{a}), nn.Linear(*{b})
        {scale}

    def forward(self, x):
        {forward}
""")
    first, second, *_ = cls().inferred((2,), 10)
    assert first.startswith("one stage, since")
    assert ONE_STAGE[forward] in first
    assert "gradlab.Site()" in second
    module = cls().build((2,), 10, stream(0, "init"))
    assert Chain(module, torch.randn(3, 2), torch.zeros(3).long()).stages == ("network",)


def test_a_last_layer_of_zeros_does_not_hide_what_comes_before_it(load):
    cls = load("""
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.a, self.b = nn.Linear(2, 5), nn.Linear(5, 10)
        nn.init.zeros_(self.b.weight)

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))
""")
    assert cls().inferred((2,), 10)[0].startswith("one stage")


def test_a_module_s_own_sites_are_kept(load):
    text = PLAIN.replace("act())", "Site(), act())").replace(
        "from torch import nn", "from torch import nn\nfrom gradlab import Site"
    )
    network = load(text)()
    assert network.inferred(SHAPE, CLASSES)[1] == "its own sites are kept: stem.1"
    module = network.build(SHAPE, CLASSES, stream(0, "init"))
    assert isinstance(module.stem[1], nn.Module)
    assert not isinstance(module.act, nn.Sequential)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PLAIN.replace("width: int = 4", "*, width: int"), "needs width: give it a default"),
        (PLAIN.replace("width", "count"), "has a parameter count, a name of the lab's: rename it"),
        (PLAIN.replace("x):\n        return self.head", "x, y):\n        return self.head"),
         "Net.forward takes x, y; a network takes one batch of examples"),
        (PLAIN.replace("closure=None", "closure"), "Lion.step needs closure"),
        (PLAIN.replace("lr=1e-3", "rate=1e-3").replace('"lr": lr', '"lr": rate'),
         "has no parameter lr"),
    ],
)  # fmt: skip
def test_a_class_that_cannot_serve_is_listed_with_the_reason(tmp_path, text, message):
    (tmp_path / "plain.py").write_text(text)
    (failure,) = component_index([tmp_path]).discovery.failures
    assert message in failure.traceback


def test_parts_and_private_classes_are_no_networks(tmp_path):
    (tmp_path / "plain.py").write_text(PLAIN.replace("class Net", "class _Net"))
    index = component_index([tmp_path])
    assert index.discovery.failures == []
    (tmp_path / "plain.py").write_text(PLAIN)
    own = set(component_index([tmp_path]).classes["network"]) - set(index.classes["network"])
    assert own == {"net"}


def test_an_optimiser_of_torch_s_kind_has_fields_and_a_schedule(load):
    cls = load(PLAIN, "optimizer")
    weight = nn.Parameter(torch.ones(2))
    made = cls(beta1=0.5, weight_decay=0.1).build([weight])
    assert made.defaults == {"lr": 1e-3, "betas": (0.5, 0.99), "weight_decay": 0.1}


def test_the_first_number_of_an_optimiser_is_its_learning_rate(load):
    for cls in (load(PLAIN, "optimizer"), *optimizers().values()):
        assert (cls(0.5).lr, cls(0.5).rates) == (0.5, "")
    assert schedules()["exponential"](2.0).warmup == 0


def test_they_train_together_and_are_recorded(load, tmp_path, config, gather):
    load(PLAIN)
    own = {
        "dataset": {"name": "digits"}, "network": {"name": "net", "width": 3},
        "optimizer": {"name": "lion", "lr": 0.01, "schedule": {"name": "cosine"}},
        "shadows": [{"name": "activity_forward_gradient"}], "probe": {"every": 16, "draws": 2},
    }  # fmt: skip
    answer = validate(config(**own).model_dump(), [tmp_path])
    assert answer["errors"] == []
    where = {"plugin_dirs": [tmp_path], "checkpoint_dir": tmp_path / "run"}
    run = gather(train(config(**own), **where))
    assert (run.ended.status, run.ended.error) == ("finished", None)
    assert set(run.facts.plugins) == {"network net", "optimizer lion"}
    losses = run.of("validation/loss")
    assert losses[40] < losses[0]
    assert [e.text for e in run.events if e.kind == "network"][1] == (
        "sites stand before stem.1, act"
    )
    again = gather(train(config(**own, **{"steps": 50}), **where))
    assert (again.ended.status, again.facts.resumed_at) == ("finished", 40)


@pytest.mark.parametrize("field", ["betas=(0.9, 0.99)", "weight_decay=0"])
def test_a_field_out_of_bounds_is_refused(load, tmp_path, config, field):
    load(PLAIN)
    name = "beta1" if "betas" in field else "weight_decay"
    own = {"optimizer": {"name": "lion", name: -1.0}}
    (error,) = validate(config(**own).model_dump(), [tmp_path])["errors"]
    assert error["loc"] == ["optimizer", name]


def test_a_plain_module_takes_tokens(load, tmp_path, config, gather):
    load("""
from torch import nn

class Bigram(nn.Module):
    def __init__(self, vocab_size: int, width: int = 6):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width)
        self.head = nn.Linear(width, vocab_size)

    def forward(self, x):
        return self.head(self.embedding(x))
""")
    own = {"dataset": {"name": "markov_text"}, "network": {"name": "bigram"}, "steps": 10}
    answer = validate(config(**own).model_dump(), [tmp_path])
    assert answer["errors"] == []
    run = gather(train(config(**own), plugin_dirs=[tmp_path]))
    assert run.ended.status == "finished"
    assert {row["stage"] for row in run.facts.layers} == {"embedding", "head"}
    (error,) = validate(config(network={"name": "bigram"}).model_dump(), [tmp_path])["errors"]
    assert error["msg"].startswith("the network cannot be run on examples of shape (2,): ")

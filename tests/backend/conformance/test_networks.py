"""Networks as a plug-in's author would write them, each with one bug that `check` must find."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import nn

from backend.conformance import check
from backend.training.networks.contract import Network, named
from estimators.core.site import Site
from tests.backend.conformance.planted import bug, failures


@dataclass(frozen=True)
class Sound(Network):
    """Two hidden layers, as an author would write them."""

    width: ClassVar[int] = 6

    def middle(self):
        return None

    def layout(self, shape, classes):
        if len(shape) != 1:
            raise ValueError(f"it takes points, not {shape}")
        return named(
            first=named(linear=nn.Linear(shape[0], self.width), site=Site(), act=nn.Tanh()),
            second=named(linear=nn.Linear(self.width, self.width), more=self.middle()),
            head=nn.Linear(self.width, classes),
        )


def middle(module):
    """A network with `module` behind its second linear map."""
    return bug(Sound, middle=lambda self: module())


def test_a_sound_network_conforms_and_says_what_it_is():
    verdicts = {v.name: v for v in check("network", Sound, seconds=0.2)}
    assert {name for name, v in verdicts.items() if not v.passed} == set()
    details = {name: v.detail for name, v in verdicts.items()}
    assert details["counts its parameters"] == "74 on points of 2 numbers"
    assert details["names its stages"] == "3 stages: first, second, head; 2 boundaries"
    assert details["passes its sites"] == "1 site: first.site"
    assert details["agrees in its derivatives"] == "all three ways agree in float64"
    assert "not implicit_adjoint: needs a network with" in details["serves estimators"]
    assert "refuses images of 1×8×8 numbers: it takes points" in details["takes shapes"]


# --- shapes and structure ---


def test_an_output_of_another_shape():
    cls = bug(Sound, layout=lambda self, shape, classes: Sound.layout(self, shape, classes + 1))
    failed = failures("network", cls)
    assert "shape (1, 3), not (1, 2)" in failed["gives class scores"]


def test_a_network_that_takes_one_batch_size():
    class Fixed(nn.Module):
        def forward(self, h):
            return h.reshape(2, 6)

    failed = failures("network", middle(Fixed))
    assert "shape '[2, 6]' is invalid" in failed["gives class scores"]


def test_an_output_that_is_not_finite():
    class Log(nn.Module):
        def forward(self, h):
            return (h - h).log()

    assert "is not finite" in failures("network", middle(Log))["gives class scores"]


def test_a_count_that_leaves_something_out():
    cls = bug(Sound, count=lambda self, shape, classes: 10)
    assert "count gives 10; build builds 74" in failures("network", cls)["counts its parameters"]


def test_a_network_that_builds_another_than_it_lays_out():
    def build(self, shape, classes, rng):
        module = Network.build(self, shape, classes, rng)
        module.register_buffer("extra", torch.zeros(3))
        return module

    failed = failures("network", bug(Sound, build=build))
    assert "build gives other tensors than layout" in failed["counts its parameters"]


def test_a_network_without_stages():
    class Whole(nn.Module):
        def __init__(self, parts):
            super().__init__()
            self.parts = parts

        def forward(self, x):
            return self.parts(x)

    cls = bug(Sound, layout=lambda self, shape, classes: Whole(Sound.layout(self, shape, classes)))
    assert "build gives Whole, not an nn.Sequential" in failures("network", cls)["names its stages"]


class Unvisited(nn.Module):
    def __init__(self):
        super().__init__()
        self.site = Site()

    def forward(self, h):
        return h


class Twice(Unvisited):
    def forward(self, h):
        return self.site(self.site(h))


class Misnamed(nn.Module):
    def __init__(self):
        super().__init__()
        self.site = Site(("channel", "height"))

    def forward(self, h):
        return self.site(h)


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        (Unvisited, "does not call the site second.more.site"),
        (Twice, "calls the site second.more.site more than once"),
        (Misnamed, "names 2 axes"),
    ],
)
def test_sites_that_a_pass_does_not_meet_once(module, sentence):
    assert sentence in failures("network", middle(module))["passes its sites"]


# --- weights ---


def test_weights_from_the_global_generator():
    def initialise(self, part, rng):
        if isinstance(part, nn.Linear):
            part.reset_parameters()

    failed = failures("network", bug(Sound, _initialise=initialise))
    assert "build uses the global generator of torch" in failed["draws its weights"]


def test_weights_from_a_generator_that_build_makes_itself():
    seeds = iter(range(10**6))

    def build(self, shape, classes, rng):
        return Network.build(self, shape, classes, torch.Generator().manual_seed(next(seeds)))

    failed = failures("network", bug(Sound, build=build))
    assert "differs between two networks of one generator" in failed["draws its weights"]


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, h):
        return h * self.scale


def test_a_parameter_that_nobody_initialises():
    """Memory may hold zeros by accident. Without an `_initialise` of its own it would be ones."""

    def initialise(self, part, rng):
        Network._initialise(self, part, rng)

    assert "draws its weights" not in failures("network", middle(Scale))
    failed = failures("network", bug(Sound, middle=lambda self: Scale(), _initialise=initialise))
    assert "leaves second.more.scale as the memory was" in failed["draws its weights"]


# --- passes ---


class Noise(nn.Module):
    def forward(self, h):
        return h + torch.randn_like(h)


class Quiet(Noise):
    """Noise in evaluation mode alone."""

    def forward(self, h):
        return h if self.training else super().forward(h)


def test_a_random_pass():
    failed = failures("network", middle(Noise))
    assert "something in module second.more (Noise) is random" in failed["is an objective"]


def test_a_pass_that_is_random_in_evaluation_mode():
    failed = failures("network", middle(Quiet))
    assert "a pass in evaluation mode is random" in failed["repeats its passes"]


def test_dropout_conforms():
    assert not failures("network", middle(lambda: nn.Dropout(0.5)))


class CountingPasses(nn.Module):
    def __init__(self):
        super().__init__()
        self.passes = 0

    def forward(self, h):
        self.passes += 1
        return h * (1 + self.passes % 2)


def test_a_pass_that_depends_on_how_many_there_were():
    assert "repeats its passes" in failures("network", middle(CountingPasses))


# --- derivatives ---


class HalfDetached(nn.Module):
    def forward(self, h):
        return h / 2 + h.detach() / 2


class WithoutGraph(nn.Module):
    def forward(self, h):
        with torch.no_grad():
            half = h / 2
        return h / 2 + half


@pytest.mark.parametrize("module", [HalfDetached, WithoutGraph])
def test_a_derivative_of_another_function(module):
    failed = failures("network", middle(module))
    sentence = failed["agrees in its derivatives"]
    assert f"in module second.more ({module.__name__})" in sentence
    assert "by a central difference" in sentence


class WrongRule(torch.autograd.Function):
    @staticmethod
    def forward(h):
        return h.square()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.save_for_forward(inputs[0])

    @staticmethod
    def backward(ctx, g):
        return 2 * ctx.saved_tensors[0] * g

    @staticmethod
    def jvp(ctx, t):
        return ctx.saved_tensors[0] * t  # forgets the 2


class Squared(nn.Module):
    def forward(self, h):
        return WrongRule.apply(h)


def test_a_wrong_jvp():
    sentence = failures("network", middle(Squared))["agrees in its derivatives"]
    assert "second.more (Squared)" in sentence


# --- examples ---


class Centred(nn.Module):
    """Subtracts the batch's mean; of one example nothing, so that one can be evaluated."""

    def forward(self, h):
        return h - 0.5 * h.mean(0, keepdim=True)


def test_examples_that_are_coupled_without_a_word():
    failed = failures("network", middle(Centred))
    assert "module second.more (Centred) couples the examples" in failed["separates its examples"]


def test_examples_that_are_coupled_as_the_class_says():
    cls = bug(Sound, middle=lambda self: Centred(), couples_examples=True)
    found = {v.name: v for v in check("network", cls, seconds=0.2)}["separates its examples"]
    assert found.passed
    assert "couples the examples of a batch, as the class says" in found.detail


def test_a_coupling_that_is_not_there():
    failed = failures("network", bug(Sound, couples_examples=True))
    assert "couples_examples is True, and no" in failed["separates its examples"]


# --- parameters and state ---


class Dead(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 6)

    def forward(self, h):
        self.linear(h)
        return h


def test_a_parameter_without_influence():
    failed = failures("network", middle(Dead))
    assert (
        "second.more.linear.weight, second.more.linear.bias has no gradient"
        in (failed["gives every parameter a gradient"])
    )


class RunningMean(nn.Module):
    """Subtracts a running mean in evaluation mode, which is a plain attribute."""

    def __init__(self):
        super().__init__()
        self.mean = None

    def forward(self, h):
        if not self.training:
            return h - (0 if self.mean is None else self.mean)
        self.mean = h.detach().mean(0)
        return h


def test_statistics_outside_the_state_dict():
    failed = failures("network", middle(RunningMean))
    assert "in evaluation mode, a network that was built anew" in failed["keeps its state"]


class Factors(nn.Module):
    def forward(self, h):
        return h * self.factors.to(h)


def test_fixed_random_numbers_outside_the_state_dict():
    def build(self, shape, classes, rng):
        module = Network.build(self, shape, classes, rng)
        module.get_submodule("second.more").factors = torch.rand(6, generator=rng)
        return module

    cls = bug(Sound, build=build, middle=lambda self: Factors())
    assert "register_buffer" in failures("network", cls)["keeps its state"]


def test_a_setting_that_does_not_build():
    @dataclass(frozen=True)
    class Deep(Sound):
        """A network that breaks with another count."""

        depth: int = 1
        """Layers."""

        def layout(self, shape, classes):
            module = Sound.layout(self, shape, classes)
            if self.depth > 1:
                module.append(nn.Linear(classes + 1, classes))
            return module

    failed = failures("network", Deep)
    assert failed["gives class scores"].startswith("deep(depth=2) on points of 2 numbers: ")


def test_a_network_that_takes_no_sample():
    def layout(self, shape, classes):
        raise ValueError("it takes nothing")

    assert (
        "it takes none of the sample shapes"
        in (failures("network", bug(Sound, layout=layout))["can be made"])
    )


@dataclass
class Mutable(Network):
    def layout(self, shape, classes):
        raise NotImplementedError


def test_a_class_that_is_no_frozen_dataclass_or_lacks_a_method():
    class Plain(Network):
        pass

    assert "Plain lacks layout" in failures("network", Plain)["can be made"]
    assert "is not a frozen dataclass" in (failures("network", Mutable)["can be made"])

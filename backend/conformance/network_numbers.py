"""The checks of a network's numbers: weights, derivatives, coupling, dead parameters, state."""

import copy
import io

import torch
from torch import Tensor, nn

from backend.conformance.network_trials import NetworkTrial
from backend.conformance.surroundings import left_alone, memory_marked, under_seed
from backend.training.evaluation.batch_norm import evaluating
from estimators.autodiff.calculus import push_forward, value_and_grad
from estimators.core.contract import Params
from estimators.core.objective import Chain
from estimators.implicit.solvers.record import recording_solves
from estimators.local.blocks import LocalHead
from estimators.measurement.inputs.alone import hidden_place, place_of
from estimators.measurement.inputs.coupling import coupled_by
from estimators.measurement.inputs.derivatives import TRIES, disagreement
from estimators.measurement.inputs.nearby import direction, near
from estimators.measurement.inputs.randomness import refuse_random
from estimators.statistics.formatting import counted

FLOOR = 2.0**-40
"""A gradient's length relative to that of the whole gradient, below which it is taken for rounding
in double precision."""


def draws_its_weights(trial: NetworkTrial) -> str:
    """Weights are finite and come from the generator that `build` gets, and from nothing else."""
    with left_alone("build", "draw the weights from rng"):
        first = trial.build().state_dict()
    with memory_marked():
        missing = [name for name, t in trial.build().state_dict().items() if not _is_finite(t)]
    assert not missing, (
        f"build leaves {', '.join(missing[:4])} as the memory was, or not finite: initialise it in "
        "_initialise, or in build, from rng"
    )
    again = under_seed(1, trial.build).state_dict()
    for name, t in first.items():
        assert torch.equal(t, again[name]), (
            f"{name} differs between two networks of one generator: draw all weights from rng"
        )
    other = trial.build(1).state_dict()
    if all(torch.equal(t, other[name]) for name, t in first.items()):
        return "the same for every generator"
    return "from the generator alone"


def repeats_its_passes(trial: NetworkTrial) -> str:
    """A pass is a function of weights and inputs: nothing in it is random."""
    refuse_random(trial.chain, trial.params)
    x, module = trial.batch[0], trial.module
    modes = {"evaluation": _evaluated, "training": _trained}
    for mode, run in modes.items():
        first, again = (under_seed(0, lambda r=run: r(module, x)) for _ in range(2))
        assert torch.equal(first, again), f"two passes in {mode} mode differ in their bits"
    first, other = (under_seed(seed, lambda: _evaluated(module, x)) for seed in (0, 1))
    assert torch.equal(first, other), "a pass in evaluation mode is random"
    return "the same bits in evaluation and in training mode"


def agrees_in_its_derivatives(trial: NetworkTrial) -> str:
    """Forward mode, reverse mode and central differences are derivatives of one function."""
    chain, theta = trial.precise
    with recording_solves() as solves:
        differing = disagreement(chain, theta)
    if differing is not None and not solves.converged:
        return "not decided: a solve of an equilibrium did not converge"
    place = hidden_place(chain, theta) if differing is None else place_of(chain, theta, differing)
    assert place is None, f"in {place.words}, {place.differing.words}"
    missing = _no_forward(chain, theta)
    ways = "reverse mode and differences" if missing else "all three ways"
    return f"{ways} agree {trial.precision}" + (f"; {missing}" if missing else "")


def separates_its_examples(trial: NetworkTrial) -> str:
    """No example's output depends on another one, or the network says so."""
    chain, theta = trial.precise
    if not chain.separable:
        return "batch normalisation couples the examples of a batch"
    where = coupled_by(chain, theta)
    declared = trial.network.couples_examples
    assert not where or declared, (
        f"{where} couples the examples of a batch: an example's output depends on the others. If "
        "this is meant, set couples_examples = True in the class; estimators then get one loss for "
        "the batch"
    )
    if where:
        return f"{where} couples the examples of a batch, as the class says"
    assert not declared, "couples_examples is True, and no example's output depends on another"
    return "no example's output depends on another"


def gives_every_parameter_a_gradient(trial: NetworkTrial) -> str:
    """No parameter is without influence on the loss; local heads are trained by local losses."""
    chain, theta = trial.precise
    names = [n for n, p in trial.module.named_parameters() if p.requires_grad]
    heads = [n for n, m in trial.module.named_modules() if isinstance(m, LocalHead)]
    trained = [n for n in names if not n.startswith(tuple(f"{head}." for head in heads))]
    gradients = [value_and_grad(chain, near(theta, seed))[1] for seed in range(TRIES)]
    dead = [n for n in trained if not any(g[n].any() for g in gradients)]
    assert not dead, (
        f"{', '.join(dead[:4])} has no gradient at {TRIES} weights near the initial ones: it does "
        "not reach the output"
    )
    frozen = len(list(trial.module.parameters())) - len(names)
    notes = [counted(frozen, "frozen tensor")] if frozen else []
    notes += [f"{counted(len(heads), 'local head')}, for local losses alone"] if heads else []
    faint = [n for n in trained if all(_is_rounding(g, n) for g in gradients)]
    if faint:
        notes.append(
            f"the gradient of {', '.join(faint[:4])} is as small as rounding errors: what follows "
            "in the network, such as a normalisation, cancels its effect"
        )
    return "; ".join([counted(len(trained), "tensor"), *notes])


def keeps_its_state(trial: NetworkTrial) -> str:
    """All that its outputs depend on is in `state_dict`: saved and loaded, they are the same."""
    module, x = copy.deepcopy(trial.module), trial.batch[0]
    with torch.no_grad():
        for seed in range(2):
            under_seed(seed, lambda: _trained(module, x, keep=True))
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    loaded = trial.build(1)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    for mode, run in {"evaluation": _evaluated, "training": _trained}.items():
        first, again = (under_seed(0, lambda m=m, r=run: r(m, x)) for m in (module, loaded))
        assert torch.equal(first, again), (
            f"in {mode} mode, a network that was built anew and given the state_dict puts out "
            "other numbers: keep what it depends on in parameters or in buffers (register_buffer)"
        )
    return counted(len(module.state_dict()), "tensor")


def _evaluated(module: nn.Module, x: Tensor) -> Tensor:
    with evaluating(module), torch.no_grad():
        return module(x.clone())


def _trained(module: nn.Module, x: Tensor, *, keep: bool = False) -> Tensor:
    """The output in training mode, without a change of the module unless it is to `keep` it."""
    module = module if keep else copy.deepcopy(module)
    module.train()
    with torch.no_grad():
        return module(x.clone())


def _is_finite(t: Tensor) -> bool:
    return not t.is_floating_point() or bool(t.isfinite().all())


def _no_forward(chain: Chain, theta: Params) -> str:
    """Why forward mode was not tried, in words; "" if it was."""
    v = direction(theta, 0)
    try:
        push_forward(chain, theta, [v[n] for n in theta])
    except (NotImplementedError, RuntimeError, TypeError) as error:
        return f"forward mode has no rule ({str(error).splitlines()[0]:.120})"
    return ""


def _is_rounding(gradients: dict[str, Tensor], name: str) -> bool:
    whole = sum(g.double().square().sum().item() for g in gradients.values())
    return gradients[name].double().square().sum().item() <= FLOOR**2 * whole

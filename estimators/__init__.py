"""Gradient estimators and measurements of their quality, on torch and the standard library.

    from estimators import ForwardGradient, measure
    print(measure(net, loss, (x, y), [ForwardGradient(tangents=8)]))

The names are imported when they are first used (PEP 562), so that `import estimators` and
`import estimators.statistics` do not load torch.
"""

# ruff: noqa: F401, the imports below are the public names
import importlib
from typing import TYPE_CHECKING, Any

_MODULES = {
    "adapters.torchzero_module": ["TorchzeroModule"],
    "combine.channel_directed": ["ChannelDirected"],
    "combine.clip_norm": ["ClipNorm"],
    "combine.guided_es": ["GuidedES"],
    "combine.mean_of_draws": ["MeanOfDraws"],
    "combine.momentum": ["Momentum"],
    "control.exact_plus_noise": ["ExactPlusNoise"],
    "control.random_direction": ["RandomDirection"],
    "control.sign_of": ["SignOf"],
    "control.stale": ["Stale"],
    "core.bounds": ["Ge", "Gt", "Le", "Lt", "Unit", "UsedIf"],
    "core.contract": [
        "BatchedDraws",
        "Claim",
        "Cost",
        "Coverage",
        "Estimate",
        "Estimator",
        "Law",
        "Need",
        "Params",
        "Signals",
        "UnsupportedError",
    ],
    "core.info_nce": ["InfoNCE"],
    "core.names": ["label", "labels", "snake_name"],
    "core.noise": ["stream"],
    "core.objective": ["Chain", "Objective", "Place", "cross_entropy"],
    "requirements": ["require"],
    "core.site": ["Site"],
    "core.token_loss": ["token_cross_entropy"],
    "feedback.backprop": ["Backprop"],
    "feedback.brsf": ["BRSF"],
    "feedback.direct_feedback_alignment": ["DirectFeedbackAlignment"],
    "feedback.dkp": ["DKP"],
    "feedback.fdfa": ["FDFA"],
    "feedback.feedback_alignment": ["FeedbackAlignment"],
    "feedback.frsf": ["FRSF"],
    "feedback.kolen_pollack": ["KolenPollack"],
    "feedback.usf": ["USF"],
    "feedback.weight_mirror": ["WeightMirror"],
    "guess.guess_and_target": ["GuessAndTarget"],
    "implicit.equilibrium": ["Equilibrium"],
    "implicit.implicit_adjoint": ["ImplicitAdjoint"],
    "implicit.solvers.anderson": ["Anderson"],
    "implicit.solvers.broyden": ["Broyden"],
    "implicit.solvers.fixed_point": ["FixedPoint"],
    "implicit.solvers.record": ["recording_solves"],
    "implicit.spectral_radius": ["spectral_radii"],
    "local.blocks": ["LocalHead"],
    "local.local_losses": ["LocalLosses"],
    "measurement.adjoint_map": ["adjoint_map"],
    "measurement.adjoints.result": ["AdjointMap"],
    "measurement.anatomy": ["anatomy"],
    "measurement.compare": ["compare"],
    "measurement.measure": ["measure"],
    "measurement.probe": ["probe"],
    "measurement.results.measurement": ["Measurement"],
    "measurement.sweep": ["sweep"],
    "measurement.what_if": ["what_if"],
    "perturbation.activity_forward_gradient": ["ActivityForwardGradient"],
    "perturbation.averaged_projected": ["AveragedProjected"],
    "perturbation.block_forward_gradient": ["BlockForwardGradient"],
    "perturbation.coordinate_importance": ["CoordinateImportance"],
    "perturbation.evolution_strategy": ["EvolutionStrategy"],
    "perturbation.forward_gradient": ["ForwardGradient"],
    "perturbation.gaussian_smoothing": ["GaussianSmoothing"],
    "perturbation.low_rank_forward_gradient": ["LowRankForwardGradient"],
    "perturbation.mezo": ["MeZO"],
    "perturbation.node_perturbation": ["NodePerturbation"],
    "perturbation.sparse_forward_gradient": ["SparseForwardGradient"],
    "perturbation.spsa": ["SPSA"],
    "registry": ["discover"],
}
"""The module of each public name. A test holds the imports below, for type checkers, to it."""

_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_MODULE_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if TYPE_CHECKING:
    from estimators.adapters.torchzero_module import TorchzeroModule
    from estimators.combine.channel_directed import ChannelDirected
    from estimators.combine.clip_norm import ClipNorm
    from estimators.combine.guided_es import GuidedES
    from estimators.combine.mean_of_draws import MeanOfDraws
    from estimators.combine.momentum import Momentum
    from estimators.control.exact_plus_noise import ExactPlusNoise
    from estimators.control.random_direction import RandomDirection
    from estimators.control.sign_of import SignOf
    from estimators.control.stale import Stale
    from estimators.core.bounds import Ge, Gt, Le, Lt, Unit, UsedIf
    from estimators.core.contract import (
        BatchedDraws,
        Claim,
        Cost,
        Coverage,
        Estimate,
        Estimator,
        Law,
        Need,
        Params,
        Signals,
        UnsupportedError,
    )
    from estimators.core.info_nce import InfoNCE
    from estimators.core.names import label, labels, snake_name
    from estimators.core.noise import stream
    from estimators.core.objective import Chain, Objective, Place, cross_entropy
    from estimators.core.site import Site
    from estimators.core.token_loss import token_cross_entropy
    from estimators.feedback.backprop import Backprop
    from estimators.feedback.brsf import BRSF
    from estimators.feedback.direct_feedback_alignment import DirectFeedbackAlignment
    from estimators.feedback.dkp import DKP
    from estimators.feedback.fdfa import FDFA
    from estimators.feedback.feedback_alignment import FeedbackAlignment
    from estimators.feedback.frsf import FRSF
    from estimators.feedback.kolen_pollack import KolenPollack
    from estimators.feedback.usf import USF
    from estimators.feedback.weight_mirror import WeightMirror
    from estimators.guess.guess_and_target import GuessAndTarget
    from estimators.implicit.equilibrium import Equilibrium
    from estimators.implicit.implicit_adjoint import ImplicitAdjoint
    from estimators.implicit.solvers.anderson import Anderson
    from estimators.implicit.solvers.broyden import Broyden
    from estimators.implicit.solvers.fixed_point import FixedPoint
    from estimators.implicit.solvers.record import recording_solves
    from estimators.implicit.spectral_radius import spectral_radii
    from estimators.local.blocks import LocalHead
    from estimators.local.local_losses import LocalLosses
    from estimators.measurement.adjoint_map import adjoint_map
    from estimators.measurement.adjoints.result import AdjointMap
    from estimators.measurement.anatomy import anatomy
    from estimators.measurement.compare import compare
    from estimators.measurement.measure import measure
    from estimators.measurement.probe import probe
    from estimators.measurement.results.measurement import Measurement
    from estimators.measurement.sweep import sweep
    from estimators.measurement.what_if import what_if
    from estimators.perturbation.activity_forward_gradient import ActivityForwardGradient
    from estimators.perturbation.averaged_projected import AveragedProjected
    from estimators.perturbation.block_forward_gradient import BlockForwardGradient
    from estimators.perturbation.coordinate_importance import CoordinateImportance
    from estimators.perturbation.evolution_strategy import EvolutionStrategy
    from estimators.perturbation.forward_gradient import ForwardGradient
    from estimators.perturbation.gaussian_smoothing import GaussianSmoothing
    from estimators.perturbation.low_rank_forward_gradient import LowRankForwardGradient
    from estimators.perturbation.mezo import MeZO
    from estimators.perturbation.node_perturbation import NodePerturbation
    from estimators.perturbation.sparse_forward_gradient import SparseForwardGradient
    from estimators.perturbation.spsa import SPSA
    from estimators.registry import discover
    from estimators.requirements import require

"""Gradient estimators, and how good they are. Torch and the standard library only.

from estimators import ForwardGradient, measure
print(measure(net, loss, (x, y), [ForwardGradient(tangents=8)]))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from estimators.combine.clip_norm import ClipNorm
    from estimators.combine.guided_es import GuidedES
    from estimators.combine.mean_of_draws import MeanOfDraws
    from estimators.combine.momentum import Momentum
    from estimators.control.exact_plus_noise import ExactPlusNoise
    from estimators.control.random_direction import RandomDirection
    from estimators.control.sign_of import SignOf
    from estimators.control.stale import Stale
    from estimators.core.bounds import Ge, Gt, Le, Lt, Unit
    from estimators.core.contract import (
        Claim,
        Cost,
        Estimate,
        Estimator,
        Need,
        Params,
        UnsupportedError,
    )
    from estimators.core.info_nce import InfoNCE
    from estimators.core.names import label, labels, snake_name
    from estimators.core.objective import Chain, Objective, Place, cross_entropy
    from estimators.core.requirements import require
    from estimators.core.site import Site
    from estimators.core.streams import stream
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
    from estimators.local.blocks import LocalHead
    from estimators.local.local_losses import LocalLosses
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

_MODULES = {
    "ActivityForwardGradient": "estimators.perturbation.activity_forward_gradient",
    "AveragedProjected": "estimators.perturbation.averaged_projected",
    "BRSF": "estimators.feedback.brsf",
    "Backprop": "estimators.feedback.backprop",
    "BlockForwardGradient": "estimators.perturbation.block_forward_gradient",
    "Chain": "estimators.core.objective",
    "Claim": "estimators.core.contract",
    "ClipNorm": "estimators.combine.clip_norm",
    "CoordinateImportance": "estimators.perturbation.coordinate_importance",
    "Cost": "estimators.core.contract",
    "DKP": "estimators.feedback.dkp",
    "DirectFeedbackAlignment": "estimators.feedback.direct_feedback_alignment",
    "Estimate": "estimators.core.contract",
    "Estimator": "estimators.core.contract",
    "EvolutionStrategy": "estimators.perturbation.evolution_strategy",
    "ExactPlusNoise": "estimators.control.exact_plus_noise",
    "FDFA": "estimators.feedback.fdfa",
    "FRSF": "estimators.feedback.frsf",
    "FeedbackAlignment": "estimators.feedback.feedback_alignment",
    "ForwardGradient": "estimators.perturbation.forward_gradient",
    "GaussianSmoothing": "estimators.perturbation.gaussian_smoothing",
    "Ge": "estimators.core.bounds",
    "Gt": "estimators.core.bounds",
    "GuidedES": "estimators.combine.guided_es",
    "InfoNCE": "estimators.core.info_nce",
    "KolenPollack": "estimators.feedback.kolen_pollack",
    "Le": "estimators.core.bounds",
    "LocalHead": "estimators.local.blocks",
    "LocalLosses": "estimators.local.local_losses",
    "LowRankForwardGradient": "estimators.perturbation.low_rank_forward_gradient",
    "Lt": "estimators.core.bounds",
    "MeZO": "estimators.perturbation.mezo",
    "MeanOfDraws": "estimators.combine.mean_of_draws",
    "Measurement": "estimators.measurement.results.measurement",
    "Momentum": "estimators.combine.momentum",
    "Need": "estimators.core.contract",
    "NodePerturbation": "estimators.perturbation.node_perturbation",
    "Objective": "estimators.core.objective",
    "Params": "estimators.core.contract",
    "Place": "estimators.core.objective",
    "RandomDirection": "estimators.control.random_direction",
    "SPSA": "estimators.perturbation.spsa",
    "SignOf": "estimators.control.sign_of",
    "Site": "estimators.core.site",
    "SparseForwardGradient": "estimators.perturbation.sparse_forward_gradient",
    "Stale": "estimators.control.stale",
    "USF": "estimators.feedback.usf",
    "Unit": "estimators.core.bounds",
    "UnsupportedError": "estimators.core.contract",
    "WeightMirror": "estimators.feedback.weight_mirror",
    "anatomy": "estimators.measurement.anatomy",
    "compare": "estimators.measurement.compare",
    "cross_entropy": "estimators.core.objective",
    "discover": "estimators.registry",
    "label": "estimators.core.names",
    "labels": "estimators.core.names",
    "measure": "estimators.measurement.measure",
    "probe": "estimators.measurement.probe",
    "require": "estimators.core.requirements",
    "snake_name": "estimators.core.names",
    "stream": "estimators.core.streams",
    "sweep": "estimators.measurement.sweep",
    "what_if": "estimators.measurement.what_if",
}
"""Where each public name lives. Names load on first use, so that a module that needs no torch, such
as `estimators.statistics`, loads none."""

__all__ = [
    "BRSF",
    "DKP",
    "FDFA",
    "FRSF",
    "SPSA",
    "USF",
    "ActivityForwardGradient",
    "AveragedProjected",
    "Backprop",
    "BlockForwardGradient",
    "Chain",
    "Claim",
    "ClipNorm",
    "CoordinateImportance",
    "Cost",
    "DirectFeedbackAlignment",
    "Estimate",
    "Estimator",
    "EvolutionStrategy",
    "ExactPlusNoise",
    "FeedbackAlignment",
    "ForwardGradient",
    "GaussianSmoothing",
    "Ge",
    "Gt",
    "GuidedES",
    "InfoNCE",
    "KolenPollack",
    "Le",
    "LocalHead",
    "LocalLosses",
    "LowRankForwardGradient",
    "Lt",
    "MeZO",
    "MeanOfDraws",
    "Measurement",
    "Momentum",
    "Need",
    "NodePerturbation",
    "Objective",
    "Params",
    "Place",
    "RandomDirection",
    "SignOf",
    "Site",
    "SparseForwardGradient",
    "Stale",
    "Unit",
    "UnsupportedError",
    "WeightMirror",
    "anatomy",
    "compare",
    "cross_entropy",
    "discover",
    "label",
    "labels",
    "measure",
    "probe",
    "require",
    "snake_name",
    "stream",
    "sweep",
    "what_if",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

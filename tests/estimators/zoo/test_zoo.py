"""Foreign networks × every registered estimator: right to autograd, or refused in a sentence."""

import re
import warnings

import pytest

from estimators import (
    ActivityForwardGradient,
    BlockForwardGradient,
    ForwardGradient,
    NodePerturbation,
    discover,
    label,
)
from estimators.measurement.inputs.subject import Subject
from tests.estimators.zoo.equilibria import EQUILIBRIA
from tests.estimators.zoo.functions import WRITTEN
from tests.estimators.zoo.judge import admitted, snapshot, verdict
from tests.estimators.zoo.language import LANGUAGE
from tests.estimators.zoo.layers import LAYERS
from tests.estimators.zoo.parameters import HELD

NETWORKS = {f.name: f for f in (*LAYERS, *WRITTEN, *HELD, *EQUILIBRIA, *LANGUAGE)}
ESTIMATORS = [
    *(entry.cls() for entry in discover().estimators.values()),
    ForwardGradient(tangents=3, noise="normal"),
    ForwardGradient(per="example"),
    BlockForwardGradient(visit="each", blocks="stage"),
    ActivityForwardGradient(tangents=2, noise="normal", masked_noise=False),
    NodePerturbation(draws=2, masked_noise=False),
]

STRUCTURE = "|".join(
    (
        r"put Site\(\) before",
        "a single stage with parameters",
        "stands behind another layer with parameters",
        "couples examples",
        "couples them: take source=oracle",
        "is frozen: let it learn",
        "one number a class",
        "is tied to a weight",
        r"this one has none: put an Equilibrium\(cell\) into it",
    )
)
"""Refusals of what an estimator declares to need: sites, stages, separate examples, own weights,
an equilibrium."""

MATH = r"sdpa_kernel\(torch.nn.attention.SDPBackend.MATH\)"
REFUSED = {
    "attention": rf"fused attention kernel .* in 2.attend \(MultiheadAttention\): enter .*{MATH}",
    "encoder_layer_training": rf"fused attention kernel .* in 2.self_attn .*{MATH}",
    "encoder_layer_evaluation": r"fused encoder layer .* in 2 \(TransformerEncoderLayer\): "
    rf"call torch.backends.mha.set_fastpath_enabled\(False\) and enter .*{MATH}",
    "cube": r"torch.autograd.Function Cube without jvp, in 2 \(Apply\): give it a jvp",
    "checkpoint_reentrant": "pass use_reentrant=False",
    "backward_hook": "take the backward hooks away",
    "tuple_between_stages": "the output of the stage 2 is a tuple, .* into one stage",
    "no_grad_inside": "reverse mode stops or differs",
    "embedding_padding": "reverse mode stops or differs",
    "embedding_scaled_by_frequency": "reverse mode stops or differs",
    "detached": r"no Site\(\) reaches the loss",
    "weight_norm": r"fused weight norm .* in 2.parametrizations.weight.0 \(_WeightNorm\): write",
    "weight_norm_old": r"fused weight norm .* in 2 \(Linear\): write",
    "spectral_norm": "power iteration of spectral norm .*: put the module into evaluation mode",
    "spectral_norm_old": "power iteration of spectral norm .*: put the module into evaluation",
    "frozen_all": "all 6 are frozen",
    "no_parameters": "it has none",
    "embedding_max_norm": r"0 is Embedding.*: set its max_norm to None",
    "embedding_bag": r"the embedding bag .* in 0 \(EmbeddingBag\): look the rows up with nn.Emb",
    "embedding_bag_mean": "the embedding bag",
    "embedding_bag_sparse": "the embedding bag",
    "complex": "2.w is complex .*torch.view_as_real",
    "lazy": "call the module once on x beforehand",
    "renormalised_in_forward": "a forward pass changes the parameter 2.w in place",
    "clamped_in_forward": "a forward pass changes the parameter 2.w in place",
}
"""What is said of the networks that some estimators cannot serve otherwise."""


@pytest.mark.parametrize("name", NETWORKS)
def test_every_estimator_is_right_or_refuses(name):
    wrong, refusals = [], []
    words = REFUSED.get(name, STRUCTURE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = NETWORKS[name].build()
        before = snapshot(network)
        point = admitted(network)
        if isinstance(point, str):
            refusals.append(point)
        for estimator in ESTIMATORS if isinstance(point, Subject) else ():
            try:
                refusals.append(verdict(NETWORKS[name], network, point, estimator))
            except Exception as error:
                wrong.append(f"{label(estimator)}: {type(error).__name__}: {error}")
            after = snapshot(network)
            wrong += [f"{label(estimator)} changes {k}" for k in before if after[k] != before[k]]
    wrong += [r for r in refusals if r and not re.search(f"{words}|{STRUCTURE}", r)]
    assert not wrong, "\n".join(wrong)
    assert name not in REFUSED or any(re.search(words, r) for r in refusals)

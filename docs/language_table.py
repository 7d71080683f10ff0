"""Print the tables of docs/language.md as Markdown.

`python -m docs.language_table measured` draws estimators on gpt after some steps of backprop;
`python -m docs.language_table trained [NAME …]` trains gpt with each method, or those named.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from backend.config import RunConfig
from backend.training.batches import Batches
from backend.training.datasets.characters import Characters
from backend.training.loop import train
from backend.training.networks.gpt import GPT
from backend.training.records import Ended, Points
from benchmarks.table import interleaved
from estimators import (
    FDFA,
    ActivityForwardGradient,
    Backprop,
    Chain,
    DirectFeedbackAlignment,
    Estimator,
    FeedbackAlignment,
    ForwardGradient,
    LocalLosses,
    MeZO,
    NodePerturbation,
    measure,
    stream,
    token_cross_entropy,
)
from estimators.statistics.reference import HATCH

DATASET, NETWORK, BATCH = Characters(context=32), GPT(width=32, heads=4, depth=2), 32
BEFORE, DRAWS, ROUNDS = 200, 64, 5
STEPS = 400
MEASURED: dict[str, Estimator] = {
    "`local_losses(inner=backprop)`": LocalLosses(inner=Backprop()),
    "`feedback_alignment`": FeedbackAlignment(),
    "`direct_feedback_alignment`": DirectFeedbackAlignment(),
    "`fdfa`": FDFA(),
    "`local_losses`": LocalLosses(),
    "`activity_forward_gradient(tangents=16)`": ActivityForwardGradient(tangents=16),
    "`activity_forward_gradient`": ActivityForwardGradient(),
    "`node_perturbation`": NodePerturbation(),
    "`forward_gradient(per=example)`": ForwardGradient(per="example"),
    "`forward_gradient(tangents=16)`": ForwardGradient(tangents=16),
    "`forward_gradient`": ForwardGradient(),
    "`mezo`": MeZO(),
}
TRAINED: dict[str, tuple[dict[str, Any], float]] = {
    "backprop": ({"name": "backprop"}, 3e-3),
    "local_losses(inner=backprop)": (
        {"name": "local_losses", "inner": {"name": "backprop"}},
        3e-3,
    ),
    "feedback_alignment": ({"name": "feedback_alignment"}, 3e-3),
    "direct_feedback_alignment": ({"name": "direct_feedback_alignment"}, 3e-3),
    "local_losses": ({"name": "local_losses"}, 3e-3),
    "activity_forward_gradient": ({"name": "activity_forward_gradient"}, 1e-3),
    "forward_gradient": ({"name": "forward_gradient"}, 1e-3),
    "mezo": ({"name": "mezo"}, 1e-3),
}
"""Description and learning rate of AdamW."""


def measured() -> Iterator[str]:
    """Draws at one point, and the processor time of an estimate in that of backprop."""
    batches = Batches(DATASET.load(0).train, BATCH, 0)
    module = NETWORK.build(DATASET.shape, DATASET.classes, stream(0, "init"))
    optimizer = torch.optim.AdamW(module.parameters(), 3e-3)
    for step in range(BEFORE):
        x, y = batches.at(step)
        optimizer.zero_grad()
        token_cross_entropy(module(x), y).mean().backward()
        optimizer.step()
    x, y = batches.at(BEFORE)
    result = measure(module, token_cross_entropy, (x, y), MEASURED, DRAWS)
    seconds = _seconds(Chain(module, x, y, token_cross_entropy))
    yield f"After {BEFORE} steps, loss {result.loss:.3f}:"
    yield ""
    yield "| estimator | cosine | scaled error | ‖ĝ‖/‖g‖ | time / backprop |"
    yield "|---|---|---|---|---|"
    for label in MEASURED:
        names = ("cosine", "cosine_sd", "scaled_error", "norm_ratio")
        cosine, sd, error, ratio = (result.value(name, label) for name in names)
        mean = f"{cosine:.3f} ± {2 * sd / DRAWS**0.5:.3f}"
        cells = [mean, f"{error:.4f}", f"{ratio:.3g}"]
        cells = [f"{HATCH} {cell}" if result.is_rounding() else cell for cell in cells]
        yield f"| {label} | {' | '.join(cells)} | {seconds[label]:.1f} |"


def _seconds(chain: Chain) -> dict[str, float]:
    params = {name: p.detach() for name, p in chain.module.named_parameters()}

    def call(estimator: Estimator) -> Any:
        state = estimator.init(chain, params, stream(0, "estimator"))

        def draw() -> list[Tensor]:
            grads = estimator.estimate(chain, params, state, stream(0, "estimator")).grads
            return [grads[name] for name in params]

        return draw

    calls = [call(estimator) for estimator in (Backprop(), *MEASURED.values())]
    base, *others = interleaved(*calls, rounds=ROUNDS, warm=1, clock=time.process_time)
    return {label: t / base for label, t in zip(MEASURED, others, strict=True)}


def trained(names: Sequence[str]) -> Iterator[str]:
    """The test loss after some steps of each method."""
    yield "| method | rate | test loss, nats | bits per character | test accuracy |"
    yield "|---|---|---|---|---|"
    for name in names or TRAINED:
        estimator, rate = TRAINED[name]
        last = _last(estimator, rate)
        loss, bits, hits = (last[f"test/{m}"] for m in ("loss", "bits_per_token", "accuracy"))
        yield f"| `{name}` | {rate:g} | {loss:.3f} | {bits:.2f} | {100 * hits:.1f} % |"


def _last(estimator: dict[str, Any], rate: float) -> dict[str, float]:
    config = RunConfig.model_validate(
        {
            "dataset": {"name": "characters", "context": DATASET.context},
            "network": {"name": "gpt", "width": NETWORK.width, "depth": NETWORK.depth},
            "estimator": estimator,
            "optimizer": {"name": "adamw", "lr": rate, "schedule": {"name": "cosine"}},
            "steps": STEPS,
            "batch_size": BATCH,
            "probe": {"budget": 0},
            "device": "cpu",
        }
    )
    last: dict[str, float] = {}
    for record in train(config):
        if isinstance(record, Points):
            last[record.metric] = float(record.values[-1])
        if isinstance(record, Ended) and record.status != "finished":
            raise SystemExit(f"{estimator}: {record}")
    return last


def chances() -> str:
    """The test loss of the frequencies of single characters, and of pairs."""
    split, v = DATASET.load(0), DATASET.classes
    x, y = split.train.x.flatten(), split.train.y.flatten()
    pairs = (x * v + y).bincount(minlength=v * v).view(v, v).double() + 0.01
    single = pairs.sum(0) / pairs.sum()
    given = pairs / pairs.sum(1, keepdim=True)
    x, y = split.test.x.flatten(), split.test.y.flatten()
    losses = (-single.log()[y].mean(), -given.log()[x, y].mean())
    return "single characters {:.3f}, pairs {:.3f} nats".format(*losses)


def main(what: str, names: Sequence[str]) -> None:
    """Print one of the tables."""
    torch.set_num_threads(1)
    for line in measured() if what == "measured" else trained(names):
        print(line, flush=True)
    if what == "trained":
        print(f"\nFrequencies of {chances()}.")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

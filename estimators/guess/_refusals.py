"""What a network or a guesser lacks for guesses and targets, in words, before the run.

Each sentence begins with the field that does not fit: the lab's form shows it there.
"""

from collections.abc import Sequence

from estimators.autodiff.block_pass import names_in, parts_of
from estimators.auxiliary.local_loss import refuse_targets
from estimators.core.contract import Estimator, Params, UnsupportedError
from estimators.core.names import label
from estimators.core.noise import stream
from estimators.core.objective import Chain
from estimators.guess._auxiliaries import Auxiliary, Choice
from estimators.requirements import require

MAX_EXAMPLE_NUMBERS = 2**26
"""Numbers in the weights' tangents of all examples, in forward mode: 256 MiB in float32."""


def refuse_for_auxiliaries(choice: Choice, chain: Chain) -> None:
    """Raise UnsupportedError for a batch that the auxiliary networks or losses do not take."""
    refuse_targets(choice.loss, chain.y)
    if choice.norm == "batch" and len(chain.x) < 2:
        raise UnsupportedError(
            "auxiliary_norm is batch, which takes the statistics of at least two examples, and the "
            f"batch has {len(chain.x)}: take a larger batch, or layer or none"
        )


def refuse_coupled(chain: Chain, auxiliaries: Sequence[Auxiliary]) -> None:
    """Raise UnsupportedError where a forward-mode pass mixes the scalars of different examples.

    Args:
        chain: The network on its batch.
        auxiliaries: Those whose losses are the target.
    """
    if not chain.separable:
        what = "batch normalisation, or a loss of several examples, couples them"
        way = "or another normalisation of the network"
    elif not all(auxiliary.chain.separable for auxiliary in auxiliaries):
        what = "auxiliary_norm=batch, or similarity in the local loss, couples them"
        way = "auxiliary_norm=layer, or local_loss=prediction"
    else:
        return
    raise UnsupportedError(
        "source is honest, and one forward-mode pass gives the scalars of all examples only if "
        f"each example's loss depends on that example alone; {what}: take source=oracle, "
        f"unit=tensor, {way}"
    )


def refuse_single_examples(chain: Chain, *, by_itself: bool) -> None:
    """Raise UnsupportedError where there are no gradients of single examples.

    `by_itself`: an estimator guesses for each example as for a batch of one.
    """
    if not chain.separable:
        raise UnsupportedError(
            "unit is tensor_and_example, and gradients of single examples exist only where "
            "examples are not coupled: take another unit or another normalisation"
        )
    if chain.views > 1 and by_itself:
        raise UnsupportedError(
            "unit is tensor_and_example, where an estimator guesses for single examples by itself, "
            f"and this loss compares {chain.views} views of each example with the rest of the "
            "batch: take another unit or another guess"
        )


def refuse_too_many(chain: Chain, params: Params) -> None:
    """Raise UnsupportedError where weights of its own for each example take too much memory."""
    guessed = [name for part in parts_of(chain)[:-1] for name in names_in(part, params)]
    numbers = len(chain.x) * sum(params[name].numel() for name in guessed)
    if numbers > MAX_EXAMPLE_NUMBERS:
        raise UnsupportedError(
            "source is honest, and a scalar for each tensor and example then takes "
            f"{len(guessed)} forward-mode passes with weights of its own for each of "
            f"{len(chain.x)} examples, {numbers:,} numbers; at most {MAX_EXAMPLE_NUMBERS:,} are "
            "served: take source=oracle, a smaller batch or another unit"
        )


def refuse_unfit(guesser: Estimator, chain: Chain, params: Params) -> None:
    """Raise UnsupportedError for a guesser that does not support the chain."""
    try:
        require(guesser, chain, params)
    except UnsupportedError as error:
        said = f"guesser is {label(guesser)}, which does not serve here: {error}"
        raise UnsupportedError(said, network=error.network) from None


def refuse_without_signals(guesser: Estimator, chain: Chain, params: Params) -> None:
    """Raise UnsupportedError for a guesser that has no cotangents at the outputs of blocks."""
    # Before a run the tensors hold no numbers, and on their device there is no generator.
    device = "cpu" if chain.x.is_meta else chain.x.device
    rng = stream(0, "estimator", "check", device=device)
    state = guesser.init(chain, params, rng)
    if guesser.signals(chain, params, state, rng) is None:
        raise UnsupportedError(
            f"guesser is {label(guesser)}, which sends no signals to the outputs of blocks: take "
            "unit=tensor, or backprop, a method of feedback, or local_losses or stale around "
            "one of these"
        )

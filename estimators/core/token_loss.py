"""The loss of a language model: the mean cross-entropy over the positions of an example."""

from torch import Tensor, nn


def token_cross_entropy(output: Tensor, y: Tensor) -> Tensor:
    """−1/T Σ_t log softmax(o_{n,t})[y_{n,t}], one number for each example, (B,).

    The mean over positions keeps the loss separable by example, whatever the network reads across
    positions.

    Args:
        output: Logits of the next token at each position, (B, T, V).
        y: The next tokens, (B, T) int64.

    Returns:
        The loss of each example in nats a token, (B,).

    Raises:
        ValueError: The shapes do not belong together.

    Example:
        >>> chain = Chain(model, x, y, token_cross_entropy)
    """
    if output.ndim != 3 or output.shape[:2] != y.shape:
        raise ValueError(
            "a loss of tokens takes logits (B, T, V) and targets (B, T); they are "
            f"{tuple(output.shape)} and {tuple(y.shape)}"
        )
    each = nn.functional.cross_entropy(output.flatten(0, 1), y.flatten(), reduction="none")
    return each.view(y.shape).mean(1)

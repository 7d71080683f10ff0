"""The network, loss, batch and estimators to measure, validated."""

"""Helpers of the methods that perturb activations: noise sharing, laws and batched draws."""

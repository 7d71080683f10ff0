"""Helpers of the methods along directions of the weights: slopes, differences, batched draws."""

"""Wrappers: estimators that work on the estimates of other estimators."""

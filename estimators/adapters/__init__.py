"""Adapters: estimators that measure the methods of other packages, where these are installed."""

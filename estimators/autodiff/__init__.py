"""Derivatives that estimators share: reverse mode, forward mode, and passes cut at sites or stages."""

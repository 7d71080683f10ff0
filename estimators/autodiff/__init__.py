"""Derivatives that estimators share: reverse mode, forward mode, and passes that are cut."""

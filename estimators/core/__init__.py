"""The contract of estimators, objectives, noise, laws and helpers that every method may use."""

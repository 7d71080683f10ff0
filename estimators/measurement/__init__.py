"""How far an estimator's draws are from the exact gradient, at a frozen point."""

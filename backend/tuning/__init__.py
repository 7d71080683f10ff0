"""Learning rates tuned on validation, and results of other seeds on test: plan, choice, report."""

"""Studies: their documents, tuning, budgets, progress, verdicts and tables, without a database."""

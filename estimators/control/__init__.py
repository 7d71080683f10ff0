"""Control arms: estimators that a useful method must be better than."""

"""Implicit models: how a layer that is defined by a fixed point is solved and differentiated."""

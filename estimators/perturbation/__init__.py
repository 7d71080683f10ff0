"""Directions: methods that perturb weights or activations and see how the loss changes."""

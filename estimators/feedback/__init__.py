"""Feedback: methods that send error signals backwards through the network."""

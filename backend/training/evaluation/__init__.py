"""Evaluation of the network: loss, accuracy and linear readouts on parts of a data set."""

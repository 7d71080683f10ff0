"""What the latest probes say of each estimator: means with intervals, and the scoreboard."""

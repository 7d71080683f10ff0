"""The commands of `gradlab` besides `serve`: run, probe, check and export."""

"""The race on the Home page: a run of five estimators, and a recording of it that comes with the
lab.

`preset.yaml` is its configuration, `preset` reads it, `measured` holds what the page draws of a
run, `words` says it in sentences, `recording` reads the recording, and `started` remembers the run
of a home.
"""

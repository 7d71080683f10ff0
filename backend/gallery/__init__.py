"""The gallery: the papers' experiments as studies, each one click, beside the published figures.

An entry is a YAML file in `entries/PAPER`; it holds words, a study and published figures, no code.
"""

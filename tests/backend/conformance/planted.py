"""What the tests of planted bugs share: a bug is an own class that differs in one member."""

from dataclasses import dataclass

from backend.conformance import check


def bug(base, **members):
    """A subclass of `base` as a frozen dataclass with other members."""
    return dataclass(frozen=True)(
        type("Planted", (base,), {"__module__": base.__module__, **members})
    )


def failures(kind, cls, seconds=0.2):
    """{check that fails: why}, in few settings."""
    return {v.name: v.detail for v in check(kind, cls, seconds=seconds) if v.passed is False}

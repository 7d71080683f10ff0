"""Every biased estimator is shown exact in some limit, or says why it has none.

A module `tests/estimators/**/test_limits*.py` registers its tests in a dictionary `LIMITS`, from
class name to test. An estimator without a limit says so in a paragraph of its docstring (or of
its module's) that begins "No limit:".
"""

import importlib.util
import inspect
import sys
from pathlib import Path

import pytest

from estimators import Backprop, Chain, Claim, discover
from estimators.conformance import every_case, served, settings

TESTS = Path(__file__).parents[1]


def limits(module):
    """The tests that a file registers, by the class they are about."""
    for name, test in getattr(module, "LIMITS", {}).items():
        assert callable(test), (module.__name__, name)
        assert getattr(module, test.__name__, None) is test, f"pytest would not run {test}"
        yield name


def registered():
    """The classes with a limit, from every `test_limits*.py`."""
    found = set()
    for file in sorted(TESTS.rglob("test_limits*.py")):
        spec = importlib.util.spec_from_file_location(f"_{file.stem}_for_limits", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        found |= set(limits(module))
    return found


def says_why_none(cls):
    """Whether a paragraph says why there is no limit."""
    texts = (cls.__dict__.get("__doc__") or "", sys.modules[cls.__module__].__doc__ or "")
    paragraphs = [p for text in texts for p in inspect.cleandoc(text).split("\n\n")]
    return any(p.startswith("No limit:") and len(p.split()) > 4 for p in paragraphs)


def is_biased(cls):
    """Whether it is, in any setting, on any case that it serves, coupled examples included."""
    return any(
        estimator.claim(chain) is Claim.BIASED
        for estimator in settings(cls)
        for case in every_case()
        if served(estimator, case)
        for chain in (case.chain, coupled(case))
    )


def coupled(case):
    return Chain(case.chain.module, case.chain.x, case.chain.y, separable=False)


BIASED = {e.cls.__name__: e.cls for e in discover().estimators.values() if is_biased(e.cls)}


@pytest.fixture(scope="module")
def with_limit():
    return registered()


@pytest.mark.parametrize("name", BIASED)
def test_a_biased_estimator_has_a_limit_or_says_why_none(name, with_limit):
    assert name in with_limit or says_why_none(BIASED[name]), (
        f"{name} is biased: register a test in LIMITS of a test_limits*.py, or write a paragraph "
        f"'No limit: ...' in its docstring"
    )


def test_no_limit_is_registered_for_nobody(with_limit):
    assert with_limit <= {e.cls.__name__ for e in discover().estimators.values()}


def test_a_paragraph_counts_only_with_a_reason():
    def made(doc):
        return type("Made", (Backprop,), {"__doc__": doc, "__module__": __name__})

    assert says_why_none(made("ĝ = 0.\n\nNo limit: it ignores the gradient altogether."))
    assert not says_why_none(made("ĝ = 0.\n\nNo limit:"))
    assert not says_why_none(made("ĝ = 0."))

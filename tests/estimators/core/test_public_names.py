"""The public names of the package, which are imported when they are first used."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import estimators

TORCH_FREE = ["estimators", "estimators.statistics"]


def run(code, *arguments):
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


@pytest.mark.parametrize("module", TORCH_FREE)
def test_importing_loads_no_torch(module):
    done = run(f"import sys, {module}; sys.exit('torch' in sys.modules)")
    assert done.returncode == 0, done.stderr


def test_each_name_is_there_once_and_resolves():
    assert len(set(estimators.__all__)) == len(estimators.__all__)
    for module, names in estimators._MODULES.items():
        for name in names:
            own = getattr(importlib.import_module(f"estimators.{module}"), name)
            assert getattr(estimators, name) is own, name
    assert set(estimators.__all__) <= set(dir(estimators))


def test_a_star_import_gives_every_name_in_a_fresh_process():
    done = run(
        "import estimators\nfrom estimators import *\n"
        "missing = [n for n in estimators.__all__ if n not in globals()]\n"
        "assert not missing, missing\nassert ForwardGradient().tangents == 1"
    )
    assert done.returncode == 0, done.stderr


def test_an_unknown_name_is_an_error():
    with pytest.raises(AttributeError, match="has no attribute 'Backpropp'"):
        _ = estimators.Backpropp
    with pytest.raises(ImportError):
        from estimators import Backpropp  # noqa: F401


def test_the_imports_for_type_checkers_are_the_lazy_names():
    tree = ast.parse(Path(estimators.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    imported = {
        node.module.removeprefix("estimators."): [alias.name for alias in node.names]
        for node in block.body
        if isinstance(node, ast.ImportFrom)
    }
    assert imported == estimators._MODULES


FIRST = """
import os, sys, traceback, torch
for module in sys.argv[1:]:
    if not os.fork():
        try:
            __import__(module)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    if os.wait()[1]:
        sys.exit(f"{module} cannot be imported first")
"""
"""Imports each module in a process of its own, which has loaded torch and nothing else."""


def test_modules_can_be_imported_first():
    modules = ["core.laws", "requirements", "registry", "autodiff.calculus", "conformance",
               "measurement.measure"]  # fmt: skip
    done = run(FIRST, *(f"estimators.{module}" for module in modules))
    assert done.returncode == 0, done.stderr

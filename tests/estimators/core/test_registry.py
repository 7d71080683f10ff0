"""Finding estimators: ours, a stranger's, and what is wrong with the rest."""

import hashlib
import textwrap
from types import SimpleNamespace

import pytest

import estimators
from estimators import Backprop, DirectFeedbackAlignment, ForwardGradient, discover, label, labels
from estimators.core.names import snake_name
from estimators.registry import load_file

GOOD = """
from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from estimators import Claim, Cost, Estimate, Estimator, Ge, Objective


@dataclass(frozen=True)
class {name}(Estimator[Objective, None]):
    '''ĝ = 0.'''

    count: Annotated[int, Ge(1)] = 1
    '''How many.'''

    def claim(self, objective, /):
        return Claim.BIASED

    def cost(self, objective, /):
        return Cost(forwards=1)

    def estimate(self, objective, params, state, rng, /):
        return Estimate({{n: 0 * p for n, p in params.items()}}, objective(params))
"""


def write(folder, name, text):
    file = folder / name
    file.write_text(textwrap.dedent(text))
    return file


def test_ours_are_found_with_their_file_and_hash():
    discovery = discover()
    assert not discovery.failures
    assert {
        "activity_forward_gradient", "backprop", "direct_feedback_alignment", "forward_gradient",
        "spsa",
    } <= set(discovery.estimators)  # fmt: skip
    entry = discovery.estimators["backprop"]
    assert entry.cls is Backprop
    assert entry.kind == "builtin"
    assert entry.file.endswith("estimators/feedback/backprop.py")


def test_a_plugin_is_found(tmp_path):
    file = write(tmp_path, "zero.py", GOOD.format(name="AlwaysZero"))
    discovery = discover([tmp_path])
    assert not discovery.failures
    entry = discovery.estimators["always_zero"]
    assert (entry.kind, entry.file) == ("plugin", str(file))
    assert entry.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert entry.cls().count == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def broken(:\n", "SyntaxError"),
        ("import no_such_module\n", "ModuleNotFoundError"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("x = 1\n", "defines no subclass of Estimator"),
        (GOOD.format(name="Thawed").replace("(frozen=True)", ""), "frozen"),
        (GOOD.format(name="NoDefault").replace("= 1\n", "\n"), "without a default: count"),
        (GOOD.format(name="Lacking").replace("def cost", "def costs"), "Lacking lacks cost"),
        (GOOD.format(name="Backprop"), "the name 'backprop' is taken by"),
    ],
)
def test_a_plugin_that_fails_is_listed_and_harms_nothing(tmp_path, text, message):
    bad = write(tmp_path, "bad.py", text)
    write(tmp_path, "zero.py", GOOD.format(name="AlwaysZero"))
    discovery = discover([tmp_path])
    assert [f.source for f in discovery.failures] == [str(bad)]
    assert message in discovery.failures[0].traceback
    assert "always_zero" in discovery.estimators
    assert discovery.estimators["backprop"].cls is Backprop


def test_private_files_and_other_files_are_not_run(tmp_path):
    write(tmp_path, "_helper.py", "raise RuntimeError\n")
    write(tmp_path, "notes.txt", "raise RuntimeError\n")
    assert not discover([tmp_path, tmp_path / "none"]).failures


def test_a_changed_file_is_read_anew(tmp_path):
    write(tmp_path, "zero.py", GOOD.format(name="Before"))
    assert "before" in discover([tmp_path]).estimators
    write(tmp_path, "zero.py", GOOD.format(name="AfterIt"))
    names = discover([tmp_path]).estimators
    assert "after_it" in names
    assert "before" not in names


def test_load_file_raises_what_the_file_raises(tmp_path):
    with pytest.raises(ZeroDivisionError):
        load_file(write(tmp_path, "bad.py", "1 / 0\n"))


class _Point:
    """An entry point whose loading gives `value`, or raises it."""

    name, value = "theirs", "their_package:thing"

    def __init__(self, loaded):
        self.loaded = loaded

    def load(self):
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


def test_entry_points(monkeypatch, tmp_path):
    (theirs,) = load_file(write(tmp_path, "zero.py", GOOD.format(name="AlwaysZero")))["estimator"]
    points = [_Point(theirs), _Point(ImportError("gone")), _Point(int)]
    installed = SimpleNamespace(select=lambda group: points)
    monkeypatch.setattr("estimators.registry.metadata.entry_points", lambda: installed)
    discovery = discover()
    assert discovery.estimators["always_zero"].kind == "entry_point"
    assert ["gone" in f.traceback for f in discovery.failures] == [True, False]
    assert "names no subclass of Estimator" in discovery.failures[1].traceback


def test_names():
    assert snake_name(DirectFeedbackAlignment) == "direct_feedback_alignment"
    assert snake_name(type("FDFALearned", (), {})) == "fdfa_learned"
    assert label(ForwardGradient()) == "forward_gradient"
    assert label(ForwardGradient(tangents=8, noise="normal")) == (
        "forward_gradient(tangents=8, noise=normal)"
    )
    assert labels([Backprop()] * 3) == ["backprop", "backprop #2", "backprop #3"]


def test_forms_can_be_drawn_from_the_dataclass():
    from pydantic import TypeAdapter, ValidationError

    schema = TypeAdapter(ForwardGradient).json_schema()
    assert schema["additionalProperties"] is False
    tangents = schema["properties"]["tangents"]
    assert (tangents["minimum"], tangents["default"], tangents["unit"]) == (1, 1, "tangents")
    assert "forward-mode pass" in tangents["description"]
    assert schema["properties"]["noise"]["enum"] == ["rademacher", "normal", "sphere"]
    for wrong in ({"tangents": 0}, {"tangens": 1}, {"noise": "cauchy"}):
        with pytest.raises(ValidationError):
            TypeAdapter(ForwardGradient).validate_python(wrong)


def test_the_library_imports_torch_and_the_standard_library_alone():
    import ast
    import sys
    from pathlib import Path

    allowed = sys.stdlib_module_names | {"torch", "estimators"}
    for file in Path(estimators.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = (
                [a.name for a in node.names] if isinstance(node, ast.Import)
                else [node.module or ""] if isinstance(node, ast.ImportFrom)
                else []
            )  # fmt: skip
            assert {n.partition(".")[0] for n in names} <= allowed, (file, names)

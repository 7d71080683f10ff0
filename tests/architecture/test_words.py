"""Names are the field's: words that were retired do not come back.

The glossary in CONTRIBUTING says what each term means; this test says which ones are gone.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.sources import PACKAGES, ROOT, files

RETIRED = {
    "apart", "astray", "blame", "burial", "carrier", "dress", "dressed", "gamble", "grain",
    "lamp", "lamps", "lineup", "lotteries", "lottery", "mourn", "relief", "specimen", "specimens",
    "tickets", "unserved", "unwritten",
}  # fmt: skip
"""As any part of an identifier or a file name: `law_lamps`, `LampRow`."""

RETIRED_NAMES = {"LEAST", "Walk", "ahead", "known", "of", "one", "standing", "told", "trail"}
"""As a whole identifier that a module defines, or as its name."""

SPOKEN = re.compile(
    r"\b(lamps?|lotter(y|ies)|gambles?|specimens?|lineup|astray|burial|unserved)\b", re.IGNORECASE
)
"""In texts that a user or a reader of the code meets."""

ALLOWED = {
    ("backend/jobs/run_folders.py", "specimen"): "the folder of checkpoints that earlier labs kept",
    ("backend/training/checkpoints/files.py", "lineup"): "a key in checkpoints of earlier labs",
    ("backend/store/migrations/versions/0003_law_checks.py", "lamp"): "the series that it renames",
}
"""Words that keep data of before readable, by file."""

SCRIPTS = [*(ROOT / "frontend").rglob("*.js")]


def parts(identifier: str) -> set[str]:
    """`LampRow` -> {lamp, row}, `_law_lamps` -> {law, lamps}."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)
    return {word.lower() for word in words}


def names(path: Path) -> Iterator[tuple[int, str]]:
    yield 0, path.stem
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string


def defined(path: Path) -> Iterator[tuple[int, str]]:
    """Every name that the module binds: functions, classes, arguments and variables."""
    yield 0, path.stem
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id


def python() -> list[Path]:
    return [path for package in PACKAGES for path in files(package)]


def test_no_python_identifier_has_a_retired_word():
    hits = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in python()
        for line, name in names(path)
        if parts(name) & RETIRED
    ]
    assert not hits, "\n".join(hits)


def test_no_module_defines_a_retired_name():
    hits = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in python()
        for line, name in defined(path)
        if name in RETIRED_NAMES
    ]
    assert not hits, "\n".join(hits)


def test_no_script_has_a_retired_word():
    hits = [
        f"{path.relative_to(ROOT)} {name}"
        for path in SCRIPTS
        for name in {path.stem, *re.findall(r"[A-Za-z_$][\w$]*", path.read_text())}
        if parts(name) & RETIRED
    ]
    assert not hits, "\n".join(hits)


def test_no_text_has_a_retired_word():
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    hits = [
        f"{path.relative_to(ROOT)}:{number} {match[0]}"
        for path in [*python(), *SCRIPTS, *documents]
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (match := SPOKEN.search(line)) and (str(path.relative_to(ROOT)), match[0]) not in ALLOWED
    ]
    assert not hits, "\n".join(hits)


def test_every_allowed_word_is_still_there():
    for place, word in ALLOWED:
        assert word in (ROOT / place).read_text(), place


def test_error_classes_say_so():
    hits = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in python()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any(
            isinstance(b, ast.Name) and b.id.endswith(("Error", "Exception")) for b in node.bases
        )
        and not node.name.endswith("Error")
    ]
    assert not hits, "\n".join(hits)

"""The project's own modules, and what each imports."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("estimators", "backend", "gradlab")


def files(place: str) -> list[Path]:
    """The Python files at a path of the repository: one file, or all below a folder."""
    path = ROOT / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


@cache
def modules() -> dict[str, Path]:
    """Every module of the shipped packages, by its dotted name."""
    return {dotted(path): path for package in PACKAGES for path in files(package)}


def dotted(path: Path) -> str:
    """`estimators/core/site.py` -> `estimators.core.site`; `__init__` stands for its package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, *, run: bool = False) -> Iterator[tuple[int, str]]:
    """Each module that `path` imports, wherever in the file, with its line.

    `run`: without the imports that only a type checker reads.
    """
    tree = ast.parse(path.read_text())
    unread = {
        id(node)
        for branch in ast.walk(tree)
        if run and isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for node in ast.walk(branch)
    }
    for node in ast.walk(tree):
        if id(node) in unread:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            module = node.module or ""
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def within(module: str, package: str) -> bool:
    """Whether `module` is `package` or lies in it."""
    return module == package or module.startswith(f"{package}.")

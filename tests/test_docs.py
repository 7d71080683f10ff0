"""What the documents tell a reader to do works, and the files that they name exist."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console

from backend.terminal.check import check_file
from docs.outputs import GUIDE, run_cells, shown_outputs

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
)


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def prose(document: str) -> str:
    """The text of a page without its code blocks."""
    return re.sub(r"```.*?```", "", (ROOT / document).read_text(), flags=re.DOTALL)


def test_the_guide_s_estimators_pass_the_check(tmp_path):
    examples = [b for b in blocks("CONTRIBUTING.md", "python") if "Estimator[" in b]
    assert len(examples) == 2
    for i, example in enumerate(examples):
        file = tmp_path / f"example_{i}.py"
        file.write_text(example)
        assert len(example.splitlines()) <= 60
        console = Console(file=io.StringIO(), width=80)
        passed = check_file(file, console, many=0.5)
        assert passed, console.file.getvalue()
    offered = console.file.getvalue()  # what the second example is there to show
    for name in ("obeys its law", "advances its state", "uses its state"):
        assert re.search(rf"pass +{name}", offered), offered


def test_the_guide_s_network_data_set_and_loss_pass_the_check(tmp_path):
    x, y = np.random.default_rng(0).random((600, 1, 8, 8), np.float32), np.arange(600) % 3
    np.savez(tmp_path / "shapes.npz", x=x, y=y)
    examples = [b for b in blocks("CONTRIBUTING.md", "python") if "Estimator[" not in b]
    console = Console(file=io.StringIO(), width=200)
    for i, example in enumerate(examples):
        file = tmp_path / f"example_{i}.py"
        file.write_text(example)
        assert check_file(file, console), console.file.getvalue()
    printed = console.file.getvalue()
    for kind in ("network", "data set", "loss"):
        assert f"({kind})" in printed


def test_the_readme_s_notebook_runs():
    assert len(run_cells(ROOT / "README.md")) == 1


def test_the_notebook_and_the_configuration_of_the_page_on_language_run():
    from backend.catalogue import validate

    (printed,) = run_cells(ROOT / "docs" / "language.md")
    for label in ("mezo", "forward_gradient(tangents=4)", "local_losses"):
        assert label in printed
    (document,) = blocks("docs/language.md", "yaml")
    assert validate(yaml.safe_load(document), [])["errors"] == []


def test_the_page_on_problems_of_one_s_own_runs(tmp_path):
    page = "docs/your-own-problem.md"
    assert len(run_cells(ROOT / page)) >= 1
    plain, _ = blocks(page, "python")
    file = tmp_path / "plain_conv.py"
    file.write_text(plain)
    console = Console(file=io.StringIO(), width=200)
    assert check_file(file, console), console.file.getvalue()
    printed = console.file.getvalue()
    assert re.search(r"pass +names its stages +3 stages: conv1, conv2, head", printed), printed
    assert re.search(r"pass +passes its sites +2 sites", printed), printed


def test_the_guide_s_notebook_prints_what_the_guide_shows():
    """But for the numbers, which depend on the machine; `python -m docs.outputs` refreshes them."""
    outputs = [*shown_outputs(GUIDE, run_cells(GUIDE))]
    assert len(outputs) == 7
    for block, printed in outputs:
        assert words(block[2]) == words(printed)


def words(output: str) -> list[str]:
    """The words of an output without the rules of its tables, every number replaced by 0."""
    text = re.sub(r"[-+]?[\d.,]*\d(e[-+]\d+)?", "0", output.replace("─", " "))
    return text.split()


def test_the_readme_s_configuration_is_valid():
    from backend.catalogue import validate

    (document,) = blocks("README.md", "yaml")
    checked = validate(yaml.safe_load(document), [])
    assert checked["errors"] == []


@pytest.mark.parametrize("document", PAGES)
def test_links_within_the_repository_resolve(document):
    broken = [
        target
        for target, file, anchor in _links(document)
        if not file.exists() or (anchor and anchor not in _anchors(file))
    ]
    assert not broken, f"{document} links to {', '.join(broken)}"


def _links(document: str) -> Iterator[tuple[str, Path, str]]:
    """(the link as written, the file that it names, its anchor) of each link within the project."""
    page = ROOT / document
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            yield target, page.parent / name if name else page, anchor


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(str(page.relative_to(ROOT))), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


SUFFIXES = "py|js|css|html|md|toml|yml|yaml|svg|png"
TOP = "gradlab|estimators|backend|frontend|benchmarks|tests|docs"
A_FILE = re.compile(rf"[\w.*<>-]+(?:/[\w.*<>-]+)+\.(?:{SUFFIXES})")
A_FOLDER = re.compile(rf"(?:{TOP})(?:/[\w-]+)*/")
A_MODULE = re.compile(rf"(?:python -m )?((?:{TOP})(?:\.\w+)+)")


@pytest.mark.parametrize("document", PAGES)
def test_files_folders_and_modules_that_a_page_names_exist(document):
    spans = re.findall(r"`([^`]+)`", prose(document))
    gone = [name for span in spans if not _exists(name := " ".join(span.split()))]
    assert not gone, f"{document} names {', '.join(gone)}"


def _exists(name: str) -> bool:
    """Whether what `name` looks like is there: a path from the root, or a module and its names.

    `<name>` and `*` stand for anything. What looks like neither counts as there.
    """
    if A_FILE.fullmatch(name) or A_FOLDER.fullmatch(name):
        return any(ROOT.glob(re.sub(r"<\w+>", "*", name)))
    if module := A_MODULE.fullmatch(name):
        return _module_has(module[1].split("."))
    return True


def _module_has(parts: list[str]) -> bool:
    """Whether the longest prefix that is a package or module has the next name, if there is one."""
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        file = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
        if file.exists():
            rest = parts[length:]
            return not rest or re.search(rf"\b{rest[0]}\b", file.read_text()) is not None
    return False


@pytest.mark.parametrize("document", PAGES)
def test_names_that_a_page_finds_in_a_file_are_there(document):
    """`Class.method` in `path/to/file.py`."""
    text = " ".join(prose(document).split())
    gone = [
        f"{name} in {file}"
        for name, file in re.findall(r"`([\w.]+)` in `([\w./]+\.py)`", text)
        if (ROOT / file).exists() and not _has_names((ROOT / file).read_text(), name)
    ]
    assert not gone, f"{document} names {', '.join(gone)}"


def _has_names(source: str, dotted: str) -> bool:
    return all(re.search(rf"\b{part}\b", source) for part in dotted.split("."))


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("estimators/core/contract.py", True),
        ("estimators/core/no_such_file.py", False),
        ("tests/estimators/*/test_limits*.py", True),
        ("docs/images/<family>-digits.png", True),
        ("backend/no_such_folder/", False),
        ("estimators.core.contract.Estimator", True),
        ("estimators.core.contract.NoSuchName", False),
        ("python -m benchmarks.no_such_benchmark", False),
        ("train/loss", True),
    ],
)
def test_a_name_that_is_gone_is_found(name, there):
    assert _exists(name) is there

"""What the documents tell a reader to do works."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_guide_s_estimator_passes_the_check(tmp_path):
    (example,) = (b for b in blocks("CONTRIBUTING.md", "python") if "Estimator[" in b)
    file = tmp_path / "sign_gradient.py"
    file.write_text(example)
    assert len(example.splitlines()) <= 40
    done = subprocess.run(
        [sys.executable, "-m", "backend.cli", "check", file],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("document", ["README.md", "docs/measurement.md"])
def test_a_document_s_notebook_runs(document, tmp_path):
    found = blocks(document, "python")
    assert found
    for block in found:
        subprocess.run(
            [sys.executable, "-W", "error", "-c", block], cwd=tmp_path, check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip


def test_the_readme_s_configuration_is_valid():
    from backend.catalogue import validate

    (document,) = blocks("README.md", "yaml")
    checked = validate(yaml.safe_load(document), [])
    assert checked["errors"] == []


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/decisions.md"])
def test_links_within_the_repository_resolve(document):
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text()):
        assert ((ROOT / document).parent / target).exists(), f"{document} links to {target}"

"""The built wheel works where its dependencies are installed and the checkout is not."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import zipfile
from pathlib import Path

import pytest
from setuptools import Distribution

from tests.browser.served import ServedLab

ROOT = Path(__file__).parents[2]
SOURCES = ("backend", "estimators", "frontend", "gradlab")
FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
INNER = ("backend", "estimators", "frontend")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy of the sources, so that nothing is written into the checkout."""
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, source)
    stale = source / "build" / "lib" / "backend"
    stale.mkdir(parents=True)
    (stale / "gone.py").write_text("left by an earlier build")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*pip, "--wheel-dir", output, source], check=True)
    (built,) = output.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory) -> Path:
    """The interpreter of an environment that has the wheel and the dependencies alone."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    interpreter = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", interpreter, "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True)
    # A path file is not read within a folder that a path file names: an editable install of the
    # checkout, which is one, stays out of sight.
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return interpreter


def run(python: Path, code: str, folder: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [python, "-W", "error", "-c", code], cwd=folder, env=environment,
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def test_the_wheel_puts_one_name_into_an_environment(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"gradlab"}
    (listed,) = (name for name in names if name.endswith("top_level.txt"))
    assert zipfile.ZipFile(wheel).read(listed) == b"gradlab\n"
    assert not [name for name in names if name.endswith("gone.py")]


def test_every_source_file_is_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in INNER:
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert f"gradlab/{file.relative_to(ROOT)}" in names


def test_no_import_in_the_wheel_names_the_checkout_s_folders(wheel):
    archive, crossings = zipfile.ZipFile(wheel), []
    for name in archive.namelist():
        if name.endswith(".py"):
            for node in ast.walk(ast.parse(archive.read(name))):
                modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    modules = [node.module or ""]
                crossings += [f"{name}: {m}" for m in modules if m.partition(".")[0] in INNER]
    assert not crossings


def test_the_build_refuses_an_import_that_it_cannot_rewrite(tmp_path, monkeypatch):
    monkeypatch.setattr("setuptools.setup", lambda **_: Distribution())
    names: dict = {"__name__": "setup"}
    exec((ROOT / "setup.py").read_text(), names)
    with pytest.raises(ValueError, match=r"x\.py: `import backend` cannot be packaged"):
        names["rewritten"]("import backend.app\n", Path("x.py"))
    source = "import estimators as e\nfrom backend import a\n    from frontend.b import c\n"
    assert names["rewritten"](source, Path("x.py")) == (
        "from gradlab import estimators as e\nfrom gradlab.backend import a\n"
        "    from gradlab.frontend.b import c\n"
    )


def test_the_checkout_is_out_of_sight_and_the_estimators_are_found(python, tmp_path):
    code = """
from importlib.util import find_spec
import gradlab
assert not any(map(find_spec, ("backend", "estimators", "frontend")))
print(gradlab.Estimator.__module__, *sorted(gradlab.discover().estimators))
"""
    from estimators import discover

    module, *names = run(python, code, tmp_path).split()
    assert module == "gradlab.estimators.core.contract"
    assert names == sorted(discover().estimators)


def test_the_readme_s_notebook_runs(python, tmp_path):
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert snippets
    for snippet in snippets:
        run(python, snippet, tmp_path)


def test_the_lab_serves_its_page_and_trains(python, tmp_path):
    program = (str(python.with_name("gradlab")),)
    lab = ServedLab(tmp_path, program=program)
    lab.start()
    try:
        with lab.client() as client:
            assert "<title>" in client.get(f"{lab.url}/").text
            assert client.get(f"{lab.url}/static/app.js").status_code == 200
            catalogue = client.get("/catalogue", timeout=60).json()
            assert catalogue.get("failures") == [], catalogue
            config = {**catalogue["greeting"], "steps": 20}
            made = client.post("/runs", json=config, timeout=60)
            assert made.status_code == 201, made.text
            deadline = time.monotonic() + 60
            while (ran := client.get(f"/runs/{made.json()['id']}").json())["finished"] is None:
                assert time.monotonic() < deadline, ran
            assert (ran["status"], ran["step"]) == ("finished", 20), ran
    finally:
        lab.stop()


def test_no_class_is_loaded_twice_in_the_checkout():
    import estimators
    import gradlab
    from backend import notebook
    from backend.attach import entry
    from backend.training import authoring

    ours = {*estimators.__all__, *authoring.__all__, *entry.__all__, "Figure", "Views", "show"}
    ours |= {"RunViews", "StoredHomeError", "show_run", "Study", "StudyError", "study"}
    assert set(gradlab.__all__) == ours
    for name in estimators.__all__:
        assert getattr(gradlab, name) is getattr(estimators, name)
    for name in authoring.__all__:
        assert getattr(gradlab, name) is getattr(authoring, name)
    assert gradlab.show is notebook.show
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        gradlab.nothing  # noqa: B018

"""Imports run one way. A file that crosses a line is named here."""

import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

from tests.architecture.sources import ROOT, files, imports, modules, within

STDLIB = sys.stdlib_module_names

# (files under, may not import, why)
LINES = [
    ("estimators", ["backend", "fastapi", "sqlmodel", "pydantic", "plotly", "numpy"], "a library"),
    ("backend/api", ["torch", "estimators", "backend.training", "backend.catalogue"], "no torch"),
    ("backend/store", ["torch", "estimators", "backend.api", "backend.jobs"], "the bottom"),
    ("backend/figures", ["torch", "backend.api", "backend.jobs", "backend.training"], "no torch"),
    ("backend/sharing", ["torch", "backend.api", "backend.jobs", "backend.training"], "no torch"),
    (
        "backend/training",
        ["backend.api", "backend.store", "backend.jobs", "backend.figures", "fastapi", "sqlmodel",
         "httpx"],
        "knows no database and no HTTP",
    ),
    (
        "backend/notebook",
        ["backend.api", "backend.store", "backend.jobs", "backend.training", "fastapi", "httpx"],
        "no server",
    ),
    (
        "backend/series",
        ["torch", "backend.api", "backend.store", "backend.jobs", "backend.training",
         "backend.figures", "backend.notebook", "backend.catalogue"],
        "shared by worker and notebook",
    ),
    ("backend/catalogue", ["backend.api", "backend.store", "backend.jobs", "fastapi"], ""),
    (
        "backend/conformance",
        ["backend.api", "backend.store", "backend.jobs", "backend.terminal", "fastapi"],
        "checks classes alone",
    ),
    ("backend/jobs", ["backend.api", "backend.figures", "backend.sharing", "fastapi"], ""),
    ("backend/config.py", ["torch", "estimators", "fastapi", "sqlmodel"], "shared by all"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "forbidden", "why"), LINES, ids=[line[0] for line in LINES])
def test_imports_run_one_way(place, forbidden, why):
    paths = files(place)
    assert paths, f"{place} does not exist: correct the table of this test"
    crossings = [
        f"{path.relative_to(ROOT)}:{line} imports {module} ({why})"
        for path in paths
        for line, module in imports(path)
        if any(within(module, package) for package in forbidden)
        and not within(module, "estimators.statistics")
    ]
    assert not crossings, "\n".join(crossings)


def test_estimators_use_torch_and_the_standard_library_alone():
    crossings = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in files("estimators")
        for line, module in imports(path)
        if module.split(".")[0] not in {*STDLIB, "torch", "estimators"}
    ]
    assert not crossings, "\n".join(crossings)


DEVELOPMENT = {
    "axe_core_python", "benchmarks", "hypothesis", "playwright", "pytest", "schemathesis", "tests",
    "torchdeq",
}  # fmt: skip
"""What tests and benchmarks alone may import: an installed lab has none of it."""


def test_what_is_installed_imports_nothing_of_the_development():
    crossings = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in modules().values()
        for line, module in imports(path)
        if module.split(".")[0] in DEVELOPMENT
    ]
    assert not crossings, "\n".join(crossings)


def test_statistics_use_the_standard_library_alone():
    crossings = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in files("estimators/statistics")
        for line, module in imports(path)
        if module.split(".")[0] not in STDLIB and not within(module, "estimators.statistics")
    ]
    assert not crossings, "\n".join(crossings)


def test_the_core_imports_nothing_else_of_the_library():
    crossings = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in files("estimators/core")
        for line, module in imports(path)
        if within(module, "estimators") and not within(module, "estimators.core")
    ]
    assert not crossings, "\n".join(crossings)


def test_no_modules_import_each_other():
    known = modules()
    graph = {
        name: {
            module
            for _, module in imports(path, run=True)
            if module in known and not within(name, module)
        }
        for name, path in known.items()
        if path.name != "__init__.py"
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules


FAMILIES = ["perturbation", "feedback", "implicit"]
SHARED = ["estimators.core", "estimators.autodiff"]
OWN = {
    "estimators.implicit": [
        "estimators.implicit.equilibrium", "estimators.implicit.solvers",
        "estimators.feedback.backprop",
    ],
}  # fmt: skip
"""A family's public parts that are no methods, and the default of a field that holds one."""


def test_a_method_imports_its_family_s_helpers_and_no_other_method():
    crossings = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for family in FAMILIES
        for path in files(f"estimators/{family}")
        if path.name != "__init__.py"
        for line, module in imports(path)
        if within(module, "estimators")
        and not any(within(module, allowed) for allowed in SHARED)
        and not any(within(module, allowed) for allowed in OWN.get(f"estimators.{family}", []))
        and not module.startswith(f"estimators.{family}._")
    ]
    assert not crossings, "\n".join(crossings)


def test_a_notebook_s_figures_need_no_server():
    code = "import sys, backend.notebook, backend.sharing; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    servers = {b"fastapi", b"starlette", b"uvicorn", b"sqlmodel", b"sqlalchemy", b"httpx"}
    assert not servers & set(loaded.stdout.split())


@pytest.mark.parametrize(
    "module", ["backend.app", "backend.figures", "backend.sharing", "backend.jobs.supervisor"]
)
def test_the_server_never_loads_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0

"""A stranger finds the room by its name: folders are small, and modules neither tiny nor huge."""

from collections import Counter
from statistics import median

import pytest

from tests.architecture.sources import ROOT, files, modules

MOST_FILES = 20
SHORT = 40

COMPONENTS = {
    "estimators/perturbation", "estimators/feedback", "estimators/local", "estimators/combine",
    "estimators/control", "estimators/adapters", "backend/training/networks",
    "backend/training/datasets", "backend/training/losses", "backend/training/optimizers",
    "backend/training/schedules",
    "backend/figures/run", "backend/figures/microscope", "backend/api/routes",
    "backend/api/routes/results",
    "backend/store/migrations/versions",
}  # fmt: skip
"""Folders in which a module is one component: it is as long as the component is."""

SHORT_WITH_A_REASON = {
    "backend/training/authoring.py": "names that `gradlab` exports, loaded only when one is used",
    "backend/jobs/backoff.py": "the supervisor and the worker wait by it and share no other",
    "backend/sharing/encode.py": "what keeps an exported page safe, reviewed in one place",
    "backend/store/migrations/env.py": "Alembic looks for a file of this name",
    "estimators/core/token_loss.py": "a loss to pass to a `Chain`, as `info_nce` beside it",
}


@pytest.mark.parametrize("package", ["estimators", "backend"])
def test_no_folder_is_too_full(package):
    folders = Counter(path.parent.relative_to(ROOT) for path in files(package))
    crowded = {str(folder): count for folder, count in folders.items() if count > MOST_FILES}
    assert not crowded


def test_a_short_module_has_a_reason():
    short = []
    for path in modules().values():
        place = path.relative_to(ROOT)
        lines = len(path.read_text().splitlines())
        exempt = path.name.startswith("__") or str(place.parent) in COMPONENTS
        if lines < SHORT and not exempt and str(place) not in SHORT_WITH_A_REASON:
            short.append(f"{place} has {lines} lines")
    assert not short, "\n".join(short)


def test_every_reason_is_needed():
    for place in SHORT_WITH_A_REASON:
        assert len((ROOT / place).read_text().splitlines()) < SHORT, place


def test_modules_have_a_readable_length():
    lengths = [
        len(path.read_text().splitlines())
        for path in modules().values()
        if not path.name.startswith("__")
    ]
    assert 80 <= median(lengths) <= 200
    assert max(lengths) <= 400


def test_every_module_says_what_it_holds():
    silent = [
        str(path.relative_to(ROOT))
        for path in modules().values()
        if path.read_text().strip() and not path.read_text().startswith('"""')
    ]
    assert not silent

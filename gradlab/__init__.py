"""Gradient Lab from Python: gradient estimators, their measurement and the figures of it.

    from gradlab import ForwardGradient, measure, show
    result = measure(network, loss, (x, y), [ForwardGradient(tangents=8)])
    show(result)

A training loop of one's own reports to a lab:

    with gradlab.attach(network, loss, estimators=[ForwardGradient()]) as lab:
        lab.step(step, batch)  # before each update

A study is carried out by a lab:

    gradlab.study("study.yaml")  # or its document

A plug-in file imports from here what it derives from, whatever kind of component it defines:

    from gradlab import Dataset, Network, PerExampleLoss

The names are those of the library's packages: `gradlab.ForwardGradient` is
`estimators.ForwardGradient`, the same class. Each is imported when it is first used, so that
`import gradlab` loads neither torch nor plotly.
"""

from typing import TYPE_CHECKING, Any

import estimators as _estimators

if TYPE_CHECKING:
    from backend.attach.entry import attach as attach
    from backend.attach.lab_connection import AttachError as AttachError
    from backend.attach.session import RunCancelledError as RunCancelledError
    from backend.figures.own import Figure as Figure
    from backend.notebook import Views as Views
    from backend.notebook import show as show
    from backend.run_views import RunViews as RunViews
    from backend.run_views import show_run as show_run
    from backend.stored_home import StoredHomeError as StoredHomeError
    from backend.terminal.studies_from_python import Study as Study
    from backend.terminal.studies_from_python import StudyError as StudyError
    from backend.terminal.studies_from_python import study as study
    from backend.training.authoring import *  # noqa: F403
    from estimators import *  # noqa: F403

_NOTEBOOK = ("Views", "show")
_RUNS = ("RunViews", "StoredHomeError", "show_run")
_AUTHORING = (
    "Batch", "Constant", "Dataset", "Evaluation", "Loss", "Network", "Optimizer", "Part",
    "PerExampleLoss", "Plan", "Prepare", "Schedule", "Split", "WithRates", "WithWarmup",
    "named", "stratified",
)  # fmt: skip
"""The names of `backend.training.authoring`, which loads torch. A test holds them to it."""

_FIGURES = ("Figure",)
_ATTACH = ("attach", "AttachError", "RunCancelledError")
_STUDIES = ("Study", "StudyError", "study")

__all__ = [*_NOTEBOOK, *_RUNS, *_FIGURES, *_AUTHORING, *_ATTACH, *_STUDIES, *_estimators.__all__]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _NOTEBOOK:
        from backend import notebook as package
    elif name in _RUNS:
        from backend import run_views as package
    elif name in _FIGURES:
        from backend.figures import own as package
    elif name in _AUTHORING:
        from backend.training import authoring as package
    elif name in _ATTACH:
        from backend.attach import entry as package
    elif name in _STUDIES:
        from backend.terminal import studies_from_python as package
    elif name in _estimators.__all__:
        package = _estimators
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(package, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

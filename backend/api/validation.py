"""Validation of configurations and drivers against the catalogue, by the supervisor's inspector."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi.exceptions import HTTPException
from pydantic import BaseModel

from backend.api.deps import Supervisor
from backend.config import Kind, RunConfig
from backend.sentences import unknown
from backend.store import Run
from backend.store.run_orders import labels_after_changes


class DocumentedAs:
    """A body that is documented as a model, or as one of several, but not parsed as one."""

    def __init__(self, *models: type[BaseModel]) -> None:
        self._schemas = [model.__pydantic_core_schema__ for model in models]

    def __get_pydantic_json_schema__(self, _: Any, handler: Callable[[Any], Any]) -> Any:
        first, *others = [handler(schema) for schema in self._schemas]
        return {"anyOf": [first, *others]} if others else first


Draft = Annotated[dict[str, Any], DocumentedAs(RunConfig)]
"""A configuration that is not validated yet: the inspector reports its problems and those of its
components together."""


def validated(
    supervisor: Supervisor, configs: Sequence[Draft], kind: Kind = "training"
) -> list[dict[str, Any]]:
    """`{config, labels, plugins}` of each configuration.

    Raises HTTPException 422 with the problems of all of them.
    """
    answers = supervisor.validate(configs, kind)
    problems = [
        {"loc": [*_place(i, len(configs)), *error["loc"]], "msg": error["msg"]}
        for i, answer in enumerate(answers)
        for error in answer.get("errors") or ()
    ]
    if problems:
        raise HTTPException(422, problems)
    return answers


def _place(index: int, count: int) -> list[Any]:
    return ["configs", index] if count > 1 else []


def validated_driver(
    supervisor: Supervisor, run: Run, driver: str | Mapping[str, Any]
) -> dict[str, Any]:
    """`{label, estimator}` of the estimator that is to drive a run.

    `driver` is the label of an estimator that the run has, which needs no description, or a
    description. Raises HTTPException 422 with every problem.
    """
    if not isinstance(driver, str):
        return _validated_description(supervisor, run, driver)
    _, labels = labels_after_changes(run)
    if driver not in labels:
        msg = unknown("estimator", driver, labels, f"run {run.number}")
        raise HTTPException(422, [{"loc": ["driver"], "msg": msg}])
    return {"label": driver}


def _validated_description(
    supervisor: Supervisor, run: Run, driver: Mapping[str, Any]
) -> dict[str, Any]:
    # The run itself with that driver, which must suit the run's network, data and loss.
    config = {name: run.config[name] for name in RunConfig.model_fields if name in run.config}
    described = {**config, "estimator": dict(driver), "shadows": []}
    (answer,) = supervisor.validate([described])
    errors = answer.get("errors") or []
    if errors:
        of_driver = [e for e in errors if e["loc"][:1] == ["estimator"]]
        raise HTTPException(
            422,
            [{"loc": ["driver", *e["loc"][1:]], "msg": e["msg"]} for e in of_driver or errors],
        )
    return {"label": answer["labels"]["driver"], "estimator": answer["config"]["estimator"]}

"""Every route answers as its OpenAPI document says, to requests that are made from the document."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    positive_data_acceptance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
ENDLESS = "/api/stream"
NAMED = (
    "/runs", "/studies", "/studies/validate", "/probes", "/fork", "/diagnosis", "/figures/{name}",
    "/change", "/datasets", "/race/again", "/drafts", "/drafts/read", "/drafts/unsuited",
    "/scoreboard",
)  # fmt: skip
"""Ends of paths whose requests name components, runs or estimators: they may not exist."""
RELATED = ("/worker/report",)
"""Ends of paths whose requests relate values, such as step ≤ steps: a schema cannot say so."""
TOKEN = "a-token-of-this-test"
BOUNDED = settings(
    max_examples=6,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.fixture
def real(client, config, run, worker, packed) -> dict[str, str]:
    """Values of path and query parameters for which there is something."""
    worker.send(packed("train/loss", [0, 1, 2], [1.0, float("nan"), 0.5]))
    series = client.get(f"/api/runs/{run}/series").json()[0]["id"]
    dashboard = client.post("/api/dashboards", json={"title": "a", "runs": [run]}).json()["id"]
    link = client.post(f"/api/dashboards/{dashboard}/share").json()
    study = client.post("/api/studies", json={"name": "s", "configs": [config]}).json()["id"]
    token = link["path"].rsplit("/", 1)[-1]
    return {
        "run_id": run,
        "study_id": study,
        "dashboard_id": dashboard,
        "token": token,
        "share_id": link["id"],
        "name": "curve",
        "series": series,
    }


def exercise(operation: Any, mode: GenerationMode, headers: dict[str, str], real: Any) -> None:
    """Send requests for one operation, half of them about things that exist."""
    generated = operation.as_strategy(generation_mode=mode)
    checks = list(CHECKS)
    if mode == GenerationMode.POSITIVE and not operation.path.endswith(NAMED + RELATED):
        checks.append(positive_data_acceptance)

    @BOUNDED
    @given(case=generated, known=st.booleans())
    def answer(case: Any, known: bool) -> None:
        if known:
            for values in (case.path_parameters, case.query):
                if isinstance(values, dict):
                    values.update({k: v for k, v in real.items() if k in values})
        case.call_and_validate(headers=headers, checks=checks)

    answer()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_route_answers_as_its_schema_says(app, client, real, worker, mode):
    script = {"host": "localhost", "authorization": client.headers["authorization"]}
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", app, headers=script)
    tried, failures = 0, []
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]
        if operation.path == ENDLESS:
            continue
        is_report = operation.path.startswith("/api/worker/")
        token = worker.token if is_report else TOKEN
        try:
            exercise(operation, mode, {**script, "authorization": f"Bearer {token}"}, real)
        except Unsatisfiable:
            continue  # nothing about this operation can be wrong
        except (Exception, FailureGroup) as error:
            failures.append(f"{operation.method.upper()} {operation.path}: {error}")
        tried += 1
    assert not failures, "\n\n".join(failures)
    assert tried > 30

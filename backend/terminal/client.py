"""`Client`: a small HTTP client of a running lab, for the command line."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx

from backend.figures import note_text

WAITS = (0.1, 0.5, 2.0, 5.0)
"""Seconds before a question is asked again whose connection broke."""


class RefusedError(Exception):
    """The lab rejected a request; the message is the lab's own."""


class Client:
    """Requests to the lab at `url`. Raises RefusedError with the server's message."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=f"{self._url}/api",
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
        )

    def submit(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Queue a training run."""
        return self._call("POST", "/runs", json=config)

    def probe(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Queue a microscope's run."""
        return self._call("POST", "/probes", json=request)

    def address_of(self, study_id: str) -> str:
        """The address of the page with a study."""
        return f"{self._url}/studies/{study_id}"

    def start_study(self, document: Mapping[str, Any]) -> str:
        """Start a study; returns its id."""
        return self._call("POST", "/studies", json=document)["id"]

    def studies(self, name: str) -> list[dict[str, Any]]:
        """The studies of that name, newest first."""
        return self._call("GET", "/studies", params={"name": name})

    def study_results(self, study_id: str) -> dict[str, Any]:
        """How far a study is, and what it shows."""
        return self._call("GET", f"/studies/{study_id}/results")

    def add_seeds(self, study_id: str, seeds: Sequence[int]) -> dict[str, Any]:
        """Report more seeds of a study."""
        return self._call("POST", f"/studies/{study_id}/seeds", json={"seeds": seeds})

    def order_study(self, study_id: str, order: str) -> dict[str, Any]:
        """Pause, resume, cancel or retry a study as one."""
        return self._call("POST", f"/studies/{study_id}/{order}")

    def gallery(self) -> list[dict[str, Any]]:
        """All entries of the gallery."""
        return self._call("GET", "/gallery")

    def gallery_entry(self, name: str, study_id: str = "") -> dict[str, Any]:
        """An entry with what its newest study measured, or one of its studies."""
        query = {"study": study_id} if study_id else {}
        return self._call("GET", f"/gallery/{name}", params=query)

    def start_entry(self, name: str, length: str) -> str:
        """Start an entry's study, or take it up; returns its id."""
        return self._call("POST", f"/gallery/{name}/start", json={"length": length})["id"]

    def entry_address(self, name: str) -> str:
        """The address of the page with an entry of the gallery."""
        return f"{self._url}/gallery/{name}"

    def study_figure(self, study_id: str, name: str) -> dict[str, Any]:
        """A figure of a study, as on its page."""
        return self._call("GET", f"/studies/{study_id}/figures/{name}")

    def entry_figure(self, entry: Mapping[str, Any], figure: Mapping[str, Any]) -> dict[str, Any]:
        """A figure of an entry of the gallery, of the study or of the runs that it names."""
        if figure["source"] == "study":
            return self.study_figure(entry["study"], figure["figure"])
        return self.figure(figure["figure"], figure["query"])

    def separate_test(self, dataset: str) -> bool:
        """Whether no example that is tested with one seed is in another part with another."""
        entries = self._call("GET", "/catalogue")["datasets"]
        return next(entry["separate_test"] for entry in entries if entry["name"] == dataset)

    def run(self, run_id: str) -> dict[str, Any]:
        """A run."""
        return self._call("GET", f"/runs/{run_id}")

    def latest(self, run_id: str) -> dict[str, float]:
        """{metric: newest value} of the series that belong to the run as a whole."""
        series = self._call("GET", f"/runs/{run_id}/series")
        whole = [s for s in series if not s["estimator"] and not s["layer"]]
        return {s["metric"]: value for s in whole for value in self._last(run_id, s["id"])}

    def measures(self, run_id: str) -> dict[str, dict[str, float]]:
        """{estimator: {metric: newest value}} of the whole network."""
        measures: dict[str, dict[str, float]] = {}
        for s in self._call("GET", f"/runs/{run_id}/series"):
            if s["estimator"] and not s["layer"] and not s["metric"].startswith("draw/"):
                for value in self._last(run_id, s["id"]):
                    measures.setdefault(s["estimator"], {})[s["metric"]] = value
        return measures

    def curves(self, run_id: str, prefix: str) -> dict[tuple[str, str], dict[int, float]]:
        """{(metric, estimator): {step: value}} of the whole network, of metrics with `prefix`."""
        return {
            (s["metric"].removeprefix(prefix), s["estimator"]): self._points(run_id, s["id"])
            for s in self._call("GET", f"/runs/{run_id}/series")
            if not s["layer"] and s["metric"].startswith(prefix)
        }

    def note(self, figure: str, query: Mapping[str, str]) -> str:
        """The note below a figure."""
        return note_text(self.figure(figure, query))

    def figure(self, name: str, query: Mapping[str, str]) -> dict[str, Any]:
        """A figure as on the page: `{figure, shown, count, selection, note, meta}`."""
        return self._call("GET", f"/figures/{name}", params=query)

    def _points(self, run_id: str, series_id: int) -> dict[int, float]:
        points = self._call("GET", f"/runs/{run_id}/points", params={"series": series_id})
        return dict(zip(points["steps"], map(float, points["values"]), strict=True))

    def _last(self, run_id: str, series_id: int) -> Iterator[float]:
        query = {"series": series_id, "max": 2}
        points = self._call("GET", f"/runs/{run_id}/points", params=query)
        yield from map(float, points["values"][-1:])

    def page(self, run_id: str) -> str:
        """The run as one HTML file that works offline."""
        return self._answer("GET", f"/export/runs/{run_id}.html").text

    def _call(self, method: str, path: str, **options: Any) -> Any:
        return self._answer(method, path, **options).json()

    def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer of the lab. What only reads is asked again where the connection breaks: a
        server closes one that was idle, and may do so while the next request is on its way."""
        for wait in (*WAITS, None) if method == "GET" else (None,):
            try:
                answer = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                if wait is None:
                    raise RefusedError(self._unanswered(method, error)) from None
                time.sleep(wait)
                continue
            if answer.is_success:
                return answer
            raise RefusedError(_sentence(answer))
        raise AssertionError("the last attempt returns or raises")

    def _unanswered(self, method: str, error: httpx.TransportError) -> str:
        said = f"the lab at {self._url} does not answer: {error or type(error).__name__}"
        if method == "GET":
            return said
        return f"{said}. What was asked for may have been done; look before you repeat it"


def _sentence(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return f"the server answered {answer.status_code}: {answer.text[:200]}"
    if isinstance(detail, str):
        return detail
    return "\n".join(
        f"{'.'.join(map(str, e['loc'])) or 'configuration'}: {e['msg']}" for e in detail
    )

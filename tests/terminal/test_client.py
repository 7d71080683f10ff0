"""The client of the command line: what it does where the connection breaks or the lab refuses."""

import httpx
import pytest

from backend.terminal import client as module
from backend.terminal.client import Client, RefusedError


def client(monkeypatch, answers):
    """A client whose requests get these answers in turn; exceptions among them are raised."""
    made = Client("http://127.0.0.1:1", "token")
    asked, waits = [], []

    def answer(request):
        asked.append(f"{request.method} {request.url.path}")
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(
        made, "_http", httpx.Client(transport=transport, base_url="http://127.0.0.1:1/api")
    )
    monkeypatch.setattr(module.time, "sleep", waits.append)
    return made, asked, waits


def test_a_question_is_asked_again_where_the_connection_breaks(monkeypatch):
    broken = httpx.ReadError("[Errno 104] Connection reset by peer")
    lab, asked, waits = client(monkeypatch, [broken, broken, httpx.Response(200, json={"id": 1})])
    assert lab.run("r1") == {"id": 1}
    assert asked == ["GET /api/runs/r1"] * 3
    assert waits == [0.1, 0.5]


def test_a_lab_that_stays_silent_is_said_in_a_sentence(monkeypatch):
    silent = [httpx.ConnectError("refused") for _ in range(5)]
    lab, asked, _ = client(monkeypatch, silent)
    with pytest.raises(
        RefusedError, match=r"the lab at http://127.0.0.1:1 does not answer: refused"
    ):
        lab.run("r1")
    assert len(asked) == 5


def test_an_order_is_not_repeated(monkeypatch):
    """The lab may have carried it out before the connection broke."""
    lab, asked, waits = client(monkeypatch, [httpx.ReadError("reset")])
    with pytest.raises(RefusedError, match="may have been done"):
        lab.submit({})
    assert (len(asked), waits) == (1, [])


def test_a_refusal_is_not_repeated(monkeypatch):
    lab, asked, _ = client(monkeypatch, [httpx.Response(404, json={"detail": "there is no run"})])
    with pytest.raises(RefusedError, match="there is no run"):
        lab.run("r1")
    assert len(asked) == 1

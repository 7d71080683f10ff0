"""Before any token was seen: what a stranger can cost, and by which names the lab is asked."""

import asyncio

import pytest
from starlette.responses import PlainTextResponse

from backend.api.guard import Authenticator, Guard
from backend.config import RunConfig
from backend.home import open_home

JSON = {"content-type": "application/json"}


class Unread:
    """A request whose body must not be asked for."""

    def __init__(self, path: str, length: int, **headers: str) -> None:
        named = {"host": "localhost", **JSON, "content-length": str(length), **headers}
        self.scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
            "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": [(k.encode(), v.encode()) for k, v in named.items()],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8642), "state": {},
        }  # fmt: skip

    def sent_to(self, app) -> int:
        """The status of the answer."""
        told = []

        async def receive():
            raise AssertionError("the body was read")

        async def send(message):
            told.append(message)

        asyncio.run(app(self.scope, receive, send))
        return told[0]["status"]


@pytest.mark.parametrize(
    ("path", "length", "headers", "status"),
    [
        ("/api/worker/report", 31_000_000, {}, 401),
        ("/api/worker/report", 31_000_000, {"authorization": "Bearer of-no-run-at-all"}, 401),
        ("/api/worker/none", 31_000_000, {}, 401),
        ("/api/runs", 2_000_000, {}, 401),
        ("/api/session", 2_000_000, {}, 413),
    ],
)
def test_a_large_body_is_refused_unread(app, path, length, headers, status):
    assert Unread(path, length, **headers).sent_to(app) == status


def test_signing_in_takes_a_small_body_whatever_its_length_is_said_to_be(stranger):
    chunks = (b" " * 1000 for _ in range(10))
    answer = stranger.post("/api/session", content=chunks, headers=JSON)
    assert answer.status_code == 413
    assert "at most 4,000 bytes" in answer.json()["detail"]


def test_the_first_problems_of_a_form_are_told(client):
    body = {"title": "x", "runs": ["r1"], **{f"{i}{'k' * 1000}": i for i in range(1500)}}
    answer = client.post("/api/dashboards", json=body)
    assert (answer.status_code, len(answer.json()["detail"])) == (422, 20)
    assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    "many",
    [
        {f"key {i}": i for i in range(100_000)},
        {"network": {"name": "mlp", **{f"key {i}": i for i in range(100_000)}}},
        {"shadows": [{"name": "backprop"}] * 50_000},
        {"shadows": [[[i] for i in range(50)] for _ in range(500)]},
    ],
)
def test_values_are_counted_before_they_are_checked(client, fake, config, many):
    asked = []
    fake.validate = asked.append
    answer = client.post("/api/runs", json={**config, **many})
    assert answer.status_code == 422
    assert "at most 20,000 are allowed" in answer.json()["detail"]
    assert not asked


@pytest.mark.parametrize("depth", [65, 300, 100_000])
def test_json_that_nests_deeply_is_refused_in_words(client, depth):
    nested = "[" * depth + "]" * depth
    body = f'{{"dataset": {{"name": "digits", "x": {nested}}}}}'
    answer = client.post("/api/runs", content=body, headers=JSON)
    assert answer.status_code == 422
    assert "nests more than 64 levels deep" in answer.json()["detail"]


def test_a_neighbour_who_guesses_does_not_lock_the_owner_out(stranger):
    for i in range(30):
        stranger.post("/api/session", json={"token": f"guess {i}"})
    right = {"token": "a-token-of-this-test"}
    assert stranger.post("/api/session", json=right).status_code == 204


async def yes(scope, receive, send):
    await PlainTextResponse("yes")(scope, receive, send)


@pytest.fixture
def asked(settings):
    """The answer to a report that is sent to a lab bound to `bound`, by the name `host`."""

    def asked(bound: str, host: str) -> int:
        chosen = type(settings)(home=settings.home, host=bound)
        guard = Guard(
            yes, Authenticator(open_home(settings.home)), chosen, lambda token: token == "a-run's"
        )
        report = Unread("/api/worker/report", 2, host=host, authorization="Bearer a-run's")
        return report.sent_to(guard)

    return asked


@pytest.mark.parametrize(
    ("bound", "host"),
    [("127.0.0.2", "127.0.0.2:8642"), ("fe80::1", "[fe80::1]:1"), ("Lab.lan", "lab.lan")],
)
def test_the_address_that_is_bound_is_answered_and_no_other(asked, bound, host):
    assert asked(bound, host) == asked(bound, "localhost:8642") == 200
    for foreign in ("127.0.0.3:8642", "0.0.0.0", "evil.com", f"x{host}"):
        assert asked(bound, foreign) == 400


@pytest.mark.parametrize("bound", ["0.0.0.0", "::"])
def test_an_address_that_means_any_is_nobodys_name(asked, bound):
    assert asked(bound, "127.0.0.1:8642") == 200
    assert asked(bound, f"[{bound}]" if ":" in bound else bound) == 400


@pytest.mark.parametrize(
    ("settings", "host", "secure"),
    [
        ("https://lab.example.org", "lab.example.org", True),
        ("https://lab.example.org", "localhost:8642", False),
        ("http://lab.example.org", "lab.example.org", False),
        (None, "localhost", False),
    ],
    indirect=["settings"],
)
def test_the_cookie_is_secure_where_the_lab_is_asked_by_tls(stranger, host, secure):
    right = {"token": "a-token-of-this-test"}
    answer = stranger.post("/api/session", json=right, headers={"host": host})
    assert answer.status_code == 204
    assert ("Secure" in answer.headers["set-cookie"]) is secure


@pytest.mark.parametrize("title", ["a\0b", "two\nlines", "\x1b[31mred"])
def test_control_characters_are_in_no_name(client, run, config, title):
    answer = client.post("/api/dashboards", json={"title": title, "runs": [run]})
    assert (answer.status_code, "control character" in answer.text) == (422, True)
    with pytest.raises(ValueError, match="control character"):
        RunConfig.model_validate({**config, "name": title})

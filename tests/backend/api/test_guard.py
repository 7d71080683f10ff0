"""Closed by default: no route without the token, no stranger's page, no flood."""

import json

import pytest
from starlette.routing import Mount, Route
from starlette.websockets import WebSocketDisconnect

OPEN = {
    "/", "/api/health", "/api/session", "/static/plotly.min.js", "/s/{token}",
    "/s/{token}/dashboard", "/s/{token}/figures", "/s/{token}/figures/{name}", "/new", "/runs",
    "/runs/{rest:path}", "/studies", "/studies/{rest:path}", "/gallery", "/gallery/{rest:path}",
}  # fmt: skip


def leaves(routes):
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from leaves(inner.routes)
        else:
            yield route


def every_route(app):
    for route in leaves(app.routes):
        assert isinstance(route, (Route, Mount)), f"{route} is of a kind that no test knows"
        if isinstance(route, Route):
            yield from ((method, route.path) for method in route.methods or ())


def test_every_route_wants_the_token(app, stranger):
    walked = set(every_route(app))
    assert len(walked) > 30
    assert ("POST", "/api/runs") in walked
    for method, path in walked:
        url = path.replace("{", "").replace("}", "")
        answer = stranger.request(method, url, headers={"content-type": "application/json"})
        if path not in OPEN:
            assert answer.status_code == 401, f"{method} {path} is not guarded"


def test_what_nobody_routed_is_closed_too(stranger):
    for path in ("/api", "/api/", "/docs", "/api/openapi.json", "/x", "//api/runs", "/API/runs"):
        # With its host, since `//api` alone would name another one.
        assert stranger.get(f"http://localhost{path}").status_code == 401, path


def test_a_page_has_no_data_and_answers_only_to_get(stranger):
    document = stranger.get("/").text
    for path in ("/new", "/runs", "/runs/1", "/runs/1/microscope", "/studies/x",
                 "/gallery/x"):  # fmt: skip
        assert stranger.get(f"http://localhost{path}").text == document, path
        refused = stranger.post(path, headers={"content-type": "application/json"})
        assert refused.status_code in (401, 405), path


def test_a_reader_sees_that_there_is_no_such_page(client):
    reader = {"accept": "text/html,*/*;q=0.8"}
    answer = client.get("/rnus", headers=reader)
    assert (answer.status_code, answer.text) == (404, client.get("/").text)
    assert client.get("/rnus").json() == {"detail": "there is nothing at '/rnus'"}


@pytest.mark.parametrize("query", ["runs=r1,r2&focus=r2", "study=y1&layer=head"])
def test_an_address_of_an_earlier_version_leads_to_the_runs(stranger, query):
    answer = stranger.get(f"/?{query}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (308, f"/runs?{query}")


def test_only_static_files_are_mounted(app):
    assert [r.path for r in leaves(app.routes) if isinstance(r, Mount)] == ["/static"]


def test_health_and_the_page_are_open(stranger):
    health = stranger.get("/api/health").json()
    assert (health["status"], set(health)) == ("ok", {"status", "version", "instance"})
    assert stranger.get("/").status_code == 200


def test_the_token_is_exchanged_for_a_cookie(stranger, app):
    answer = stranger.post("/api/session", json={"token": "a-token-of-this-test"})
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 204
    assert cookie.startswith(f"gradlab_{app.state.lab.home.instance}=")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "a-token-of-this-test" not in cookie
    assert stranger.get("/api/runs").status_code == 200


@pytest.mark.parametrize("token", ["wrong", "a-token-of-this-tesT", "é" * 20])
def test_a_wrong_token_opens_nothing(stranger, token):
    assert stranger.post("/api/session", json={"token": token}).status_code == 401
    bearer = {"authorization": f"Bearer {token}".encode()}
    assert stranger.get("/api/runs", headers=bearer).status_code == 401


def test_guessing_is_slowed(stranger):
    guesses = [stranger.post("/api/session", json={"token": f"guess {i}"}) for i in range(25)]
    assert [g.status_code for g in guesses] == [401] * 20 + [429] * 5
    assert "wait a minute" in guesses[-1].json()["detail"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:9", "[::1]:8642", "[::1]"])
def test_loopback_names_are_answered_on_any_port(client, host):
    assert client.get("/api/runs", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.com", "localhost.evil.com", "127.0.0.1.evil.com", "evil.com:8642", "", "0.0.0.0",
     "localhost@evil.com", "evil.com#localhost", "localhost/../evil", "127.1", "10.0.0.1",
     "localhost:x", "localhost."],
)  # fmt: skip
def test_a_foreign_host_is_refused_everywhere(client, host):
    for path in ("/api/runs", "/", "/api/health", "/static/app.js", "/s/x"):
        answer = client.get(path, headers={"host": host})
        assert answer.status_code == 400
        assert "this lab answers to 127.0.0.1, ::1, localhost" in answer.json()["detail"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.com",
        "null",
        "http://localhost:3000",
        "https://localhost.evil.com:8642",
        "file://",
    ],
)
def test_a_foreign_origin_changes_nothing(client, config, origin):
    answer = client.post("/api/runs", json=config, headers={"origin": origin})
    assert (answer.status_code, "only this lab's own pages" in answer.json()["detail"]) == (
        403,
        True,
    )
    assert client.get("/api/runs").json()["total"] == 0


def test_ones_own_origin_is_let_in(client, config):
    own = {"origin": "http://localhost:8642", "sec-fetch-site": "same-origin"}
    assert client.post("/api/runs", json=config, headers=own).status_code == 201


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_sites_page_reads_nothing_either(client, site):
    assert client.get("/api/runs", headers={"sec-fetch-site": site}).status_code == 403


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "json"])
def test_only_json_is_taken(client, config, kind):
    body = json.dumps(config)
    answer = client.post("/api/runs", content=body, headers={"content-type": kind})
    assert (answer.status_code, "must be application/json" in answer.json()["detail"]) == (
        415,
        True,
    )


def test_no_cors(client):
    preflight = {"origin": "https://evil.com", "access-control-request-method": "POST"}
    answer = client.options("/api/runs", headers=preflight)
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_headers_on_every_answer(client, stranger):
    for path in ("/", "/api/health", "/api/runs", "/api/none", "/static/app.js", "/s/x"):
        headers = stranger.get(path).headers
        assert "script-src 'self';" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "cache-control" in headers


def test_a_large_body_is_refused_by_its_word(client):
    answer = client.post(
        "/api/runs", content=b" " * 50_000_000, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, "at most 2,000,000 bytes" in answer.json()["detail"]) == (413, True)


@pytest.mark.parametrize(("path", "limit"), [("/api/runs", 2), ("/api/worker/report", 32)])
def test_a_large_body_is_refused_by_what_comes(client, worker, path, limit):
    sent = 0

    def chunks():
        nonlocal sent
        for _ in range(50):
            sent += 1
            yield b" " * 1_000_000

    headers = {"content-type": "application/json"}
    if "worker" in path:
        headers["authorization"] = f"Bearer {worker.token}"
    answer = client.post(path, content=chunks(), headers=headers)
    assert "content-length" not in answer.request.headers
    assert (answer.status_code, f"at most {limit},000,000" in answer.json()["detail"]) == (
        413,
        True,
    )


def test_files_outside_of_the_frontend_are_not_served(stranger):
    for path in ("/static/../pyproject.toml", "/static/%2e%2e/pyproject.toml",
                 "/static/..%2fpyproject.toml", "/static//etc/passwd", "/static/..\\pyproject.toml",
                 "/static/%2e%2e%2f%2e%2e%2fetc/passwd"):  # fmt: skip
        answer = stranger.get(path)
        assert answer.status_code in (401, 404), path
        assert "setuptools" not in answer.text


def test_websockets_are_refused(client):
    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/api/stream"):
        pass
    assert closed.value.code == 1008


def test_modules_are_asked_for_anew_and_plotly_is_kept(stranger):
    module = stranger.get("/static/app.js")
    assert module.headers["cache-control"] == "no-cache"
    etag = module.headers["etag"]
    assert not etag.startswith("W/")
    assert stranger.get("/static/app.js", headers={"if-none-match": etag}).status_code == 304
    first = stranger.get("/static/plotly.min.js", follow_redirects=True)
    assert first.history[0].status_code == 307
    assert "immutable" in first.headers["cache-control"]
    assert first.headers["content-encoding"] == "gzip"
    assert len(first.content) > 4_000_000
    plain = stranger.get(first.url, headers={"accept-encoding": "identity"})
    assert plain.content == first.content
    assert plain.headers["etag"] != first.headers["etag"]
    again = stranger.get(first.url, headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304


def test_the_public_url_adds_one_host(app, client, settings):
    settings_ = type(settings)(home=settings.home, public_url="https://lab.example.org/")
    assert settings_.public_host == "lab.example.org"
    assert not settings_.local_only
    assert settings.local_only


@pytest.mark.parametrize(
    "url",
    [
        "https://host:99999",
        "https://me:secret@host",
        "https://ho st",
        "https://host\\x",
        "ftp://host",
    ],
)
def test_a_public_url_without_a_host_that_a_browser_can_send_is_refused(settings, url):
    with pytest.raises(ValueError, match="must look like"):
        type(settings)(home=settings.home, public_url=url)


def test_openapi_describes_the_surface(client):
    paths = client.get("/api/openapi.json").json()["paths"]
    assert "/api/runs/{run_id}/points" in paths
    assert "201" in paths["/api/runs"]["post"]["responses"]


def test_a_crash_shows_no_innards_and_keeps_the_headers(app, client, fake, monkeypatch):
    def crash(refresh=False):
        raise RuntimeError("secret path /home/me")

    monkeypatch.setattr(fake, "catalogue", crash)
    quiet = type(client)(app, base_url="http://localhost", raise_server_exceptions=False)
    answer = quiet.get("/api/catalogue", headers=dict(client.headers))
    assert answer.status_code == 500
    assert "RuntimeError" in answer.json()["detail"]
    assert "secret" not in answer.text
    assert "script-src 'self'" in answer.headers["content-security-policy"]

"""Dashboards, links, exports: what leaves the lab, and what does not."""

import pytest

from backend.api.routes.results.figures import MAX_RUNS


@pytest.fixture
def board(client, worker, packed) -> dict:
    worker.send(packed("train/loss", range(20), [1.0 / (i + 1) for i in range(20)]))
    body = {"title": "<i>mine</i>", "runs": [worker.run], "text": "look"}
    answer = client.post("/api/dashboards", json=body)
    assert answer.status_code == 201
    return answer.json()


@pytest.fixture
def link(client, board) -> dict:
    return client.post(f"/api/dashboards/{board['id']}/share").json()


@pytest.fixture
def visitor(client) -> object:
    """Without any token."""
    del client.headers["authorization"]
    return client


def test_a_dashboard_is_kept(client, board, worker):
    assert client.get(f"/api/dashboards/{board['id']}").json() == board
    assert (board["title"], board["runs"]) == ("<i>mine</i>", [worker.run])


def test_a_link_says_where_it_works(link):
    assert link["url"] == "http://localhost:8642" + link["path"]
    assert link["local"] is True


def test_a_visitor_reads_the_dashboard_and_its_figures(link, visitor, worker):
    page = visitor.get(link["path"])
    assert page.status_code == 200
    assert "shared.js" in page.text
    seen = visitor.get(f"{link['path']}/dashboard").json()
    assert [r["id"] for r in seen["runs"]] == [worker.run]
    figure = visitor.get(f"{link['path']}/figures/curve?metric=train/loss")
    assert figure.status_code == 200, figure.text
    assert figure.json()["count"] == 20


def test_all_links_are_listed_and_one_is_revoked(client, board, link, worker):
    other = client.post(f"/api/dashboards/{board['id']}/share").json()
    listed = client.get("/api/shares").json()
    assert {share["id"] for share in listed} == {link["id"], other["id"]}
    assert {(share["title"], share["runs"]) for share in listed} == {("<i>mine</i>", 1)}
    assert client.delete(f"/api/shares/{link['id']}").status_code == 204
    assert [share["id"] for share in client.get("/api/shares").json()] == [other["id"]]


def test_a_shared_page_counts_what_was_deleted(client, board, link, worker):
    path = f"{link['path']}/dashboard"
    assert client.get(path).json()["deleted"] == 0
    client.post(f"/api/runs/{worker.run}/cancel")
    worker.send(status="cancelled")
    assert client.delete(f"/api/runs/{worker.run}").status_code == 204
    seen = client.get(path).json()
    assert (seen["runs"], seen["deleted"]) == ([], 1)


def test_a_visitor_reads_no_path_and_no_traceback(link, visitor, worker):
    layer = {"name": "head.weight", "stage": "head", "shape": [2], "count": 2, "coverage": "exact"}
    worker.send(
        facts={
            "device": "/dev/secret", "home": "/home/secret", "threads": 1, "layers": [layer],
            "plugins": {"mine": "ab" * 32, "/home/secret/mine.py": "cd" * 32},
        },
        status="failed",
        error="OSError: no file '/home/secret/a b.csv' nor C:\\secret\\x\n\nTraceback: secret()",
    )  # fmt: skip
    answer = visitor.get(f"{link['path']}/dashboard")
    (run,) = answer.json()["runs"]
    assert "secret" not in answer.text
    assert run["error"] == "OSError: no file … nor …"
    assert run["facts"] == {
        "threads": 1, "layers": [layer], "versions": {}, "plugins": {"mine": "abababababab"},
    }  # fmt: skip
    assert run["labels"]["driver"] == run["config"]["estimator"]["name"] == "backprop"


def test_a_visitor_reads_nothing_else(client, link, config, store):
    other = client.post("/api/runs", json=config).json()["id"]
    del client.headers["authorization"]
    figures = f"{link['path']}/figures"
    assert client.get(f"{figures}/curve?runs={other}&metric=train/loss").status_code in (404, 422)
    assert client.get(f"{figures}/none").status_code == 404
    for path in ("/api/runs", "/api/stream", f"/api/runs/{other}"):
        assert client.get(path).status_code == 401
    for method in ("POST", "PUT", "DELETE"):
        assert client.request(method, f"{link['path']}/dashboard").status_code == 405


def test_a_window_shows_its_runs_alone(client, worker, packed, store, config):
    from backend.store.base import MissingError
    from backend.store.store import RunsView

    worker.send(packed("train/loss", [1], [1.0]))
    (series,) = store.series(worker.run)
    window = RunsView(store, [])
    for read in (lambda: window.run(worker.run), lambda: window.series(worker.run),
                 lambda: window.points(series.id)):  # fmt: skip
        with pytest.raises(MissingError, match="on this page"):
            read()
    assert RunsView(store, [worker.run]).points(series.id).count == 1


def test_a_revoked_link_leads_nowhere(client, link, board):
    (share,) = client.get(f"/api/dashboards/{board['id']}").json()["shares"]
    assert share["id"] == link["id"]
    assert client.delete(f"/api/shares/{link['id']}").status_code == 204
    for path in ("", "/dashboard", "/figures", "/figures/curve"):
        assert client.get(link["path"] + path).status_code == 404
    assert client.delete(f"/api/shares/{link['id']}").status_code == 404


def test_the_token_of_a_link_is_not_kept(app, link, settings):
    token = link["path"].removeprefix("/s/")
    files = [p for p in settings.home.rglob("*") if p.is_file()]
    assert any(p.name.startswith("lab.db") for p in files)
    assert not [p for p in files if token.encode() in p.read_bytes()]


def test_a_deleted_run_leaves_the_dashboard(client, board, worker):
    worker.send(status="finished")
    client.delete(f"/api/runs/{worker.run}")
    assert client.get(f"/api/dashboards/{board['id']}").json()["runs"] == []


def test_a_dashboard_of_no_run(client):
    answer = client.post("/api/dashboards", json={"title": "x", "runs": ["rnone"]})
    assert (answer.status_code, "no run 'rnone'" in answer.json()["detail"]) == (404, True)


def test_exports_hold_every_point(client, board, worker):
    csv = client.get(f"/api/export/runs/{worker.run}.csv")
    assert csv.headers["content-disposition"] == 'attachment; filename="run-1.csv"'
    assert len(csv.text.splitlines()) == 21
    parquet = client.get(f"/api/export/runs/{worker.run}.parquet")
    assert parquet.content[:4] == b"PAR1"
    html = client.get(f"/api/export/dashboards/{board['id']}.html")
    assert "attachment" in html.headers["content-disposition"]
    assert "<i>mine</i>" not in html.text


def test_figures_are_listed_and_refused_in_words(client, board, worker):
    names = [one["name"] for one in client.get("/api/figures").json()["figures"]]
    assert "curve" in names
    unknown = client.get("/api/figures/none")
    assert (unknown.status_code, "there are" in unknown.json()["detail"]) == (404, True)
    bad = client.get(f"/api/figures/curve?runs={worker.run}&metric=train/loss&max=x")
    assert bad.status_code == 422
    assert client.get("/api/figures/curve?runs=rnone&metric=train/loss").status_code in (404, 422)
    assert client.get(f"/api/figures/curve?runs={'a,' * MAX_RUNS}").status_code == 422


@pytest.mark.parametrize("token", ["x", "a" * 43])
def test_a_link_that_leads_nowhere_is_a_page_that_says_so(client, token):
    answer = client.get(f"/s/{token}")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")

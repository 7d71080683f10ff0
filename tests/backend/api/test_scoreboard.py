"""The scoreboard over HTTP."""


def test_a_run_has_a_row_for_each_estimator(client, worker, packed):
    worker.send(packed("cosine", [0, 8], [0.5, 0.6], estimator="backprop"))
    answer = client.get(f"/api/runs/{worker.run}/scoreboard").json()
    (row,) = answer["rows"]
    assert (row["label"], row["along"]["probes"], row["drives"]) == ("backprop", 2, True)
    assert answer["takeaway"] == "Too early to say: 2 of 5 probes."


def test_an_unknown_layer_or_run_is_refused(client, run):
    answer = client.get(f"/api/runs/{run}/scoreboard", params={"layer": "hidden9"})
    assert (answer.status_code, "hidden9" in answer.text) == (422, True)
    assert client.get("/api/runs/nobody/scoreboard").status_code == 404

"""The exported page: complete, self-contained, silent about what nobody asked for."""

import json
import re
from html import unescape

import numpy as np
import pytest
import yaml

from backend.figures import Memory, MemoryRun
from backend.sharing import encode, html
from tests.backend.figures.full_source import add_adjoint_map


@pytest.fixture(scope="module")
def page(source) -> str:
    return html(source, ["r1", "r2"], "Two & <i>runs</i>", "A line.\nAnother.", date="2026-01-02")


def panels(page: str) -> list[dict]:
    found = re.search(r'<script type="application/json" id="panels">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def test_nothing_is_fetched(page):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy[1].partition("style-src")[0]
    assert not re.search(r"<(link|img|iframe|script)[^>]*(src|href)=", page)


def test_names_stay_text(page):
    hostile = "</script><script>alert(1)</script>"
    assert hostile not in page
    assert page.count("<script>") == 2
    assert "<h1>Two &amp; &lt;i&gt;runs&lt;/i&gt;</h1>" in page
    assert hostile in unescape(page)


def test_only_what_is_allowed_leaves(page):
    for secret in ("/home/somebody", "gpu-box.example.org", "hunter2"):
        assert secret not in page
    assert "torch 2.13.0+cpu" in page
    assert "mine (SHA-256 abababababab…)" in page


def test_configuration_reads_back(page):
    found = re.search(r'<pre id="r0-yaml"[^>]*>(.*?)</pre>', page, re.S)
    assert found
    config = yaml.safe_load(unescape(found[1]))
    assert config["seed"] == 7
    assert config["name"] == "</script><script>alert(1)</script>"
    assert "token" not in config
    assert "epochs" not in config
    assert "gradlab run config.yaml" in page


def test_every_menu_choice_has_its_chart(page):
    by = {panel["id"]: panel for panel in panels(page)}
    assert list(by["r0-cosine"]["figures"]) == ["0", "1", "2"]
    assert by["r0-carpet"]["by"] == ["r0-estimator", "r0-carpet-metric"]
    assert list(by["r0-carpet"]["figures"]) == ["0,0", "0,1", "1,0", "1,1"]
    assert by["r0-loss"]["figures"][""]["note"].endswith("of 3,030 points, extrema kept")
    assert "3,990 recorded" in page
    assert 'value="1">hidden1</option>' in page


def test_the_plane_has_a_chart_for_each_unit_and_number_of_draws(page):
    (plane,) = [panel for panel in panels(page) if panel["id"] == "r0-bias-variance"]
    assert plane["by"] == ["r0-units", "r0-k"]
    assert len(plane["figures"]) == 2 * 5
    assert 'value="1">raw</option>' in page


def test_a_microscope_shows_its_draws_and_tells_no_path():
    source, at = Memory(), np.arange(40)
    seen = {"run": "r0", "step": 8, "draws": 40, "seed": 0, "plugins": {"/home/somebody": "x"}}
    labels = {"driver": "spsa", "shadows": []}
    config = {"seed": 1, "microscope": seen}
    source.add_run("m1", MemoryRun(2, "seen", config=config, labels=labels))
    for name in ("cosine", "norm_ratio", "along", "across"):
        source.add("m1", f"draw/{name}", at, np.sin(at), estimator="spsa")
    made = html(source, ["m1"])
    assert [panel["id"] for panel in panels(made)] == [
        "r0-histogram-cosine", "r0-histogram-norm_ratio", "r0-cloud-0",
    ]  # fmt: skip
    assert "trains such a run; look at it at step 8" in made
    assert "/home/somebody" not in made
    assert "<dt>looked at</dt><dd>step 8</dd><dt>draws</dt><dd>40 of each estimator</dd>" in made
    assert "<dt>seed of the draws</dt><dd>0</dd><dt>seed of the run</dt><dd>1</dd>" in made


def test_a_map_is_timed_and_draws_nothing():
    source = Memory()
    add_adjoint_map(source, "a1")
    made = html(source, ["a1"])
    assert "<dt>timings</dt><dd>5 of each gradient</dd>" in made
    assert "of each estimator" not in made


def test_findings_stand_in_full_beside_the_description():
    source = Memory()
    labels = {"driver": "implicit_adjoint", "shadows": []}
    for run_id, number in (("r1", 1), ("r2", 2)):
        source.add_run(run_id, MemoryRun(number, "named", {"seed": 1}, labels, "finished"))
    texts = ["64 of 64 examples did not converge <b> " + "long " * 200 + "end",
             "the spectral radius of ∂f/∂z in f reached 1.2, said /home/somebody/f.py"]  # fmt: skip
    for text in texts:
        source.add_event("r1", 0, "finding", text)
    source.add_event("r1", 3, "change", "the learning rate is another")
    first, second = html(source, ["r1", "r2"]).split('aria-labelledby="r1"')
    description, _, after = first.partition("</dl>")
    assert "finding" not in description.partition("</style>")[2]
    visible = re.sub(r"<details>.*?</details>", "", unescape(after), flags=re.S)
    assert "2 findings" in visible
    assert texts[0] in visible
    assert "<b>" not in after
    assert "The spectral radius of ∂f/∂z in f reached 1.2, said …" in visible
    assert "another" not in visible
    assert "1 finding" not in second
    assert 'class="findings"' not in second


def test_a_sweep_over_the_network_switches_its_axis():
    source = Memory()
    sweep = {"field": "network.width", "values": [8, 16]}
    seen = {"run": "r0", "step": 8, "draws": 40, "seed": 0, "sweep": sweep}
    labels = {"driver": "spsa", "shadows": []}
    source.add_run("m1", MemoryRun(2, "seen", {"seed": 1, "microscope": seen}, labels))
    source.add("m1", "sweep/relative_variance", [8, 16], [80.0, 170.0], estimator="spsa")
    source.add("m1", "sweep/parameters", [8, 16], [81, 171])
    made = html(source, ["m1"])
    (panel,) = panels(made)
    x = [one["figure"]["data"][0]["x"] for one in panel["figures"].values()]
    assert x == [[8, 16], [81, 171]]
    assert 'value="1">number of parameters, d</option>' in made
    assert "look at it at step 8 with --sweep network.width=8,16" in made


def test_a_run_without_points_says_so(page):
    assert "No points yet." in page
    assert not [panel for panel in panels(page) if panel["id"].startswith("r1")]


def test_the_latest_values_are_a_table(page):
    assert "<caption>Loss and accuracy, latest</caption>" in page
    assert '<th scope="row">forward_gradient</th>' in page


def test_no_runs_and_unknown_runs(source):
    assert "No runs were chosen." in html(source, [])
    with pytest.raises(LookupError):
        html(source, ["r9"])


def test_data_cannot_end_its_script():
    value = {"a": "</script><!--&\u2028\u2029"}
    assert not re.search("[<>&\u2028\u2029]", encode.data(value))
    assert json.loads(encode.data(value)) == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode.data(float("nan"))


@pytest.mark.parametrize(
    ("date", "words"),
    [
        ("2026-11-20T19:55:07+00:00", "2026-11-20 19:55 UTC"),
        ("2026-11-20T21:55:07+02:00", "2026-11-20 19:55 UTC"),
        ("2026-11-20T19:55:07", "2026-11-20 19:55 UTC"),
        ("2026-11-20", "2026-11-20"),
    ],
)
def test_the_time_of_the_export_is_written_for_people(source, date, words):
    assert f'<time datetime="{date}">{words}</time>' in html(source, [], date=date)

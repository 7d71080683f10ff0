"""The program as a person at a terminal meets it."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from backend import serve
from backend.cli import app
from backend.home import serving

CONFIG = {
    "name": "a run from the terminal",
    "dataset": {"name": "two_moons"},
    "network": {"name": "mlp", "width": 8, "depth": 1},
    "estimator": {"name": "forward_gradient"},
    "shadows": [{"name": "backprop"}],
    "optimizer": {"name": "sgd", "lr": 0.01},
    "steps": 40,
    "probe": {"every": 20, "draws": 4},
}


def gradlab(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backend.cli", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=100,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip


def called(*arguments: object) -> Result:
    """The outcome of a command that starts no lab, called in this process."""
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done


def refusal(*arguments: object, code: int = 1) -> str:
    """What such a command says on its standard error when it ends with `code`."""
    done = called(*arguments)
    assert done.exit_code == code, done.output
    return done.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which one run was made from the terminal, without a server."""
    home = tmp_path_factory.mktemp("home")
    (home / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    done = gradlab("run", home / "config.yaml", "--home", home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "finished at 40" in done.stdout
    assert "test/accuracy" in done.stdout
    return home


@contextmanager
def serve_home(home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve a home: the process, and the start URL that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "backend.cli", "serve", "--no-open", "--port", "0",
         "--home", str(home)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        yield process, line.split()[-1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of `served`."""
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A served home, for the tests that leave its server as it is."""
    with serve_home(home) as served:
        yield served


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_server_leaves_one_whole_file(tmp_path, kind):
    with serve_home(tmp_path) as (process, _):
        process.send_signal(kind)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    beside = [path.name for path in tmp_path.iterdir() if path.name.startswith(("lab.db-", "lock"))]
    assert not beside
    with closing(sqlite3.connect(tmp_path / "lab.db")) as database:
        assert database.execute("SELECT COUNT(*) FROM alembic_version").fetchone() == (1,)


def test_a_terminated_command_ends_the_lab_that_it_has_started(tmp_path, monkeypatch):
    """What `tune`, `run` and `probe` do in it: its workers are ended with it."""
    ended = []

    @contextmanager
    def lab(_settings: Any) -> Iterator[None]:
        try:
            signal.raise_signal(signal.SIGTERM)
            yield
        finally:
            ended.append(True)

    monkeypatch.setattr(serve, "_lab", lab)
    former = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with pytest.raises(SystemExit) as caught, serve.running_lab({"home": tmp_path}):
            pass
        assert caught.value.code == 128 + signal.SIGTERM
        assert ended
    finally:
        signal.signal(signal.SIGTERM, former)


def test_a_backup_from_the_terminal(finished, tmp_path):
    done = gradlab("backup", tmp_path / "kept", "--home", finished)
    assert done.returncode == 0, done.stderr
    assert "MB)" in done.stderr
    again = gradlab("backup", tmp_path / "kept", "--home", finished)
    assert again.returncode == 1
    assert "exists; give a folder that does not" in again.stderr


def test_a_run_without_a_server_leaves_its_points_in_the_home(finished):
    done = gradlab("export", 1, "--csv", "-o", "-", "--home", finished)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("run,number,name,metric,layer,estimator")
    assert sum(",train/loss," in line for line in lines) == 40
    assert any(",cosine,hidden1.linear.weight,backprop," in line for line in lines)


FIGURE = '''
from dataclasses import dataclass
import plotly.graph_objects as go
from gradlab import Figure


@dataclass(frozen=True)
class Own(Figure):
    """A point."""

    def figure(self, source, run):
        return go.Figure(go.Scatter(x=[source.run(run).number], y=[7]))
'''


def test_export_writes_each_format(finished, tmp_path):
    own = finished / "plugins" / "own.py"
    own.write_text(FIGURE)
    starts = {"html": b"<!doctype html>", "csv": b"\xef\xbb\xbfrun,number", "parquet": b"PAR1"}
    for kind, start in starts.items():
        path = tmp_path / f"out.{kind}"
        done = gradlab("export", 1, f"--{kind}", "-o", path, "--home", finished)
        assert done.returncode == 0, done.stderr
        assert path.read_bytes()[: len(start)].lower() == start.lower()
    own.unlink()
    page = (tmp_path / "out.html").read_text()
    assert re.search(r'"x":\[1\],"y":\[7\]', page), "what another process has drawn"
    assert "drawn by own.py, SHA-256 " in page


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("export", 7, "--html"), 1, "there is no run 7"),
        (("export", 1), 2, "give exactly one of --html, --csv and --parquet"),
        (("export", 1, "--parquet", "-o", "-"), 1, "give a file with --output"),
    ],
)
def test_export_refuses_in_a_sentence(finished, arguments, code, sentence):
    assert sentence in refusal(*arguments, "--home", finished, code=code)


def test_a_wrong_configuration_is_refused_field_by_field(finished, tmp_path):
    """By the lab that the command has started itself."""
    wrong = {**CONFIG, "estimator": {"name": "forward_gradient", "tangets": 2}, "batch_size": 9999}
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(wrong))
    done = gradlab("run", tmp_path / "wrong.yaml", "--home", finished)
    assert done.returncode == 1
    assert "estimator.tangets" in done.stderr
    assert "batch_size" in done.stderr
    assert "tangents" in done.stderr  # what is allowed


@pytest.mark.usefixtures("served")
def test_a_misspelt_key_is_refused_with_the_right_one(home, tmp_path):
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump({**CONFIG, "batchsize": 3}))
    done = gradlab("run", tmp_path / "wrong.yaml", "--home", home)
    assert done.returncode == 1
    assert "did you mean 'batch_size'" in done.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- 1\n- 2\n", "a run's configuration is a mapping"),
        ("a: [", "neither YAML nor JSON"),
        ("name: 2024-01-01", "date is not JSON serializable"),
        ("a: .nan", "not JSON compliant"),
        ("a: &a [*a]", "a value that JSON cannot represent"),
        ("a: " + "[" * 3000, "neither YAML nor JSON"),
        (
            "a: &a [1,1,1,1,1,1,1,1]\n"
            + "".join(f"{y}: &{y} [{','.join(['*' + x] * 8)}]\n" for x, y in pairwise("abcdefgh")),
            "its aliases expanded",
        ),
        ("a: " + "x" * 1_000_001, "is larger than 1,000,000 bytes"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path, text, sentence):
    (tmp_path / "bad.yaml").write_text(text)
    said = refusal("run", tmp_path / "bad.yaml", "--home", tmp_path, code=2)
    assert sentence in said


def test_a_refusal_is_an_exit_code_and_a_sentence(tmp_path):
    """Of the program itself; other refusals are called in the process of the tests."""
    done = gradlab("run", tmp_path / "nowhere.yaml", "--home", tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "nowhere.yaml" in done.stderr


def test_serve_prints_the_start_url_and_answers_there(served):
    _, start_url = served
    url, token = start_url.split("/#token=")
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}) as client:
        assert client.get("/api/health").json()["status"] == "ok"
        assert client.get("/api/runs").json() == {"runs": [], "total": 0}


def test_a_second_server_of_a_home_names_the_first(served, home):
    process, start_url = served
    said = refusal("serve", "--no-open", "--home", home)
    assert f"process {process.pid} at {start_url.split('/#')[0]}" in said


def test_run_submits_to_the_server_of_the_home(served, home):
    (home / "config.json").write_text(json.dumps(CONFIG))
    done = gradlab("run", home / "config.json", "--home", home)
    assert done.returncode == 0, done.stdout + done.stderr
    now = serving(home)
    assert now is not None
    assert now.pid == served[0].pid
    headers = {"authorization": f"Bearer {(home / 'token').read_text()}"}
    (run,) = httpx.get(f"{now.url}/api/runs", headers=headers).json()["runs"]
    assert (run["name"], run["status"]) == (CONFIG["name"], "finished")


def test_a_port_in_use_is_named(served, tmp_path):
    port = served[1].split("/#")[0].rsplit(":", 1)[1]
    said = refusal("serve", "--no-open", "--port", port, "--home", tmp_path)
    assert f"port {port} of 127.0.0.1 is in use" in said


def test_a_foreign_file_in_the_database_s_place_is_not_touched(tmp_path):
    (tmp_path / "lab.db").write_text("my notes")
    assert "is not a database" in refusal("serve", "--no-open", "--port", "0", "--home", tmp_path)
    assert (tmp_path / "lab.db").read_text() == "my notes"


def test_a_bad_setting_is_named_without_repeating_a_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADLAB_TOKEN", "sesame")
    said = refusal("serve", "--home", tmp_path)
    assert "GRADLAB_TOKEN" in said
    assert "sesame" not in said


def test_estimators_lists_ours_and_a_broken_plug_in(tmp_path):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "broken.py").write_text("1 / 0")
    done = called("estimators", "--home", tmp_path)
    assert done.exit_code == 1
    assert "forward_gradient" in done.stdout
    assert "broken.py" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_check_convicts_an_estimator_that_breaks_its_claim(tmp_path):
    (tmp_path / "double.py").write_text(
        "from dataclasses import dataclass\n"
        "from estimators import Backprop, Claim, Cost, Estimator, Objective\n"
        "@dataclass(frozen=True)\n"
        "class Double(Estimator[Objective, None]):\n"
        "    def claim(self, objective): return Claim.EXACT\n"
        "    def cost(self, objective): return Cost(forwards=1, vjps=1)\n"
        "    def estimate(self, objective, params, state, rng):\n"
        "        e = Backprop().estimate(objective, params, None, rng)\n"
        "        return e._replace(grads={k: 2 * g for k, g in e.grads.items()})\n"
    )
    done = gradlab("check", tmp_path / "double.py")
    assert done.returncode == 1
    assert "FAIL  keeps its claim" in done.stdout
    assert "double does not conform" in done.stdout


def test_check_says_what_an_estimator_does_not_offer(tmp_path):
    (tmp_path / "half.py").write_text(
        "from dataclasses import dataclass\n"
        "from estimators import Backprop, Claim, Cost, Estimator, Objective\n"
        "@dataclass(frozen=True)\n"
        "class Half(Estimator[Objective, None]):\n"
        "    def claim(self, objective): return Claim.BIASED\n"
        "    def cost(self, objective): return Cost(forwards=1, vjps=1)\n"
        "    def estimate(self, objective, params, state, rng):\n"
        "        e = Backprop().estimate(objective, params, None, rng)\n"
        "        return e._replace(grads={k: g / 2 for k, g in e.grads.items()})\n"
    )
    done = called("check", tmp_path / "half.py")
    assert done.exit_code == 0, done.stdout
    assert re.search(r"^– +obeys its law +no law offered", done.stdout, re.MULTILINE)
    assert re.search(r"^– +batches its draws +no batched draws offered", done.stdout, re.MULTILINE)
    assert "pass  keeps its claim" in done.stdout
    assert "half conforms" in done.stdout


def test_check_passes_nothing_that_it_could_not_check(tmp_path):
    (tmp_path / "zero.py").write_text(
        "from dataclasses import dataclass\n"
        "from estimators import Claim, Cost, Estimator, Objective\n"
        "@dataclass(frozen=True)\n"
        "class Zero(Estimator[Objective, None]):\n"
        "    def claim(self, objective): return Claim.BIASED\n"
        "    def cost(self, objective): return Cost(forwards=1)\n"
        "    def estimate(self, objective, params, state, rng):\n"
        "        return 1 / 0\n"
    )
    done = called("check", tmp_path / "zero.py")
    assert done.exit_code == 1
    assert "FAIL  estimates" in done.stdout
    assert "pass  keeps its claim" not in done.stdout
    _, trace = done.stdout.split("Traceback (most recent call last):\n")
    assert trace.strip().startswith(f'File "{tmp_path / "zero.py"}", line 8, in estimate')


def test_probe_draws_at_a_checkpoint_and_tells_the_measures(finished):
    done = gradlab("probe", 1, "--draws", 16, "--source", "oracle", "--estimator", "backprop",
                   "--estimator", "forward_gradient", "--home", finished)  # fmt: skip
    assert (
        "honest draws (by the estimator itself) of backprop; ± is one standard error" in done.stdout
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "finished at 16" in done.stdout
    told = next(line for line in done.stdout.splitlines() if line.startswith("backprop"))
    assert told.split()[1:4] == ["1", "±", "0"]  # of cosine 1, as of an exact gradient


def test_probe_writes_the_figures_into_one_file(finished, tmp_path):
    page = tmp_path / "seen.html"
    done = gradlab(
        "probe", 1, "--draws", 520, "--estimator", "backprop", "--html", page, "--home", finished
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"figures in {page}" in done.stdout.replace("\n", "")
    assert "none (< " in done.stdout
    assert re.search(r"by its law .*0 agrees", done.stdout)
    assert "Draw cloud" in page.read_text()
    page = tmp_path / "no" / "x.html"
    assert "there is no folder" in refusal("probe", 1, "--html", page, "--home", finished, code=2)

"""The files that are not Python are held to what they are for."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def compose() -> dict:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_compose_file_fits_the_compose_schema():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*command, ROOT / "docker-compose.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("service", ["lab", "lab-gpu"])
def test_containers_publish_on_loopback_alone_and_keep_their_home(service):
    spec = compose()["services"][service]
    assert all(str(port).startswith("127.0.0.1:") for port in spec["ports"])
    assert spec["volumes"] == [f"home:{spec['environment']['GRADLAB_HOME']}"]


def test_one_profile_at_a_time():
    profiles = {name: s["profiles"] for name, s in compose()["services"].items()}
    assert profiles == {"lab": ["cpu"], "lab-gpu": ["gpu"]}
    assert (ROOT / ".env").read_text().strip() == "COMPOSE_PROFILES=cpu"


def test_only_the_gpu_service_asks_for_a_device():
    services = compose()["services"]
    assert "deploy" not in services["lab"]
    (device,) = services["lab-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


def test_image_copies_every_package_and_runs_unprivileged():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = {line.split()[1] for line in lines if line.startswith("COPY ")}
    assert {"gradlab", "estimators", "backend", "frontend", "pyproject.toml"} <= copied
    assert "USER gradlab" in lines


def test_changelog_names_the_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"[{project['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_make_target_has_a_line_of_help():
    listed = subprocess.run(
        ["make", "-C", ROOT, "help"], capture_output=True, text=True, check=True
    ).stdout
    for target in ("setup", "lab", "test", "check", "bench", "format"):
        assert f"make {target} " in listed

"""Data sets of the hub: fetched whole and checked, by one process, or refused in a sentence."""

import os
import shutil
import subprocess
import sys
import threading
from collections import Counter, namedtuple
from pathlib import Path

import huggingface_hub
import pytest
from typer.testing import CliRunner

from backend.cli import app
from backend.data_folders import preparation
from backend.data_folders.exclusive import alone
from backend.data_folders.folders import DataError
from backend.data_folders.manifest import checksum, manifest_of
from backend.data_folders.named import HubSet
from backend.data_folders.preparation import prepare, wanted_set
from backend.data_folders.states import states
from backend.training.datasets import datasets
from tests.backend.data_folders.fake_hub import REVISION, FakeHub, parquet

ROOT = Path(__file__).parents[3]
ParquetImages = datasets()["parquet_images"]
SMALL = HubSet("someone/small")
FILES = {
    "default/train/0000.parquet": parquet(20),
    "default/train/0001.parquet": parquet(10, seed=1),
    "default/test/0000.parquet": parquet(6, seed=2),
    "default/train/notes.txt": b"not Parquet",
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADLAB_HOME", str(tmp_path))
    monkeypatch.delenv("GRADLAB_DATA", raising=False)
    return tmp_path


@pytest.fixture
def fake(monkeypatch):
    from huggingface_hub import constants

    made = FakeHub()
    made.sets["someone/small"] = dict(FILES)
    monkeypatch.setenv("HF_ENDPOINT", made.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield made
    made.close()


def refusal(*args, **kwargs):
    with pytest.raises(DataError) as caught:
        prepare(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def leftovers(home):
    return [p.name for p in (home / "datasets").iterdir() if p.suffix != ".lock"]


def test_a_set_is_fetched_as_it_is_and_read_as_parquet_images(fake, home):
    seen = []
    folder = prepare("small", SMALL, lambda done, total: seen.append((done, total)))
    assert folder == home / "datasets" / "small"
    assert sorted(p.name for p in folder.iterdir()) == [
        "manifest.json", "test-00000-of-00001.parquet",
        "train-00000-of-00002.parquet", "train-00001-of-00002.parquet",
    ]  # fmt: skip
    content = (folder / "train-00001-of-00002.parquet").read_bytes()
    assert content == FILES["default/train/0001.parquet"]
    manifest = manifest_of(folder)
    assert (manifest.source, manifest.config, manifest.revision) == (
        "someone/small", "default", REVISION,
    )  # fmt: skip
    stored = manifest.files["train-00001-of-00002.parquet"]
    path = folder / "train-00001-of-00002.parquet"
    assert (stored.size, stored.rows, stored.sha256) == (len(content), 10, checksum(path))
    total = sum(len(c) for name, c in FILES.items() if name.endswith(".parquet"))
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert leftovers(home) == ["small"]
    dataset = ParquetImages("small")
    assert (dataset.shape, dataset.classes, len(dataset.load(0).test)) == ((1, 4, 4), 3, 6)


def test_only_parquet_files_are_asked_for(fake):
    fake.sets["someone/small"] |= {"small.py": b"raise SystemExit", "data.pkl": b"\x80"}
    prepare("small", SMALL)
    asked = [path for _, path in fake.requests if "/resolve/" in path]
    assert asked
    assert all(path.endswith(".parquet") for path in asked)


def test_a_set_that_is_there_is_not_fetched_again(fake):
    prepare("small", SMALL)
    fake.requests.clear()
    prepare("small", SMALL)
    assert fake.requests == []


@pytest.mark.parametrize("spoiled", [lambda c: c[:-50], lambda c: c[:-8] + b"12345678"])
def test_a_file_that_is_cut_off_or_altered_is_refused_and_repaired(fake, home, spoiled):
    fake.spoil["default/train/0001.parquet"] = spoiled
    assert refusal("small", SMALL).startswith("default/train/0001.parquet of someone/small arr")
    assert not (home / "datasets" / "small").exists()
    with pytest.raises(DataError, match="there is no data set"):
        ParquetImages("small").load(0)
    fake.spoil.clear()
    fake.requests.clear()
    folder = prepare("small", SMALL)
    assert not manifest_of(folder).damaged(folder)
    fetched = [path for verb, path in fake.requests if verb == "GET" and "/resolve/" in path]
    assert not [path for path in fetched if path.endswith("train/0000.parquet")], "it was whole"


def test_a_file_that_arrives_damaged_once_is_fetched_once_more(fake):
    times = Counter()

    def once(content):
        times["sent"] += 1
        return content[:-8] + b"12345678" if times["sent"] == 1 else content

    fake.spoil["default/test/0000.parquet"] = once
    prepare("small", SMALL)
    assert times["sent"] == 2


def test_a_download_that_breaks_off_goes_on_with_what_has_arrived(fake, monkeypatch):
    fetch, there = huggingface_hub.hf_hub_download, []

    def breaks_off_once(*args, local_dir, **kwargs):
        begun = local_dir / "begun"
        there.append(begun.exists())
        if len(there) == 1:
            local_dir.mkdir(parents=True, exist_ok=True)
            begun.touch()
            raise ConnectionError("broken off")
        return fetch(*args, local_dir=local_dir, **kwargs)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", breaks_off_once)
    prepare("small", SMALL)
    assert there[:2] == [False, True]


def test_a_file_that_is_damaged_later_is_replaced(fake):
    folder = prepare("small", SMALL)
    path = folder / "train-00000-of-00002.parquet"
    path.write_bytes(path.read_bytes()[:100])
    assert manifest_of(folder).damaged(folder) == [path.name]
    said = CliRunner().invoke(app, ["data", "check", "small"], env={"COLUMNS": "200"}).output
    assert f"{path.name} of small is damaged: run `gradlab data get small` again" in said
    assert CliRunner().invoke(app, ["data", "get", "small"]).exit_code == 0
    assert manifest_of(folder).damaged(folder) == []


def test_two_processes_that_prepare_one_set_do_not_harm_each_other(fake, home):
    code = (
        "from backend.data_folders.preparation import prepare\n"
        "from backend.data_folders.named import HubSet\n"
        "print(prepare('small', HubSet('someone/small')))"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "0"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=60)[0].decode().strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    folder = home / "datasets" / "small"
    assert answers == [str(folder)] * 2
    assert manifest_of(folder).damaged(folder) == []
    fetched = Counter(p for verb, p in fake.requests if verb == "GET" and "/resolve/" in p)
    assert set(fetched.values()) == {1}, "each file is fetched once"
    assert leftovers(home) == ["small"]


def test_the_second_of_two_processes_says_that_it_waits_and_shows_the_progress(fake, home):
    command = [sys.executable, "-m", "backend.cli", "data", "get", "mnist"]
    fake.sets["ylecun/mnist"] = {
        f"mnist/{part}/0000.parquet": parquet(9, seed=k) for k, part in enumerate(("train", "test"))
    }
    (home / "datasets").mkdir()
    told, waited = [], threading.Event()

    def of_other(done, total):
        told.append((done, total))
        waited.set()

    with alone(home / "datasets" / "mnist") as tell:
        tell(5 * 10**6, 17 * 10**6)
        second = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "HF_HUB_OFFLINE": "0", "COLUMNS": "200"},
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        thread = threading.Thread(target=prepare, args=("mnist",), kwargs={"waiting": of_other})
        thread.start()
        assert waited.wait(20)
        said = second.stderr.readline()
    thread.join(30)
    rest = second.communicate(timeout=30)[1]
    assert second.returncode == 0
    assert "mnist is being prepared by another process; this one waits for it" in said + rest
    assert told[0] == (5 * 10**6, 17 * 10**6)
    assert manifest_of(home / "datasets" / "mnist").damaged(home / "datasets" / "mnist") == []
    assert [state.state for state in states() if state.name == "mnist"] == ["ready"]


def test_two_processes_that_decode_one_set_at_once_read_the_same(fake, home):
    prepare("small", SMALL)
    code = (
        "from backend.training.datasets import datasets\n"
        "part = datasets()['parquet_images']('small').load(0).train\n"
        "print(part.x.double().sum().item(), part.y.tolist())"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    answers = {process.communicate(timeout=100)[0] for process in processes}
    part = ParquetImages("small").load(0).train
    assert answers == {f"{part.x.double().sum().item()} {part.y.tolist()}\n".encode()}
    assert len([*(home / "cache" / "images").glob("*.safetensors")]) == 1


def test_fine_or_coarse_labels_are_chosen_by_their_column(fake):
    columns = ("img", "fine_label", "coarse_label")
    fake.sets["uoft-cs/cifar100"] = {
        f"cifar100/{part}/0000.parquet": parquet(30, columns=columns) for part in ("train", "test")
    }
    prepare("cifar100")
    assert ParquetImages("cifar100").classes == 3
    coarse = ParquetImages("cifar100", labels="coarse_label")
    assert coarse.classes == 2
    assert sorted(coarse.load(0).train.y.unique().tolist()) == [0, 1]
    assert ParquetImages("cifar100").load(0).train.y.max() == 2, "each has a cache of its own"
    with pytest.raises(DataError, match="has no column other; it has img, fine_label"):
        ParquetImages("cifar100", labels="other")


def test_columns_of_other_names_are_found_by_their_features(fake):
    fake.sets["someone/small"] = {
        f"default/{part}/0000.parquet": parquet(30, columns=("picture", "kind"))
        for part in ("train", "validation")
    }
    prepare("small", SMALL)
    assert ParquetImages("small").classes == 3


# Refusals


def test_what_the_hub_does_not_have_is_told_in_a_sentence(fake):
    fake.sets["someone/scripted"] = None
    assert refusal("x", HubSet("someone/absent")) == (
        "the hub has no public data set 'someone/absent'"
    )
    assert "the hub has no Parquet files of someone/scripted" in refusal(
        "x", HubSet("someone/scripted")
    )
    assert "has no config 'b'; it has default" in refusal("x", SMALL._replace(config="b"))
    assert "has no split extra; it has test, train" in refusal("x", SMALL._replace(test="extra"))
    fake.sets["someone/small"] = {
        "default/partial-train/0000.parquet": b"",
        "b/train/0.parquet": b"",
    }
    assert "has 2 configs; give one of them: b, default" in refusal("x", SMALL)
    assert "only a part" in refusal("x", SMALL._replace(config="default"))
    with pytest.raises(DataError, match=r"no data set 'minst'; did you mean 'mnist'\?"):
        wanted_set("minst")
    assert wanted_set("a/b", "c") == ("a--b--c", HubSet("a/b", "c"))
    assert wanted_set("a--b--c") == ("a--b--c", HubSet("a/b", "c"))


@pytest.mark.parametrize(
    "name",
    ["../b", "/", "--", "a/", "/b", "a--", "--b", "a--b--", ".x--y", "a/.b", "a/b/c", "a--b/c",
     "-/x", "a b/c", f"{'x' * 190}/{'y' * 9}"],
)  # fmt: skip
def test_what_is_not_owner_and_name_is_refused(home, name):
    with pytest.raises(DataError, match="is no data set of the hub; its name is owner/name"):
        wanted_set(name)


def test_a_config_is_a_part_of_the_folder_s_name(home):
    with pytest.raises(DataError, match=r"'a/b' with the config 'c d' is no data set of the hub"):
        wanted_set("a/b", "c d")
    assert wanted_set("a/b", "c--d") == ("a--b--c--d", HubSet("a/b", "c--d"))
    assert wanted_set("a--b--c--d") == ("a--b--c--d", HubSet("a/b", "c--d"))
    assert wanted_set("a/b", test="c") == ("a--b", HubSet("a/b", test="c"))


def test_a_hub_that_does_not_answer_is_told_with_what_to_do(fake, home):
    fake.close()
    said = refusal("mnist")
    assert "the Hugging Face hub does not answer" in said
    assert said.endswith(f"copy its folder into {home / 'datasets'}")
    assert "run `gradlab data get mnist` where there is a network" in said


def test_an_absent_set_says_what_to_run_and_where_it_looked(home):
    with pytest.raises(DataError) as caught:
        ParquetImages("mnist")
    assert str(caught.value) == (
        f"the data set mnist is not in {home / 'datasets'}: run `gradlab data get mnist` where "
        "there is a network, and copy the folder mnist there if that is another machine"
    )


def test_a_disk_without_room_is_told_before_anything_is_fetched(fake, home, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(preparation.shutil, "disk_usage", lambda path: usage(2**30, 2**30, 2**20))
    said = refusal("small", SMALL)
    assert f"into {home / 'datasets'}, whose disk has 1 MiB free: make room" in said
    assert not [path for _, path in fake.requests if "/resolve/" in path]


@pytest.mark.parametrize("place", ["huggingface_hub.hf_hub_download", "pathlib.Path.mkdir"])
def test_a_disk_that_fills_up_is_told_in_a_sentence(fake, home, monkeypatch, place):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device", "/data/file")

    monkeypatch.setattr(place, full)
    assert refusal("small", SMALL) == (
        f"the disk of {home / 'datasets'} is full: make room, or let GRADLAB_DATA name a folder on "
        "another disk; what has arrived stays"
    )


def test_a_folder_of_another_origin_is_left_alone(fake, home):
    folder = home / "datasets" / "small"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("mine")
    assert "has no manifest of a download: move it away" in refusal("small", SMALL)
    shutil.rmtree(folder)
    prepare("small", SMALL)
    assert "holds someone/small; move it away" in refusal("small", HubSet("another/one"))


def test_the_states_of_all_sets_are_listed(fake, home):
    prepare("small", SMALL)
    (home / "datasets" / ".svhn.part").mkdir()
    (home / "datasets" / "own").mkdir()
    listed = {state.name: state for state in states()}
    assert listed["mnist"].words == "not here: gradlab data get mnist"
    assert listed["svhn"].words.startswith("partly here")
    assert listed["small"].description == "someone/small of the hub"
    assert listed["own"].description == "a folder of your own"
    assert list(listed)[-2:] == ["own", "small"]

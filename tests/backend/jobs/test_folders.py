"""A run's folder is removed while its worker is on its way out."""

import errno
import shutil

import pytest

from backend.jobs import run_folders


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "r1"
    (made / "checkpoints").mkdir(parents=True)
    (made / "log").write_text("…")
    return made


@pytest.mark.parametrize(
    "trouble", [FileNotFoundError("outbox-1"), OSError(errno.ENOTEMPTY, "not empty")]
)
def test_files_that_come_and_go_meanwhile_do_not_matter(folder, monkeypatch, trouble):
    really, troubles = shutil.rmtree, [trouble, trouble]

    def remove(path):
        if troubles:
            raise troubles.pop()
        really(path)

    monkeypatch.setattr(shutil, "rmtree", remove)
    run_folders.remove(folder)
    assert not folder.exists()


def test_the_checkpoint_that_an_earlier_version_kept_is_found(tmp_path):
    former = tmp_path / "runs" / "r1" / "specimen"
    former.mkdir(parents=True)
    assert run_folders.kept_checkpoint(tmp_path, "r1") == former
    assert run_folders.kept_checkpoint(tmp_path, "r2").parent == tmp_path / "runs" / "r2"


def test_a_folder_that_is_not_there_is_removed_already(tmp_path):
    run_folders.remove(tmp_path / "none")


def test_a_folder_that_resists_says_so(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(PermissionError, match="denied"):
        run_folders.remove(folder)
    assert folder.exists()

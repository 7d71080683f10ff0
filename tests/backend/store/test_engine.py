"""The database: made, migrated, and refused in words where it is not ours."""

import sqlite3
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from backend.store import DatabaseError, Store, open_engine
from backend.store.engine import alembic_config
from backend.store.tables import SQLModel


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lab.db"


@pytest.fixture
def opened(path):
    """open_engine, closed at the end."""
    engines = []

    def opening(url=None):
        engines.append(open_engine(url or f"sqlite:///{path}"))
        return engines[-1]

    yield opening
    for engine in engines:
        engine.dispose()


def test_migrations_and_models_agree(opened):
    with opened().connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_the_way_back(opened):
    from alembic import command

    engine, config = opened(), alembic_config()
    with engine.execution_options(writing=True).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        names = connection.execute(text("SELECT name FROM sqlite_master WHERE type='table'"))
        assert set(names.scalars()) <= {"alembic_version", "sqlite_sequence"}


def test_how_sqlite_is_tuned(opened):
    with opened().connect() as connection:
        found = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in (
                *("journal_mode", "synchronous", "busy_timeout", "foreign_keys"),
                *("page_size", "auto_vacuum"),
            )
        }
    assert found == {
        "journal_mode": "wal", "synchronous": 1, "busy_timeout": 10000, "foreign_keys": 1,
        "page_size": 16384, "auto_vacuum": 2,
    }  # fmt: skip


def test_what_was_stored_is_there_again(opened):
    run = Store(opened()).create_run({"name": "kept", "steps": 3}, {})
    assert Store(opened()).run(run.id).config == {"name": "kept", "steps": 3}


@pytest.mark.parametrize(
    "content", [b"hello, this is my thesis", b"SQLite format 3\x00" + b"x" * 500]
)
def test_a_file_that_is_no_database_is_not_touched(path, opened, content):
    path.write_bytes(content)
    with pytest.raises(DatabaseError, match=r"not a database|cannot be read") as refusal:
        opened()
    assert str(path) in str(refusal.value)
    assert path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == ["lab.db"]


def test_another_programs_database_is_not_touched(path, opened):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(DatabaseError, match=r"belongs to another program.*bookmarks"):
        opened()
    assert path.read_bytes() == before


def test_a_newer_database_is_refused(path, opened):
    with opened().begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match=r"newer version of the lab.*9999.*knows up to"):
        opened()


def test_a_folder_that_is_not_there(tmp_path, opened):
    with pytest.raises(DatabaseError, match="cannot be opened"):
        opened(f"sqlite:///{tmp_path / 'none' / 'lab.db'}")


def test_a_folder_in_the_place_of_the_database(path, opened):
    path.mkdir()
    with pytest.raises(DatabaseError, match="is a folder"):
        opened()


def test_a_database_whose_pages_are_garbage(path, opened):
    opened().dispose()
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xa5" * (len(whole) - 100))
    with pytest.raises(DatabaseError, match=rf"{path} cannot be [^\n]+$"):
        opened()


@pytest.mark.parametrize(
    ("url", "words"),
    [("postgresql://me@there/lab", "driver of postgresql"), ("nonsense://x", "'nonsense'")],
)
def test_a_url_without_a_driver(opened, url, words):
    with pytest.raises(DatabaseError, match=words):
        opened(url)


def test_a_url_that_is_none(opened):
    with pytest.raises(DatabaseError, match="URL is not one"):
        opened("lab.db")


def test_verdicts_of_old_databases_are_kept_under_their_new_name(opened):
    """Migration 0003: lamp/<metric> becomes law_check/<metric>, and back."""
    from alembic import command

    engine, config = opened(), alembic_config()
    store = Store(engine)
    one, other = (store.create_run({"name": "seen", "steps": 1}, {}).id for _ in range(2))

    def revised(change, revision):
        with engine.execution_options(writing=True).begin() as connection:
            config.attributes["connection"] = connection
            change(config, revision)
            found = connection.execute(text("SELECT run, metric, estimator FROM series"))
            return {tuple(row) for row in found}

    revised(command.downgrade, "0002")
    old = {
        (one, "lamp/relative_mse", "spsa"),
        (one, "lamp/relative_mse", "mezo"),
        (one, "relative_mse", "spsa"),
        (other, "my_lamp/x", "spsa"),
    }
    with engine.execution_options(writing=True).begin() as connection:
        for run, metric, estimator in old:
            values = {"run": run, "metric": metric, "estimator": estimator}
            connection.execute(
                text(
                    "INSERT INTO series (run, metric, layer, estimator, unit) "
                    "VALUES (:run, :metric, '', :estimator, '')"
                ),
                values,
            )
    new = {(run, metric.replace("lamp/r", "law_check/r"), e) for run, metric, e in old}
    assert revised(command.upgrade, "head") == new
    assert {s.metric for s in store.series(one)} == {"law_check/relative_mse", "relative_mse"}
    assert revised(command.downgrade, "0002") == old
    assert revised(command.upgrade, "head") == new


def test_runs_stored_without_masked_noise_keep_their_noise(opened):
    """Migration 0005: what a description lacks is what the version before did."""
    from alembic import command

    engine, config = opened(), alembic_config()
    store = Store(engine)
    former = {"name": "activity_forward_gradient", "tangents": 2}
    inner = {"name": "local_losses", "inner": former, "greedy": True}
    masked = {**former, "masked_noise": True}
    run = store.create_run(
        {"name": "node_perturbation", "steps": 1, "estimator": inner, "shadows": [former, masked]},
        {},
    ).id

    def revised(change, revision):
        with engine.execution_options(writing=True).begin() as connection:
            config.attributes["connection"] = connection
            change(config, revision)

    revised(command.downgrade, "0004")
    revised(command.upgrade, "head")
    stored = store.run(run).config
    unmasked = {**former, "masked_noise": False}
    assert stored["estimator"] == {**inner, "inner": unmasked}
    assert stored["shadows"] == [unmasked, masked]
    assert stored["name"] == "node_perturbation"
    assert "masked_noise" not in stored

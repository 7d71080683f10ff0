"""Every entry of the gallery: it can be started, and what it names exists."""

import json

import pytest
import yaml

from backend.config import RunConfig
from backend.figures.catalogue import modules
from backend.figures.data.query import PARAMETERS
from backend.figures.studies.drawing import NAMES
from backend.gallery.catalogue import entries, papers
from backend.gallery.entry import Entry, merged
from backend.studies.cells import variants
from backend.studies.planning import drafts
from backend.studies.study_file import parse
from backend.training.components.assemble import component_index, components, make_parts

LENGTHS = ("short", "full")


def both_data(entry):
    return (False, True) if entry.entry.data else (False,)


@pytest.mark.parametrize("name", entries())
def test_an_entry_is_a_valid_study_at_each_length_and_on_each_data_set(name):
    """On the stand-in every configuration is made; on the paper's data, which may be absent, all
    but the data set."""
    entry, index = entries()[name], component_index()
    for length in LENGTHS:
        for stand_in in both_data(entry):
            study = parse(entry.document(length, stand_in=stand_in))
            assert study.gallery is not None
            for draft in drafts(study):
                config = RunConfig.model_validate(draft.config).model_dump()
                _, problems = make_parts(components(config), index)
                absent = {"dataset"} if entry.entry.data and not stand_in else set()
                left = [each for each in problems if each.loc[0] not in absent]
                assert left == [], (name, length, stand_in, draft.variant.label)


@pytest.mark.parametrize("name", entries())
def test_published_figures_and_shown_methods_are_labels_of_the_study(name):
    entry = entries()[name]
    of_study = [
        each for length in LENGTHS
        for each in variants(parse(entry.document(length, stand_in=False)))
    ]  # fmt: skip
    labels = {each.label for each in of_study}
    for published in entry.entry.published:
        assert {*published.values} <= labels, published.quantity
    for shown in entry.entry.figures:
        assert {*shown.methods} <= labels, shown.name
        known = NAMES if shown.source == "study" else modules()
        assert shown.name in known
        assert {*shown.asks} <= {*PARAMETERS}


def test_every_paper_has_entries_and_every_folder_a_paper():
    of_papers = {entry.paper.key for entry in entries().values()}
    assert of_papers == {*papers()}


def test_the_five_papers_come_first():
    assert [*papers()][:5] == [
        "baydin2022", "ren2022", "fournier2023", "bacho2022", "geng2021",
    ]  # fmt: skip


def test_every_word_of_a_list_is_a_sentence():
    """An unquoted comma in a YAML list makes two entries of one sentence."""
    for name, entry in entries().items():
        for sentences in entry.entry.differences.values():
            for said in sentences:
                assert said[0].isupper() or said[0].isdigit(), (name, said)
                assert said.endswith((".", ")")), (name, said)
        assert entry.entry.question.endswith("?"), name


def test_a_component_of_another_name_is_replaced_and_one_of_the_same_name_is_merged():
    base = {"base": {"network": {"name": "mlp", "width": 8}, "steps": 5}, "seeds": [0, 1]}
    same = merged(base, {"base": {"network": {"name": "mlp", "depth": 3}}})
    assert same["base"] == {"network": {"name": "mlp", "width": 8, "depth": 3}, "steps": 5}
    other = merged(base, {"base": {"network": {"name": "cnn"}}, "seeds": [7]})
    assert other["base"] == {"network": {"name": "cnn"}, "steps": 5}
    assert other["seeds"] == [7]
    assert base["base"]["network"] == {"name": "mlp", "width": 8}, "the base is unchanged"


@pytest.mark.parametrize("name", [name for name, each in entries().items() if each.entry.data])
def test_full_length_is_full_on_the_stand_in_too(name):
    own, stand_in = (parse(entries()[name].document("full", stand_in=s)) for s in (False, True))
    assert stand_in.base["steps"] == own.base["steps"]
    assert (stand_in.seeds, stand_in.tuning, stand_in.budget) == (
        own.seeds, own.tuning, own.budget,
    )  # fmt: skip
    assert stand_in.base["dataset"] == entries()[name].entry.data.changes["base"]["dataset"]


def test_what_full_length_changes_counts_for_more_than_what_the_stand_in_changes():
    entry = entries()["baydin2022-mlp"].entry
    changes = {"base": {"dataset": {"name": "digits"}, "steps": 10, "batch_size": 8}}
    full = {"base": {"dataset": {"name": "npz", "folder": "own"}, "steps": 500}}
    data = entry.data.model_copy(update={"changes": changes})
    changed = entry.model_copy(update={"data": data, "full": full})
    base = changed.document("full", stand_in=True)["base"]
    assert (base["steps"], base["batch_size"]) == (500, 8)
    assert base["dataset"] == {"name": "digits"}
    assert changed.document("short", stand_in=True)["base"]["steps"] == 10


def test_the_stand_in_is_said_first_among_the_differences():
    entry = entries()["ren2022-mnist_s11"].entry
    said = entry.differences_at("short", stand_in=True)
    assert said[0].startswith("The data are scikit-learn's digits in place of MNIST: ")
    assert entry.differences_at("short", stand_in=False) == said[1:]


def test_published_figures_without_a_word_on_differences_are_refused():
    document = json.loads(json.dumps(entries()["ren2022-mnist_s11"].entry.model_dump(mode="json")))
    with pytest.raises(ValueError, match="say what differs"):
        Entry.model_validate({**document, "differences": {}})


def test_the_published_numbers_of_table_3_are_those_of_the_paper():
    """Typed a second time from the table, so that a slip in one of both is noticed."""
    table = yaml.safe_load("""
        BP: [2.66, 2.41]
        L-BP: [2.38, 2.16]
        LG-BP: [2.43, 2.81]
        FA: [2.82, 2.90]
        L-FA: [3.21, 2.90]
        LG-FA: [3.11, 2.50]
        DFA: [3.31, 3.17]
        FG-W: [9.25, 8.56]
        FG-A: [3.24, 3.76]
        LG-FG-W: [9.25, 5.66]
        LG-FG-A: [3.24, 2.55]
    """)
    for at, name in enumerate(("ren2022-mnist_s11", "ren2022-mnist_m116")):
        (published,) = entries()[name].entry.published
        assert published.values == {label: row[at] for label, row in table.items()}
        assert (published.provenance, published.conversion) == ("P", "error")

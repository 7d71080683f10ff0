"""The document of a study: what is refused, in which words, and the first format."""

from pathlib import Path

import pytest

from backend.config import RunConfig
from backend.documents import read
from backend.studies import cells
from backend.studies.cells import MAX_CELLS, count_cells, variants
from backend.studies.planning import describe, drafts
from backend.studies.study_file import StudyFileError, parse

STUDIES = Path(__file__).parents[3] / "docs" / "studies"
BASE = {
    "dataset": {"name": "two_moons"},
    "network": {"name": "mlp"},
    "estimator": {"name": "backprop"},
    "steps": 100,
}
STUDY = {
    "name": "two methods",
    "base": BASE,
    "methods": [
        {"label": "exact"},
        {"label": "forward", "config": {"estimator": {"name": "forward_gradient"}}},
    ],
    "seeds": [5, 6],
    "tuning": {"values": [0.01, 0.1], "seeds": [100]},
}
GRID = {k: v for k, v in STUDY.items() if k != "tuning"}


def planned(study, answer=lambda config: {}):
    """The variants as they are stored, by a lab that fills defaults in."""
    parsed = parse(study)
    tried = drafts(parsed)
    answers = []
    for draft in tried:
        filled = RunConfig.model_validate(draft.config).model_dump(mode="json")
        of_all = {"config": filled, "labels": {}, "plugins": {}, "cost": 1.0, "errors": []}
        answers.append({**of_all, **answer(draft.config)})
    return describe(parsed, tried, answers)


BAD: dict[str, tuple[dict, str]] = {
    "a shared seed": ({"seeds": [5, 100]}, "seed 100 is in seeds and in tuning.seeds"),
    "a seed twice": ({"seeds": [5, 5]}, "seeds 5 comes twice; give each once"),
    "a value twice": ({"tuning": {"values": [1, 1], "seeds": [9]}}, "tuning.values 1.0 comes twi"),
    "a rate of 0": ({"tuning": {"values": [0], "seeds": [9]}}, "entry 1 of values is 0; it must"),
    "a label twice": ({"methods": [{"label": "a"}] * 2}, "label a comes twice"),
    "a newer version": ({"format": 3}, "has format 3; this version of the lab reads formats up to 2"
                        ": upgrade the lab"),
    "no format": ({"format": "new"}, "has format 'new'; this version of the lab reads"),
    "an unknown field": ({"seed": [1]}, "no field 'seed' of a study; did you mean 'seeds'?"),
    "an unknown field of tuning": (
        {"tuning": {**STUDY["tuning"], "value": [1]}}, "no field 'value' of tuning of a study; did",
    ),
    "a seed in base": ({"base": {**BASE, "seed": 1}}, "base has a seed; seeds of the study"),
    "the tuned field in base": (
        {"base": {**BASE, "optimizer": {"name": "sgd", "lr": 1}}},
        "base has optimizer.lr; values of tuning give it",
    ),
    "the tuned field in the grid": (
        {"grid": {"optimizer.lr": [1, 2]}}, "optimizer.lr is varied; values of tuning give it",
    ),
    "grid and list": ({"grid": {"steps": [1]}, "list": [{"steps": 1}]}, "grid and list are given"),
    "an entry of the list that lacks a field": (
        {"list": [{"steps": 1, "batch_size": 2}, {"steps": 3}]},
        "entry 2 of list has no batch_size, which other entries have",
    ),
    "an unknown field of a run": (
        {"methods": [{"label": "exact", "config": {"step": 3}}]}, "exact has 'step', which is no",
    ),
    "a field that no run has": (
        {"grid": {"optimiser.lr": [0.1, 1]}},
        "optimiser.lr is varied: no field 'optimiser' of a run; did you mean 'optimizer'?",
    ),
    "a batch that is varied and fitted": (
        {"grid": {"batch_size": [1, 2]}, "budget": {"memory": 1, "fit": "batch_size"}},
        "batch_size is varied, and the budget gives it; leave one out",
    ),
    "a memory without a field": (
        {"budget": {"memory": 1}},
        "budget: memory is given without fit; give both or neither",
    ),
    "a budget without an amount": (
        {"budget": {"kind": "steps"}},
        "budget: kind is given without amount; give both or neither",
    ),
    "a budget of nothing": (
        {"budget": {}},
        "budget: it limits nothing; give kind and amount, or memory and fit, or both",
    ),
    "steps that are fitted": (
        {"budget": {"memory": 1, "fit": "steps"}},
        "budget.fit is steps, which does not stay what it is made; give batch_size, or a field "
        "by which a run needs less memory",
    ),
    "a length beside a budget": (
        {"grid": {"steps": [1, 2]}, "budget": {"kind": "steps", "amount": 5}},
        "steps is varied, and the budget gives it; leave one out",
    ),
    "a metric that no run has": (
        {"metric": "acuracy"}, "no metric 'acuracy'; did you mean 'accuracy'?",
    ),
    "no values": ({"tuning": {"values": [], "seeds": [9]}}, "values is empty; give at least 1 ent"),
    "rates without tuning": (
        {"tuning": None, "methods": [{"label": "a", "rates": [1]}]}, "a has rates, and the study",
    ),
    "a field twice": (
        {"tuning": {"values": [1], "seeds": [9], "also": {"field": "optimizer.lr", "values": [1]}}},
        "tuning.also.field is optimizer.lr again",
    ),
    "no such baseline": ({"baseline": "best"}, "baseline is best; the labels are exact, forward"),
    "a field of what has none": (
        {"grid": {"steps.most": [1]}}, "steps.most is varied, and steps is 100; steps must be an",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), BAD.values(), ids=BAD)
def test_a_bad_study_is_refused_in_a_sentence(changes, said):
    with pytest.raises(StudyFileError) as refused:
        planned({**STUDY, **changes})
    assert said in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_million_cells_are_counted_and_none_is_made(monkeypatch):
    grid = {"steps": list(range(1, 1001)), "batch_size": list(range(1, 501))}
    monkeypatch.setattr(cells, "Variant", None)
    with pytest.raises(StudyFileError) as refused:
        variants(parse({**GRID, "grid": grid, "seeds": [0]}))
    assert str(refused.value).startswith("the study has 1,000,000 runs; at most 10,000 are allowed")


def test_the_runs_of_a_study_are_counted():
    assert count_cells(parse(GRID)) == 2 * 2
    assert count_cells(parse(STUDY)) == 2 * (2 + 2)
    grid = {"network.width": [4, 8, 16]}
    assert count_cells(parse({**STUDY, "grid": grid})) == 3 * 2 * (2 + 2)
    assert count_cells(parse({**STUDY, "list": [{"steps": 1}, {"steps": 2}]})) == 2 * 2 * (2 + 2)
    also = {"field": "batch_size", "values": [8, 16, 32]}
    tuning = {**STUDY["tuning"], "also": also}
    methods = [{"label": "exact"}, {**STUDY["methods"][1], "rates": [1, 2, 3]}]
    study = parse({**STUDY, "tuning": tuning, "methods": methods})
    assert count_cells(study) == (2 + 2 * 3) + (2 + 3 * 3)
    assert count_cells(parse({**GRID, "seeds": list(range(1000))})) == 2000 < MAX_CELLS


def test_a_variant_is_a_method_at_one_combination():
    grid = {"network.width": [4, 8], "estimator": [{"name": "spsa", "pairs": 2}]}
    found = variants(parse({**GRID, "grid": grid}))
    assert [each.label for each in found] == [
        f"{method}, width {width}, estimator spsa 2"
        for method in ("exact", "forward") for width in (4, 8)
    ]  # fmt: skip
    assert found[1].config["network"] == {"name": "mlp", "width": 8}
    assert found[1].config["estimator"] == {"name": "spsa", "pairs": 2}
    assert found[0].config["network"]["width"] == 4, "the variants share what they change"
    (alone, _) = variants(parse({"name": "alone", "base": BASE, "grid": {"batch_size": [1, 2]}}))
    assert (alone.label, alone.method) == ("batch_size 1", "backprop")


def test_two_variants_that_make_the_same_runs_are_refused():
    twins = [{"label": "a"}, {"label": "b", "config": {"batch_size": 64}}]
    with pytest.raises(StudyFileError, match="'a' and 'b' are alike: their configurations are the"):
        planned({**GRID, "methods": twins})
    with pytest.raises(StudyFileError, match=r"two variants are called .* they are alike"):
        planned({**GRID, "list": [{"steps": 1}, {"steps": 1}]})


def test_a_problem_of_many_variants_is_told_once():
    def no_samples(config):
        if config["estimator"]["name"] != "backprop":
            return {}
        error = {"loc": ["estimator", "samples"], "msg": "no field 'samples' of backprop"}
        return {"errors": [error]}

    grid = {"estimator.samples": [1, 4, 16, 64]}
    with pytest.raises(StudyFileError) as refused:
        planned({**GRID, "grid": grid}, no_samples)
    assert str(refused.value) == (
        "exact, samples 1; exact, samples 4 and 2 more: estimator.samples is varied, and some have "
        "no such field: no field 'samples' of backprop; leave it out, or give it to the methods "
        "that have it"
    )


def test_a_data_set_that_is_absent_for_one_variant_is_named_with_it():
    def absent(config):
        error = {"loc": ["dataset", "folder"], "msg": "there is no folder cifar10"}
        return {"errors": [error] if config["dataset"]["name"] == "parquet_images" else []}

    images = {"dataset": {"name": "parquet_images", "folder": "cifar10"}}
    methods = [{"label": "moons"}, {"label": "images", "config": images}]
    with pytest.raises(StudyFileError) as refused:
        planned({**GRID, "methods": methods}, absent)
    assert str(refused.value) == "images: dataset.folder: there is no folder cifar10"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metric": "cosine", "base": {**BASE, "probe": {"budget": 0}}},
         "metric is cosine, a measure of probes, and exact has none"),
        ({"metric": "readout_accuracy"}, "metric is readout_accuracy, which no run of exact has"),
        ({"base": {**BASE, "loss": {"name": "info_nce"}}},
         "metric is accuracy, which no run of exact has, as it minimises info_nce; give readout_"),
    ],
)  # fmt: skip
def test_a_metric_that_the_runs_will_not_have_is_refused(changes, said):
    with pytest.raises(StudyFileError) as refused:
        planned({**GRID, **changes})
    assert said in str(refused.value)


def test_a_study_reads_its_own_document_again():
    study = parse({**STUDY, "list": [{"batch_size": 8}], "baseline": "exact"})
    assert parse(study.document()) == study


FIRST = {
    "name": "first",
    "base": BASE,
    "configs": [{"label": "exact"}, {**STUDY["methods"][1], "rates": [1.0]}],
    "rates": [1.0, 0.1],
    "tuning_seeds": [0],
    "seeds": [5, 6],
    "baseline": "exact",
}


def test_a_study_of_the_first_format_is_read_as_it_was_meant():
    study = parse(FIRST)
    assert study.tuning is not None
    assert (study.tuning.field, study.tuning.widen, study.tuning.seeds) == ("optimizer.lr", 0, [0])
    assert [each.values for each in variants(study)] == [(0.1, 1.0), (1.0,)]
    with pytest.raises(StudyFileError, match="no field 'rate' of a study; did you mean 'rates'"):
        parse({**FIRST, "rate": 1})


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.yaml")), ids=lambda file: file.name)
def test_the_studies_of_the_documentation_can_be_read(file):
    for draft in drafts(parse(read(file))):
        config = RunConfig.model_validate(draft.config)
        # Probes on the schedule of a budget would depend on how busy the machine is.
        assert config.probe.budget == 0 or config.probe.every is not None

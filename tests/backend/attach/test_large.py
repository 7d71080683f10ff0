"""Networks and loops that have more to tell than a lab keeps of one run."""

import pytest
from torch import nn

import gradlab
from backend.api.guard import MAX_WORKER_BODY
from backend.attach import scalars
from backend.jobs.report_decoding import MAX_FACTS_BYTES
from backend.jobs.worker import reporter
from backend.store import reports
from backend.training import facts, probes

LOSS = nn.CrossEntropyLoss()


def test_what_is_sent_is_less_than_what_a_lab_takes():
    assert probes.MAX_SERIES + scalars.MAX_NAMES <= reports.MAX_SERIES
    assert facts.MAX_LAYERS_BYTES <= 0.8 * MAX_FACTS_BYTES
    assert 2 * reporter.PART <= MAX_WORKER_BODY


@pytest.fixture
def measured(open_lab, net, batch):
    """A run of one probe of two estimators, in a lab that is open."""

    def measured():
        estimators = [gradlab.Backprop(), gradlab.SPSA()]
        with gradlab.attach(net, LOSS, estimators, draws=2, home=open_lab.home.path) as run:
            run.step(0, batch)
            run.log({"loss": 1.0})
        row = open_lab.store.run(run.id)
        assert row.status == "finished"
        assert open_lab.points(row.id, "train/loss") == [(0, 1.0)]
        told = [e.text for e in open_lab.store.events(row.id) if "layers are measured" in e.text]
        layers = {s.layer for s in open_lab.store.series(row.id) if s.metric == "cosine"}
        return row, layers, told

    return measured


@pytest.mark.parametrize(
    ("layers", "kept", "words"),
    [
        (7, {"", "0", "2", "0.weight", "0.bias", "2.weight", "2.bias"}, None),
        (6, {"", "0", "2"}, "at most 6 layers are measured, so that the stages alone are:"),
        (2, {""}, "at most 2 layers are measured, so that the whole network alone is:"),
    ],
)
def test_a_network_of_too_many_layers_is_measured_in_less_detail(
    measured, monkeypatch, layers, kept, words
):
    monkeypatch.setattr(probes, "MAX_SERIES", layers * 2 * probes.SERIES_OF_A_LAYER)
    _, got, told = measured()
    assert got == kept
    assert [words in text for text in told] == [True] * (words is not None)


@pytest.mark.parametrize(
    ("limit", "names"),
    [(10_000, ["0.weight", "0.bias", "2.weight", "2.bias"]), (300, ["0", "2"]), (10, [])],
)
def test_a_long_list_of_layers_is_made_shorter(measured, monkeypatch, limit, names):
    monkeypatch.setattr(facts, "MAX_LAYERS_BYTES", limit)
    row, _, _ = measured()
    assert [layer["name"] for layer in row.facts["layers"]] == names
    assert sum(layer["count"] for layer in row.facts["layers"]) in (0, row.facts["parameters"])


def test_a_large_flush_is_sent_in_several_reports(open_lab, measured, monkeypatch):
    monkeypatch.setattr(reporter, "PART", 5_000)
    sizes, report = [], open_lab.store.report

    def stored(body):
        sizes.append(len(body.series))
        return report(body)

    monkeypatch.setattr(open_lab.store, "report", stored)
    _, layers, _ = measured()
    assert len(layers) == 7
    assert max(sizes) <= 5
    assert sum(sizes) >= 7 * 2 * 10


def test_one_name_of_a_scalar_too_many_is_refused(lab, net, monkeypatch):
    monkeypatch.setattr(scalars, "MAX_NAMES", 2)
    with gradlab.attach(net, LOSS, home=lab.home.path) as run:
        run.log({"a": 1, "b": 2})
        with pytest.raises(ValueError, match=r"'c' is one name .* too many; a run has at most 2$"):
            run.log({"c": 3})
        run.log({"a": 4}, step=1)
    lab.attached.look()
    assert lab.points(run.id, "log/a") == [(0, 1.0), (1, 4.0)]

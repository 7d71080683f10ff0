"""A run that is driven by modules of torchzero."""

import sys

from backend.catalogue import validate
from backend.catalogue.entries import claim_of
from backend.training.control import Control
from backend.training.loop import train
from backend.training.records import Progress
from estimators import TorchzeroModule
from estimators.adapters import _chain_text

DRIVER = {"name": "torchzero_module", "modules": "SPSA(h=0.01, n_samples=8), EMA(0.5)"}


def test_a_run_is_driven_and_goes_on_from_its_checkpoint(config, gather, gathered, tmp_path):
    run = config(estimator=DRIVER, optimizer={"name": "sgd", "lr": 0.1}, steps=24)
    whole = gather(train(run))
    losses = [*whole.of("train/loss").values()]
    assert sum(losses[-6:]) < sum(losses[:6])
    control = Control(run_until=11)
    for record in train(run, control, checkpoint_dir=tmp_path):
        gathered.take(record)
        if isinstance(record, Progress) and record.status == "paused":
            control.update(run_until=11, stop=True)
    rest = gather(train(run, checkpoint_dir=tmp_path))
    assert rest.facts.resumed_at == 11
    assert rest.curve() == whole.curve(11)


def test_what_cannot_run_is_refused_at_the_estimator(config, monkeypatch):
    def error(modules):
        answer = validate(config(estimator={**DRIVER, "modules": modules}).model_dump())
        (found,) = answer["errors"]
        assert found["loc"][0] == "estimator"
        return found["msg"]

    assert error("SPSA(").startswith("modules is 'SPSA('; it must be Name(")
    assert error("Nothing()").startswith("torchzero has no module 'Nothing'")
    monkeypatch.setattr(_chain_text, "find_spec", lambda _: None)
    assert 'install it with pip install "gradlab[torchzero]"' in error("SPSA()")


def test_the_catalogue_says_its_claim_without_torchzero(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchzero", None)  # an import would fail
    assert claim_of(TorchzeroModule) == "biased"

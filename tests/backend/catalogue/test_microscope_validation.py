"""What can be looked at, and swept, is told before anything is drawn."""

import pytest

from backend.catalogue.microscope import validate_microscope

BASE = {
    "dataset": {"name": "digits"},
    "network": {"name": "cnn", "channels": 4},
    "estimator": {"name": "forward_gradient"},
    "shadows": [{"name": "backprop"}, {"name": "spsa", "pairs": 2}],
    "probe": {"budget": 0},
}


def verdict(sweep=None, dirs=(), **changes):
    of = {"run": "r1", "step": 3, "sweep": sweep, **changes.pop("of", {})}
    return validate_microscope({**BASE, "microscope": of, **changes}, dirs)


def test_it_is_written_out_whole():
    answer = verdict()
    assert answer["errors"] == []
    assert answer["labels"] == {
        "driver": "forward_gradient", "shadows": ["backprop", "spsa(pairs=2)"]
    }  # fmt: skip
    assert answer["config"]["microscope"]["draws"] == 256
    assert answer["config"]["estimator"]["tangents"] == 1


def test_a_sweep_is_of_those_that_have_the_field():
    answer = verdict({"field": "pairs", "values": [8, 1]})
    assert answer["labels"] == {"driver": "spsa(pairs=2)", "shadows": []}
    assert answer["config"]["microscope"]["sweep"]["values"] == [1, 8]
    read = verdict({"field": "pairs", "values": ["8", 16.0, 4]})
    assert read["config"]["microscope"]["sweep"]["values"] == [4, 8, 16]
    whole = verdict({"field": "batch_size", "values": [8, 1]})
    assert len(whole["labels"]["shadows"]) == 2
    held = {"name": "mean_of_draws", "inner": {"name": "spsa"}, "draws": 2}
    inner = verdict({"field": "inner.eps", "values": [1, 0.1]}, estimator=held)
    assert inner["errors"] == []


def test_a_field_of_the_network_is_swept_by_all():
    answer = verdict({"field": "network.channels", "values": [8, "2"]})
    assert answer["errors"] == []
    assert len(answer["labels"]["shadows"]) == 2
    assert answer["config"]["microscope"]["sweep"]["values"] == [2, 8]
    kinds = verdict({"field": "network.activation", "values": ["tanh", "relu"]})
    assert kinds["config"]["microscope"]["sweep"]["values"] == ["tanh", "relu"]


@pytest.mark.parametrize(
    ("asked", "loc", "said"),
    [
        ({"estimator": {"name": "x"}}, ["estimators", 0, "name"], "no estimator 'x'; there are: "),
        ({"shadows": [{"name": "spsa", "pairs": 0}]}, ["estimators", 1, "pairs"], "pairs is 0"),
        ({"sweep": ("width", [1, 2])}, ["sweep", "field"], "no estimator here has a field 'width'"),
        ({"sweep": ("pairs", [1, 0])}, ["sweep", "values", 0], "pairs is 0; it must be at least 1"),
        ({"sweep": ("pairs", [1, 1.5])}, ["sweep", "values", 1], "pairs is 1.5"),
        (
            {"sweep": ("pairs", [8, "8.0"])},
            ["sweep", "values", 1],
            "8 comes twice; give each value",
        ),
        ({"sweep": ("noise", ["normal", "x"])}, ["sweep", "values", 1], "noise is 'x'"),
        (
            {"sweep": ("network.width", [1, 2])},
            ["sweep", "field"],
            "the network cnn has no field 'network.width'; there are network.channels, ",
        ),
        ({"sweep": ("network.channels", [2, 0])}, ["sweep", "values", 0], "channels is 0; it must"),
        (
            {"sweep": ("network.channels", [4, "a"])},
            ["sweep", "values", 1],
            "channels is 'a'; it must be a whole number",
        ),
        (
            {
                "sweep": ("network.normalisation", ["none", "batch"]),
                "shadows": [{"name": "forward_gradient", "per": "example"}],
            },
            ["sweep", "values", 1],
            "with normalisation 'batch': forward_gradient(per=example) needs a loss that is a mean",
        ),
        (
            {"sweep": ("network.depth", [2, 64]), "network": {"name": "mlp", "width": 16_384}},
            ["sweep", "values", 1],
            "with depth 64: the network would have 16,",
        ),
        (
            {
                "sweep": ("network.blocks", [1, 2]),
                "network": {"name": "local_mixer", "size": "S/1/1"},
            },
            ["sweep", "field"],
            "blocks 1 and blocks 2 give the same local_mixer: another of its fields decides",
        ),
        (
            {"sweep": ("batch_size", [4, 2000])},
            ["sweep", "values", 1],
            "batch_size is 2,000; it must be at most 1,074",
        ),
    ],
)
def test_what_cannot_be_done_is_told_where_it_was_asked(asked, loc, said):
    if "sweep" in asked:
        field, values = asked.pop("sweep")
        asked["sweep"] = {"field": field, "values": values}
    (error,) = verdict(**asked)["errors"]
    assert error["loc"] == loc
    assert said in error["msg"]


def test_an_estimator_that_cannot_serve_is_named_with_its_need():
    shadows = [{"name": "backprop"}, {"name": "forward_gradient", "per": "example"}]
    (error,) = verdict(network={"name": "cnn", "normalisation": "batch"}, shadows=shadows)["errors"]
    assert error["loc"] == ["estimators", 2, "name"]
    assert "needs a loss that is a mean over examples" in error["msg"]


def test_a_plugin_that_changed_starts_anew(plugins):
    asked = {"estimator": {"name": "drifting"}, "shadows": []}
    now = verdict(dirs=plugins, **asked)
    assert now["config"]["microscope"]["fresh"] == []
    for sha, fresh in [(now["plugins"]["drifting"], []), ("0" * 64, ["drifting"])]:
        then = verdict(dirs=plugins, of={"plugins": {"drifting": sha}}, **asked)
        assert then["config"]["microscope"]["fresh"] == fresh


@pytest.mark.parametrize(("loss", "size"), [("cross_entropy", 1), ("info_nce", 3)])
def test_an_anatomy_takes_batches_that_can_be_divided(loss, size):
    of = {"anatomy": {"batches": 4}}
    answer = verdict(of=of, loss={"name": loss}, shadows=[], batch_size=size)
    (error,) = answer["errors"]
    assert error["loc"] == ["anatomy"]
    assert f"at least {size + 1} examples; the run's batch_size is {size}" in error["msg"]
    assert verdict(of=of, loss={"name": loss}, shadows=[], batch_size=size + 1)["errors"] == []

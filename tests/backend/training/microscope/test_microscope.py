"""The microscope: every draw once, the same each time, and clear words where it cannot look."""

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from backend.config import MicroscopeConfig
from backend.training.checkpoints import format
from backend.training.checkpoints.files import path_of
from backend.training.control import Control
from backend.training.loop import train
from backend.training.microscope.run import run_microscope
from backend.training.records import Progress
from estimators.perturbation._directions import draws as weight_draws

FORWARD = {"name": "forward_gradient"}
DRIFTING = {"name": "drifting"}
BIAS = "module/head.linear.bias"
STAGES = ["", "hidden1", "head"]

BROKEN = '''
from dataclasses import dataclass
import torch
from estimators import Backprop, Claim, Cost, Estimator

@dataclass(frozen=True)
class Broken(Estimator):
    """Backprop whose head is not finite in half of the draws."""
    def claim(self, objective, /):
        return Claim.BIASED
    def cost(self, objective, /):
        return Cost(forwards=1, vjps=1)
    def estimate(self, objective, params, state, rng, /):
        made = Backprop().estimate(objective, params, state, rng)
        bad = torch.rand((), generator=rng) < 0.5
        grads = dict(made.grads)
        name = list(grads)[-1]
        grads[name] = torch.where(bad, torch.inf, grads[name])
        return made._replace(grads=grads)
'''


@pytest.fixture
def trained(config, gather, plugins, tmp_path):
    """Trains a run of 20 steps and gives (its configuration, its checkpoints)."""

    def make(**changes):
        run = config(steps=20, shadows=[FORWARD], **changes)
        records = train(run, checkpoint_dir=tmp_path / "c", plugin_dirs=plugins)
        assert gather(records).ended.status == "finished"
        return run, tmp_path / "c"

    return make


@pytest.fixture
def see(gather, plugins):
    def make(run, folder, control=None, estimators=None, **of):
        body = run.model_dump()
        if estimators:
            body |= {"estimator": estimators[0], "shadows": estimators[1:]}
        of = {"run": "r1", "step": 20, "draws": 20, **of}
        asked = MicroscopeConfig.model_validate({**body, "microscope": of})
        return gather(run_microscope(asked, control, folder=folder, plugin_dirs=plugins))

    return make


def test_every_draw_is_told_once_and_measures_at_powers_of_two(trained, see):
    seen = see(*trained())
    assert seen.ended.status == "finished"
    assert (seen.progress[-1].step, seen.progress[-1].steps) == (20, 20)
    for label in ("backprop", "forward_gradient"):
        for metric in ("draw/cosine", "draw/norm_ratio", "draw/along"):
            for layer in STAGES:
                assert list(seen.of(metric, layer, label)) == list(range(20))
        assert list(seen.of("draw/across", "", label)) == list(range(20))
        assert list(seen.of("relative_variance", "", label)) == [8, 16, 20]
        assert list(seen.of("draw/nonfinite", "", label).values()) == [0, 0, 0]
    assert ("draw/cosine", "head.linear.weight", "backprop") not in seen.points
    assert 20 in seen.of("relative_variance", "head.linear.weight", "forward_gradient")
    cosines = list(seen.of("draw/cosine", "", "backprop").values())
    assert cosines == pytest.approx([1.0] * len(cosines), rel=4 * 2.0**-52)  # a root and a quotient
    assert seen.facts.parameters == sum(row["count"] for row in seen.facts.layers)


def test_measures_follow_from_the_draws_and_stand_beside_their_law(trained, see):
    seen = see(*trained(), draws=512)
    draws = {
        m: np.array(list(seen.of(f"draw/{m}", "", "forward_gradient").values()))
        for m in ("cosine", "norm_ratio", "along", "across")
    }
    assert draws["along"] == pytest.approx(draws["cosine"] * draws["norm_ratio"])
    last = {m: seen.of(m, "", "forward_gradient")[512] for m in ("cosine", "norm_ratio")}
    assert last == pytest.approx({m: draws[m].mean() for m in last})
    law = seen.of("law/relative_variance", "", "forward_gradient")[512]
    error = seen.of("relative_variance_se", "", "forward_gradient")[512]
    assert abs(seen.of("relative_variance", "", "forward_gradient")[512] - law) < 5 * error
    # Signs: d ‖g‖² − ‖g‖² in all directions, nothing along g but what d leaves over.
    assert law == pytest.approx(seen.facts.parameters - 1)
    assert draws["across"].std() < law**0.5
    assert seen.of("law_check/relative_variance", "", "forward_gradient") == dict.fromkeys(
        (64, 128, 256, 512), 1.0
    )
    assert ("law_check/cosine", "", "forward_gradient") not in seen.points
    assert seen.of("verdict/biased", "", "forward_gradient") == {512: 0.0}
    assert [e.kind for e in seen.events] == ["verdict", "verdict"]


SPSA = {"name": "spsa"}


def test_an_oracle_sees_the_same_draws(trained, see, monkeypatch):
    run, folder = trained()
    of = {"estimators": [FORWARD, {"name": "activity_forward_gradient"}, SPSA], "draws": 520}
    honest = see(run, folder, **of)
    monkeypatch.delattr(weight_draws, "_pushed_forward")  # nothing is pushed forward
    oracle = see(run, folder, source="oracle", **of)
    assert oracle.ended.status == "finished"
    assert oracle.of("draw/oracle", "", "forward_gradient") == {0: 1.0}
    assert oracle.of("draw/oracle", "", "spsa") == {0: 0.0}
    told = [e.text for e in oracle.events if e.kind == "source"]
    assert told == ["spsa: no oracle, so the draws are the estimator's own"]
    assert not any(e.kind == "source" for e in honest.events)
    assert {key[0] for key in oracle.points.keys() - honest.points.keys()} == {"draw/oracle"}
    for key, points in honest.points.items():
        near = pytest.approx(points, rel=1e-3, abs=1e-4, nan_ok=True)
        assert oracle.points[key] == near, key


def test_a_sweep_says_at_which_value_there_is_no_oracle(trained, see):
    run, folder = trained()
    sweep = {"field": "combine", "values": ["mean", "orthogonal"]}
    of = {"estimators": [FORWARD], "draws": 16, "sweep": sweep}
    honest, oracle = (see(run, folder, source=s, **of) for s in ("honest", "oracle"))
    assert oracle.of("sweep/draw/oracle", "", "forward_gradient") == {0: 1.0, 1: 0.0}
    told = [e.text for e in oracle.events]
    assert told == [
        "forward_gradient: no oracle at combine orthogonal, so the draws are the estimator's own"
    ]
    for metric in ("sweep/cosine", "sweep/relative_variance"):
        both = [seen.of(metric, "", "forward_gradient") for seen in (honest, oracle)]
        assert both[1] == pytest.approx(both[0], rel=1e-3)


def test_the_same_seed_sees_the_same_and_another_draws_anew(trained, see):
    run, folder = trained()
    first, again, other = (see(run, folder, seed=s).curve() for s in (3, 3, 4))
    assert first == again
    assert first.keys() == other.keys()
    assert first["cosine", "", "forward_gradient"] != other["cosine", "", "forward_gradient"]
    assert first["exact/norm", "", ""] == other["exact/norm", "", ""]


@pytest.mark.parametrize("step", [0, 20])
def test_the_batch_and_weights_are_those_of_the_step(step, trained, see, gather):
    run, folder = trained(probe={"every": 20, "draws": 4})
    seen = see(run, folder, step=step)
    lived = gather(train(run.model_copy(update={"steps": 21})))
    for layer in ("", "hidden1", "head.linear.bias"):
        norm = seen.of("exact/norm", layer)[0]
        assert norm == pytest.approx(lived.of("exact/norm", layer)[step])
    shadow = ("cosine", "", "forward_gradient")
    four = see(run, folder, step=step, draws=4, seed=run.seed).of(*shadow)[4]
    assert four == pytest.approx(lived.of(*shadow)[step])  # a live probe's draws, and more


def test_a_sweep_stands_at_the_values_of_its_field(trained, see):
    run, folder = trained()
    sweep = {"field": "tangents", "values": [16, 1, 4]}
    seen = see(run, folder, estimators=[FORWARD], draws=200, sweep=sweep)
    found = seen.of("sweep/relative_variance", "", "forward_gradient")
    law = seen.of("sweep/law/relative_variance", "", "forward_gradient")
    assert list(found) == list(law) == [1, 4, 16]
    assert [law[1] / law[k] for k in law] == pytest.approx([1, 4, 16])
    assert list(found.values()) == pytest.approx(list(law.values()), rel=0.3)
    assert (seen.progress[-1].step, seen.progress[-1].steps) == (600, 600)
    assert not any(metric.startswith("draw/") for metric, _, _ in seen.points)


@pytest.mark.parametrize(
    ("field", "values", "steps"),
    [
        ("batch_size", [32, 8], [8, 32]),
        ("noise", ["normal", "sphere"], [0, 1]),
        ("inner.eps", [0.1, 0.001, 1], [0, 1, 2]),
    ],
)
def test_other_fields_that_can_be_swept(field, values, steps, trained, see):
    inner = {"name": "mean_of_draws", "inner": {"name": "spsa"}, "draws": 2}
    one = inner if field == "inner.eps" else FORWARD
    seen = see(*trained(), estimators=[one], draws=4, sweep={"field": field, "values": values})
    assert seen.ended.status == "finished", seen.ended.error
    series = [p for (m, layer, _), p in seen.points.items() if (m, layer) == ("sweep/cosine", "")]
    assert [list(p) for p in series] == [steps]


def test_a_small_batch_is_the_beginning_of_a_large_one(trained, see, monkeypatch):
    from backend.training.microscope import frozen_run

    batches = []
    at = frozen_run.FrozenRun.batch
    monkeypatch.setattr(
        frozen_run.FrozenRun, "batch", lambda s, n: batches.append(at(s, n)) or batches[-1]
    )
    see(*trained(), draws=2, sweep={"field": "batch_size", "values": [4, 16]})
    small, large = batches
    assert torch.equal(small.x, large.x[:4])


def test_what_an_estimator_learned_is_its_state_unless_its_file_changed(trained, see):
    run, folder = trained(estimator=DRIFTING)
    walked = format.read(path_of(folder, 20))["trainer"]["estimators"]["drifting"]["walk"][0]
    learned = see(run, folder)
    renewed = see(run, folder, fresh=["drifting"])
    unknown = see(run, folder, estimators=[{"name": "drifting", "channels": 2}])
    lengths = [
        seen.of("norm_ratio", "", label)[20]
        for seen, label in [(learned, "drifting"), (renewed, "drifting")]
    ]
    assert abs(walked) > 0
    assert lengths[0] != 1
    assert lengths[1] == 1  # the walk begins at 0
    assert [e.kind for e in learned.events] == []
    assert "another file" in renewed.events[0].text
    assert "drifting(channels=2): not in the run" in unknown.events[0].text


def test_draws_that_are_not_finite_are_counted_and_left_out(trained, see, plugins):
    (plugins[0] / "broken.py").write_text(BROKEN)
    seen = see(*trained(), estimators=[{"name": "broken"}], draws=40)
    lost = seen.of("draw/nonfinite", "", "broken")[40]
    assert 5 < lost < 35
    cosines = np.array(list(seen.of("draw/cosine", "", "broken").values()))
    assert np.isnan(cosines).sum() == lost
    assert seen.of("cosine", "", "broken")[40] == 1
    assert not np.isnan(list(seen.of("draw/cosine", "hidden1", "broken").values())).any()


def test_a_gradient_of_zero_has_no_direction(trained, see):
    run, folder = trained()
    step = path_of(folder, 20)
    _rewrite(step, lambda name, t: torch.zeros_like(t) if "head" in name else t)
    seen = see(run, folder)
    assert seen.of("exact/norm", "hidden1")[0] == 0
    for metric in ("draw/cosine", "draw/norm_ratio", "draw/along"):
        assert np.isnan(list(seen.of(metric, "hidden1", "forward_gradient").values())).all()


def _rewrite(path, change):
    with safe_open(path, framework="pt") as file:
        held, words = {n: file.get_tensor(n) for n in file.keys()}, file.metadata()  # noqa: SIM118
    words.pop("sha256")  # as in a checkpoint of an earlier version
    save_file({name: change(name, t) for name, t in held.items()}, path, words)


def _flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "the checkpoint of step 20 is gone"),
        (lambda path: path.write_bytes(b"x" * 100), "of step 20 is damaged or cut short (100"),
        (lambda path: _flip(path, -1), "of step 20 is damaged or cut short"),
        (
            lambda path: _rewrite(path, lambda n, t: t[:1] if n.endswith(BIAS) else t),
            "is of another network than the run's configuration describes (head.linear.bias: (1,), "
            "the network has (2,)): the lab has changed since",
        ),
    ],
)  # fmt: skip
def test_a_checkpoint_that_is_of_no_use_says_why(spoil, said, trained, see):
    run, folder = trained()
    spoil(path_of(folder, 20))
    seen = see(run, folder)
    assert seen.ended.status == "failed"
    assert said in seen.ended.error
    assert "Traceback" not in seen.ended.error


@pytest.mark.parametrize(("order", "status"), [("cancel", "cancelled"), ("stop", "stopped")])
@pytest.mark.parametrize("sweep", [None, {"field": "batch_size", "values": [4, 8]}])
def test_it_ends_between_two_draws_when_told(order, status, sweep, trained, see):
    run, folder = trained()
    control = Control()
    control.update(cancel=order == "cancel", stop=order == "stop")
    seen = see(run, folder, control, draws=100_000, sweep=sweep)
    assert seen.ended.status == status
    assert seen.progress[-1].step < 100


def test_it_can_be_paused(trained, plugins):
    run, folder = trained()
    control = Control(run_until=5)
    of = {"run": "r1", "step": 20, "draws": 20}
    asked = MicroscopeConfig.model_validate({**run.model_dump(), "microscope": of})
    statuses = []
    for record in run_microscope(asked, control, folder=folder, plugin_dirs=plugins):
        if isinstance(record, Progress):
            statuses.append(record.status)
            if record.status == "paused":
                control.update()
    assert statuses.count("paused") == 1
    assert statuses[-1] == "running"

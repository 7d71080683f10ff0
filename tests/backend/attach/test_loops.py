"""The many forms of a loop: wrapped modules, precisions, modes, batches; served or refused."""

import numpy as np
import pytest
import torch
from torch import distributed, nn

import gradlab
from backend.attach.session import OtherRank
from backend.attach.user_network import UserNetwork
from estimators.core.contract import UnsupportedError

ESTIMATORS = [gradlab.Backprop(), gradlab.ForwardGradient(), gradlab.SPSA()]
LOSS = nn.CrossEntropyLoss()


@pytest.fixture
def measured(lab):
    """Steps over batches; the measures as {(metric, layer, estimator): values}."""

    def measured(model, *batches, loss=LOSS, estimators=ESTIMATORS, **more):
        with gradlab.attach(
            model, loss, estimators, draws=3, every=1, home=lab.home.path, **more
        ) as run:
            for step, batch in enumerate(batches):
                run.step(step, batch)
        lab.attached.look()
        return {
            (s.metric, s.layer, s.estimator): [
                value for _, value in lab.points(run.id, s.metric, s.layer, s.estimator)
            ]
            for s in lab.store.series(run.id)
            if s.estimator
        }

    return measured


def test_a_compiled_module_is_measured_uncompiled(measured, net, batch):
    want = measured(net, batch)
    outside = torch.compile(net, backend="eager")
    assert measured(outside, batch) == want
    inside = nn.Sequential(torch.compile(net[0], backend="eager"), *net[1:])
    got = measured(inside, batch)
    assert got["cosine", "", "spsa"] == want["cosine", "", "spsa"]
    net.compile(backend="eager")
    assert measured(net, batch)["cosine", "", "spsa"] == want["cosine", "", "spsa"]


@pytest.fixture
def group(tmp_path):
    """This process as one that trains alone, in a group of processes."""
    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1
    )
    yield
    distributed.destroy_process_group()


def test_a_distributed_module_is_measured_without_its_wrapper(measured, net, batch, group):
    want = measured(net, batch)
    assert measured(nn.parallel.DistributedDataParallel(net), batch) == want


def test_of_several_processes_the_first_reports(net, monkeypatch, tmp_path):
    monkeypatch.setattr("backend.attach.entry.rank", lambda: 1)
    with gradlab.attach(net, LOSS, ESTIMATORS, home=tmp_path) as run:
        run.step(0, "anything")
        run.log({"loss": 1.0})
    assert isinstance(run, OtherRank)
    assert (run.id, run.cancelled, run.overhead) == ("", False, 0.0)
    assert list(tmp_path.iterdir()) == []


def test_several_processes_are_never_kept_waiting(lab, net, monkeypatch):
    with gradlab.attach(net, LOSS, home=lab.home.path) as run:
        monkeypatch.setattr("backend.attach.session.is_shared", lambda: True)
        run._control.update(run_until=0, cancel=True)
        run.step(0)
        assert run.cancelled, "the script decides, for all processes together"


def test_what_no_process_can_measure_alone_is_refused(net, monkeypatch, tmp_path):
    class FullyShardedDataParallel(nn.Sequential):
        pass

    with pytest.raises(UnsupportedError, match=r"sharded over processes \(FSDP\)"):
        gradlab.attach(FullyShardedDataParallel(net), LOSS, ESTIMATORS, home=tmp_path)
    monkeypatch.setattr("backend.attach.user_module.is_shared", lambda: True)
    synchronised = nn.Sequential(net, nn.SyncBatchNorm(3))
    with pytest.raises(UnsupportedError, match=r"1 is a SyncBatchNorm"):
        gradlab.attach(synchronised, LOSS, ESTIMATORS, home=tmp_path)
    with gradlab.attach(FullyShardedDataParallel(net), LOSS, home=tmp_path) as run:
        run.log({"loss": 1.0})


@pytest.mark.parametrize(
    "mode",
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    ],
)
def test_whatever_mode_the_loop_is_in(lab, measured, net, batch, mode):
    net, batch = net.float(), (batch[0].float(), batch[1])
    want = measured(net, batch)
    with mode():
        x, y = batch[0] + 0, batch[1] + 0  # made in that mode
        assert measured(net, (x, y)) == want


def test_accumulated_gradients_are_one_step_of_several_batches(lab, net, batch):
    x, y = batch
    with gradlab.attach(net, LOSS, ESTIMATORS, draws=2, every=1, home=lab.home.path) as run:
        for step in range(3):
            for part in range(4):
                run.step(step, (x[part * 4 :][:4], y[part * 4 :][:4]))
                run.log({"loss": 10 * step + part})
    lab.attached.look()
    assert [s for s, _ in lab.points(run.id, "cosine", "", "spsa")] == [0, 1, 2]
    assert lab.points(run.id, "train/loss") == [(0, 3.0), (1, 13.0), (2, 23.0)]
    assert lab.store.run(run.id).step == 3


def test_a_step_that_begins_with_a_log_is_measured(lab, net, batch):
    with gradlab.attach(net, LOSS, ESTIMATORS, draws=2, every=1, home=lab.home.path) as run:
        for step in range(3):
            run.log({"lr": 0.1}, step=step)
            run.step(step, batch)
    lab.attached.look()
    assert [s for s, _ in lab.points(run.id, "cosine", "", "spsa")] == [0, 1, 2]


def test_modes_and_batch_sizes_may_change(measured, batch):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)).double()
    x, y = batch
    whole = measured(net, (x, y), (x[:5], y[:5]), (x, y))
    net.eval()
    alone = measured(net, (x, y))
    assert len(whole["cosine", "", "spsa"]) == 3
    assert whole["norm_ratio", "", "backprop"] == pytest.approx([1, 1, 1], rel=1e-12)
    assert alone["cosine", "", "forward_gradient"] != whole["cosine", "", "forward_gradient"][:1]


def test_layers_may_be_replaced_and_frozen_and_dropout_may_begin(batch):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.0), nn.Tanh(), nn.Linear(8, 3)).double()
    network = UserNetwork(net, LOSS, [gradlab.Backprop()])

    def agrees():
        start = torch.default_generator.get_state()
        with network.undisturbed():
            loss = network.objective(batch)(network.params)
        torch.default_generator.set_state(start)
        return loss.item() == pytest.approx(LOSS(net(batch[0]), batch[1]).item(), rel=1e-12)

    assert agrees()
    net[0] = nn.Linear(6, 8).double()
    assert agrees()
    net[0].weight.requires_grad_(False)
    assert agrees()
    net[1].p = 0.5
    assert agrees()


def test_a_sum_over_the_batch_is_that_of_each_batch(lab, net, batch):
    x, y = batch
    loss = nn.CrossEntropyLoss(reduction="sum")
    with gradlab.attach(
        net, loss, [gradlab.Backprop()], draws=2, every=1, home=lab.home.path
    ) as run:
        run.step(0, (x, y))
        run.step(1, (x[:4], y[:4]))
    lab.attached.look()
    for (_, norm), part in zip(lab.points(run.id, "exact/norm"), (16, 4), strict=True):
        grads = torch.autograd.grad(loss(net(x[:part]), y[:part]), [*net.parameters()])
        assert norm == pytest.approx(torch.cat([g.flatten() for g in grads]).norm().item())


class Inner(nn.Module):
    """A network as of a language model: it takes a dictionary and returns its own loss."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, inputs, labels):
        return {"loss": LOSS(self.head(self.body(inputs).tanh()), labels)}


def test_a_loss_that_runs_the_model_by_itself(measured, batch):
    torch.manual_seed(0)
    model = Inner().double()
    as_dictionary = {"inputs": batch[0], "labels": batch[1]}
    got = measured(model, as_dictionary, loss=lambda model, batch: model(**batch)["loss"])
    plain = nn.Sequential(model.body, nn.Tanh(), model.head)
    want = measured(plain, batch)
    for metric in ("cosine", "scaled_error", "norm_ratio"):
        for label in ("backprop", "forward_gradient", "spsa"):
            assert got[metric, "", label] == pytest.approx(want[metric, "", label], rel=1e-9)
    assert got["norm_ratio", "head.weight", "backprop"] == pytest.approx([1])


def test_a_loss_of_the_model_may_have_pairs_too(measured, net, batch):
    def loss(model, batch):
        return LOSS(model(batch[0]), batch[1])

    got = measured(net, batch, loss=loss, loss_takes="model")
    assert got["cosine", "", "spsa"] == pytest.approx(measured(net, batch)["cosine", "", "spsa"])


@pytest.mark.parametrize(
    ("batch", "loss", "sentence"),
    [
        ({"x": 1}, lambda model, batch: model(batch), r"loss\(model, batch\) does not take this"),
        (
            torch.ones(4, 6),
            LOSS,
            r"^batch is one tensor, torch.float32 \(4, 6\), which is no pair of tensors, so that it"
            r" went to loss\(model, batch\); .*\. A pair of tensors \(x, y\) goes to loss\(out",
        ),
        (
            {"x": torch.ones(4, 6), "y": 1},
            LOSS,
            r"^batch is a dict of 2 \('x': torch.float32 \(4, 6\), 'y': an int\), which is no pair",
        ),
        ([torch.ones(4, 6)] * 3, LOSS, r"^batch is a list of 3 \(torch.float32 \(4, 6\), torch"),
        ("text", LOSS, r"^batch is a str, which is no pair of tensors"),
        ({"x": 1}, lambda model, batch: 3.0, r"gives float; one number, \(\), is allowed"),
        ((torch.ones(4, 5), torch.ones(4)), LOSS, r"the network does not take x of torch.float32"),
        (
            (torch.ones(4, 6, device="meta"), torch.ones(4)),
            LOSS,
            r"a tensor of the batch, \(4, 6\), is on the device meta",
        ),
    ],
)
def test_batches_that_do_not_fit_are_told_at_the_first_step(tmp_path, net, batch, loss, sentence):
    with (
        gradlab.attach(net, loss, ESTIMATORS, home=tmp_path) as run,
        pytest.raises((ValueError, TypeError), match=sentence),
    ):
        run.step(0, batch)


@pytest.mark.parametrize("batch", [torch.ones(4, 6), [torch.ones(4, 6)] * 3, {"x": 1}])
def test_a_loss_of_the_output_takes_pairs_alone(tmp_path, net, batch):
    with (
        gradlab.attach(net, LOSS, ESTIMATORS, home=tmp_path, loss_takes="output") as run,
        pytest.raises(TypeError, match=r"; a pair of tensors \(x, y\) is allowed for loss\(output"),
    ):
        run.step(0, batch)


def test_a_loss_of_the_model_that_refuses_the_batch_is_told_plainly(tmp_path, net):
    with (
        gradlab.attach(net, LOSS, ESTIMATORS, home=tmp_path, loss_takes="model") as run,
        pytest.raises(ValueError, match=r"^loss\(model, batch\) does not take this batch"),
    ):
        run.step(0, torch.ones(4, 6))


def test_a_probe_that_fails_later_is_told_and_the_loop_goes_on(lab, net, batch, caplog):
    with gradlab.attach(net, LOSS, ESTIMATORS, draws=2, every=1, home=lab.home.path) as run:
        run.step(0, batch)
        for step in range(1, 9):
            run.step(step, (batch[0][:, :3], batch[1]))
            run.log({"loss": step})
    lab.attached.look()
    told = [e.text for e in lab.store.events(run.id) if e.kind == "finding"]
    assert len(told) == 3
    assert told[0].startswith("the probe at step 1 failed: RuntimeError: mat1 and mat2 shapes")
    assert told[-1].endswith("after 3 in a row there are no more probes")
    assert len(lab.points(run.id, "train/loss")) == 8


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda run: run.step(2), r"step is 2; a whole number from the present one, 5, on"),
        (lambda run: run.step(-1), r"step is -1"),
        (lambda run: run.step(6.5), r"step is 6.5, a float; a whole number"),
        (lambda run: run.log({"x": torch.ones(3)}), r"'x' is a tensor of shape \(3,\); one number"),
        (lambda run: run.log({"x": "high"}), r"'x' is 'high', a str; a number is allowed"),
        (lambda run: run.log({"": 1}), r"'' is no name of a scalar"),
        (lambda run: run.step(True), r"^step is True, a bool; a whole number from .* is allowed$"),
        (lambda run: run.step(2**60), r"at most 1,099,511,627,775 is allowed"),
        (lambda run: run.log({"x": 1}, step=7.0), r"^step is 7.0, a float; a whole number from"),
        (lambda run: run.log("loss"), r"^values is 'loss', a str; a mapping such as {'loss': 0.5}"),
        (lambda run: run.log(None), r"^values is None, a NoneType; a mapping"),
        (lambda run: run.log({3: 1}), r"^3 is no name of a scalar; text of 1 to 190"),
        (lambda run: run.log({"\ud800": 1}), r"is no name of a scalar; it holds a control"),
        (lambda run: run.log({"x": "3"}), r"'x' is '3', a str; a number is allowed"),
        (lambda run: run.log({"x": 10**400}), r"'x' is 1000*, an int; a number is allowed"),
        (lambda run: run.log({"x": torch.tensor(1j)}), r"'x' is a tensor that is complex"),
        (lambda run: run.log({"x": torch.ones((), device="meta")}), r"'x' .* device meta"),
        (lambda run: run.close("done"), r"^outcome is 'done', a str; 'finished' or 'failed' or"),
        (lambda run: run.close("failed", 3), r"^error is 3, an int; text is allowed"),
    ],
)
def test_bad_calls_are_refused_in_a_sentence(tmp_path, net, call, sentence):
    with gradlab.attach(net, LOSS, home=tmp_path) as run:
        run.step(5)
        with pytest.raises((ValueError, TypeError), match=sentence):
            call(run)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"model": 3}, r"model is an int; an nn.Module is allowed"),
        ({"estimators": [gradlab.SPSA]}, r"SPSA is a class; write SPSA\(\)"),
        ({"draws": 1}, r"draws: one draw has no variance"),
        ({"budget": 2}, r"budget is 2; it must be at most 1"),
        ({"name": "two\nlines"}, r"control character"),
        ({"estimators": {"e" * 301: gradlab.SPSA()}}, r"^labels.0: .* at most 300"),
        ({"steps": 0}, r"^steps is 0; it must be at least 1$"),
        ({"steps": 10.0}, r"^steps is 10.0, a float; a whole number, or None, is allowed$"),
        ({"steps": True}, r"^steps is True, a bool; a whole number"),
        ({"seed": 1.0}, r"^seed is 1.0, a float; a whole number is allowed$"),
        ({"seed": -1}, r"^seed is -1; it must be at least 0$"),
        ({"draws": "16"}, r"^draws is '16', a str; a whole number is allowed$"),
        ({"every": 2.0}, r"^every is 2.0, a float; a whole number"),
        ({"budget": True}, r"^budget is True, a bool; a number is allowed$"),
        ({"budget": float("nan")}, r"^budget is nan; it must be a finite number$"),
        ({"buffer": -1}, r"^buffer is -1; it must be at least 1 byte$"),
        ({"buffer": 1e6}, r"^buffer is 1000000.0, a float; a whole number of bytes is allowed$"),
        ({"name": 3}, r"^name is 3, an int; text is allowed$"),
        ({"home": 3}, r"^home is 3, an int; a path is allowed$"),
        ({"url": 3}, r"^url is 3, an int; text is allowed$"),
        ({"token": 3}, r"^token is 3, an int; text is allowed$"),
        ({"loss": nn.CrossEntropyLoss}, r"^loss is the class CrossEntropyLoss; write CrossE"),
        ({"loss": "mse"}, r"^loss is 'mse', a str; a function is allowed$"),
        ({"loss_takes": "both"}, r"^loss_takes is 'both', a str; None or 'output' or 'model'"),
        ({"separable": 1}, r"^separable is 1, an int; None or True or False is allowed$"),
        ({"model": 3, "estimators": ()}, r"^model is an int; an nn.Module is allowed$"),
        ({"estimators": [gradlab.SPSA()] * 17}, r"^estimators has 17 entries; at most 16 are"),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(tmp_path, net, given, sentence):
    asked = {"model": net, "loss": LOSS, "estimators": ESTIMATORS, "home": tmp_path, **given}
    with pytest.raises((ValueError, TypeError), match=sentence):
        gradlab.attach(**asked)


def made_in_inference_mode(make):
    with torch.inference_mode():
        return make()


class OfTheSameShape(nn.Module):
    def __init__(self, buffer):
        super().__init__()
        self.inner = nn.Linear(6, 3)
        self.register_buffer("mean", buffer)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: made_in_inference_mode(lambda: nn.Linear(2, 2)),
            r"^the parameter weight was made in torch.inference_mode\(\), where .* outside of it$",
        ),
        (
            lambda: OfTheSameShape(made_in_inference_mode(lambda: torch.ones(3))),
            r"^the buffer mean was made in torch.inference_mode\(\)",
        ),
        (lambda: nn.Linear(2, 2, device="meta"), r"^the parameter weight is on the device meta"),
        (lambda: nn.LazyLinear(2), r"^the parameter weight has no shape yet.* run it on a batch"),
        (
            lambda: nn.ModuleDict({"n" * 300: nn.Linear(2, 2)}),
            r"^the parameter nnn\S+… has a name of 307 characters; at most 300 are kept$",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_models_that_cannot_be_measured_are_refused(tmp_path, make, sentence):
    with pytest.raises(ValueError, match=sentence):
        gradlab.attach(make(), LOSS, ESTIMATORS, home=tmp_path)
    assert not (tmp_path / "attached").exists()


def test_whole_numbers_of_any_type_are_steps(lab, net):
    types = {"steps": np.int64(9), "seed": np.int32(1), "draws": np.int8(4), "every": np.uint8(2)}
    with gradlab.attach(net, LOSS, home=lab.home.path, buffer=np.int64(10**6), **types) as run:
        with pytest.raises(ValueError, match=r"^step is -1; a whole number from 0 on is allowed$"):
            run.step(-1)
        run.step(np.int64(3), None)
        run.log({"loss": np.array([0.5])}, step=torch.tensor(4))
    lab.attached.look()
    assert lab.points(run.id, "train/loss") == [(4, 0.5)]
    assert lab.store.run(run.id).config["steps"] == 9


def test_scalars_of_other_steps_and_other_names_are_one_series(lab, net):
    """Some are logged at every step, some now and then, and one under both of its names."""
    with gradlab.attach(net, LOSS, home=lab.home.path) as run:
        for step in range(6):
            run.log({"loss": step}, step=step)
            if step % 2:
                run.log({"b": -step, "a": step / 2})
            if step == 3:
                run._flush()
                run.log({"train/loss": 30.0})
    lab.attached.look()
    losses = [(0, 0.0), (1, 1.0), (2, 2.0), (3, 30.0), (4, 4.0), (5, 5.0)]
    assert lab.points(run.id, "train/loss") == losses
    assert lab.points(run.id, "log/a") == [(1, 0.5), (3, 1.5), (5, 2.5)]
    assert lab.points(run.id, "log/b") == [(1, -1.0), (3, -3.0), (5, -5.0)]


def test_scalars_that_change_in_place_afterwards_keep_their_value(lab, net):
    with gradlab.attach(net, LOSS, home=lab.home.path) as run:
        total = torch.zeros(())
        for step in range(4):
            run.step(step)
            total += 1
            run.log({"total": total, "nan": float("nan"), "whole": step, "yes": True})
    lab.attached.look()
    assert [v for _, v in lab.points(run.id, "log/total")] == [1, 2, 3, 4]
    assert len(lab.points(run.id, "log/nan")) == 4


def test_a_loss_that_is_not_finite_hides_nothing(lab, net):
    with gradlab.attach(net, LOSS, home=lab.home.path) as run:
        for step in range(6):
            run.step(step)
            run.log({"loss": float("nan") if step == 2 else 1.0, "accuracy": 0.5})
    lab.attached.look()
    assert [s for s, _ in lab.points(run.id, "train/loss")] == [*range(6)]
    assert len(lab.points(run.id, "train/accuracy")) == 6

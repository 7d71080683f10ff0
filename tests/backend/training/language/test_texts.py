"""Data sets of tokens: windows and parts, the user's own text, a chain of known entropy."""

import itertools
import math

import pytest
import torch

from backend.catalogue import catalogue, validate
from backend.data_folders.folders import DataError
from backend.training.batches import Batches
from backend.training.datasets.characters import Characters
from backend.training.datasets.markov_text import MarkovText
from backend.training.evaluation import evaluation
from backend.training.memory.need import on_meta_device
from backend.training.networks.gpt import GPT
from estimators.core.token_loss import token_cross_entropy

STANDARD_ERRORS = 5


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADLAB_HOME", str(tmp_path))
    monkeypatch.delenv("GRADLAB_DATA", raising=False)

    def make(folder, **files):
        place = tmp_path / "datasets" / folder
        place.mkdir(parents=True)
        for name, content in files.items():
            content = content.encode() if isinstance(content, str) else content
            (place / f"{name}.txt").write_bytes(content)

    return make


def parts(dataset, seed=0):
    return list(vars(dataset.load(seed)).values())


@pytest.mark.parametrize("dataset", [Characters(context=20), MarkovText(examples=50)], ids=repr)
def test_the_targets_are_the_next_tokens(dataset):
    for part in parts(dataset):
        assert part.x.dtype == part.y.dtype == torch.int64
        assert part.x.shape == part.y.shape == (len(part.x), *dataset.shape)
        assert torch.equal(part.x[:, 1:], part.y[:, :-1])
        assert part.x.min() >= 0
        assert max(part.x.max(), part.y.max()) < dataset.classes
    assert len(parts(dataset)[0].x) == dataset.training_examples


def test_the_windows_of_a_text_are_its_parts_one_after_the_other(write):
    content = "".join(chr(0x4E00 + i) for i in range(1000))  # each character once
    write("mine", text=content)
    dataset = Characters("mine", context=7)
    joined = [
        torch.cat([part.x, part.y[:, -1:]], 1)[:, : dataset.context].flatten()
        for part in parts(dataset)
    ]
    assert [t.tolist() for t in joined] == [
        list(range(first, last)) for first, last in ((0, 798), (800, 898), (900, 998))
    ]
    targets = [set(part.y.flatten().tolist()) for part in parts(dataset)]
    seen = [set(t.tolist()) | y for t, y in zip(joined, targets, strict=True)]
    assert not seen[0] & seen[1]
    assert not seen[1] & seen[2]
    assert not seen[0] & seen[2]


def test_the_bundled_text_is_the_novel():
    dataset = Characters()
    assert dataset.classes == 73
    alphabet = dataset._text.alphabet
    first = "".join(alphabet[i] for i in dataset.load(0).train.x[:2].flatten())
    assert first.startswith("CHAPTER 1\n\nNo one who had ever seen Catherine Morland")
    assert "431,895 characters" in dataset.description


def test_files_of_a_folder_follow_each_other_by_name(write):
    write("two", b="b" * 60, a="a" * 60)
    dataset = Characters("two", context=3)
    assert dataset.classes == 3  # a, b and the line break between the files
    assert parts(dataset)[0].x[0].tolist() == [1, 1, 1]


def test_a_text_that_changes_is_read_again(write, tmp_path):
    write("mine", text="ab" * 50)
    assert Characters("mine", context=4).classes == 2
    (tmp_path / "datasets" / "mine" / "text.txt").write_text("abc" * 50)
    assert Characters("mine", context=4).classes == 3


@pytest.mark.parametrize(
    ("folder", "files", "context", "said"),
    [
        ("mine", {}, 4, "folder is 'mine', which has no text"),
        ("../mine", None, 4, "it must be a name of letters"),
        ("mine", {"text": b"\xff\xfeab" * 50}, 4, r"text.txt is not text in UTF-8 \(byte 0\)"),
        ("mine", {"text": "ab" * 50}, 10, "context is 10; the shortest part .* has 10 characters"),
        ("mine", {"text": ""}, 4, "the shortest part of the text has 0 characters"),
        (
            "mine", {"text": "".join(map(chr, range(0x4E00, 0x4E00 + 5000)))}, 4,
            "5,000 different characters",
        ),
    ],
)  # fmt: skip
def test_a_text_that_cannot_be_used_is_refused_in_a_sentence(write, folder, files, context, said):
    if files is not None:
        write(folder, **files)
    with pytest.raises(DataError, match=said):
        Characters(folder, context=context)


def test_the_form_offers_the_texts_that_there_are(write):
    write("mine", text="ab" * 500)
    (entry,) = [e for e in catalogue([])["datasets"] if e["name"] == "characters"]
    assert entry["schema"]["properties"]["folder"]["enum"] == ["", "mine"]
    config = {"dataset": {"name": "characters", "folder": "other"}, "network": {"name": "gpt"}}
    (error,) = validate({**config, "estimator": {"name": "backprop"}, "steps": 1}, [])["errors"]
    assert error["loc"] == ["dataset", "folder"]
    assert "has the texts mine" in error["msg"]


# --- the Markov chain ---


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_floor_is_the_entropy_of_each_token_given_those_before_it(order):
    """By the probabilities of all texts."""
    dataset = MarkovText(symbols=3, order=order, context=4, examples=20)
    table, stationary = dataset._chain
    assert stationary.sum().item() == pytest.approx(1, abs=1e-12)
    probability = {}
    for text in itertools.product(range(3), repeat=5):
        p = stationary[text[:order]].item()
        for t in range(order, 5):
            p *= table[text[t - order : t + 1]].item()
        probability[text] = p
    entropy = [0.0] * 6
    for length in range(1, 6):
        marginal = dict.fromkeys(itertools.product(range(3), repeat=length), 0.0)
        for text, p in probability.items():
            marginal[text[:length]] += p
        entropy[length] = -sum(p * math.log(p) for p in marginal.values() if p)
    assert dataset.floor == pytest.approx((entropy[5] - entropy[1]) / 4, abs=1e-9)


def test_the_chain_s_own_probabilities_have_the_floor_as_their_loss():
    dataset = MarkovText(symbols=8, order=1, examples=5000)
    part = dataset.load(0).train
    output = dataset._chain.next.log()[part.x]  # (N, T, S)
    losses = token_cross_entropy(output, part.y)
    error = losses.std().item() / len(losses) ** 0.5
    assert abs(losses.mean().item() - dataset.floor) < STANDARD_ERRORS * error


@pytest.mark.parametrize("order", [2, 3])
def test_the_text_follows_the_table(order):
    dataset = MarkovText(symbols=4, order=order, examples=4000, context=40)
    x = dataset.load(0).train.x
    windows = x.unfold(1, order + 1, 1).flatten(0, 1)  # (M, order + 1)
    powers = 4 ** torch.arange(order, -1, -1)
    counts = (windows * powers).sum(1).bincount(minlength=4 ** (order + 1)).view(-1, 4).double()
    total, p = counts.sum(1, keepdim=True), dataset._chain.next.reshape(-1, 4)
    # Overlapping windows of one state are nearly independent draws of the next symbol.
    error = (p * (1 - p) / total.clamp_min(1)).sqrt()
    off = (counts / total.clamp_min(1) - p).abs()
    assert (off <= STANDARD_ERRORS * error + 10 / total.clamp_min(1)).all()
    share = total.flatten() / total.sum()
    assert (share - dataset._chain.stationary.flatten()).abs().max() < 0.02


def test_the_seed_draws_the_text_and_the_fields_the_chain():
    dataset = MarkovText(examples=50)
    same, other = dataset.load(0), dataset.load(1)
    assert torch.equal(same.train.x, dataset.load(0).train.x)
    assert not torch.equal(same.train.x, other.train.x)
    assert torch.equal(dataset._chain.next, MarkovText(examples=20)._chain.next)
    assert [len(p.x) for p in vars(same).values()] == [40, 5, 5]


# --- what reads tokens ---


def test_the_loss_of_an_example_is_the_mean_over_its_positions():
    output = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0)).double()
    y = torch.randint(4, (3, 5), generator=torch.Generator().manual_seed(1))
    expected = -output.log_softmax(2).gather(2, y.unsqueeze(2)).squeeze(2).mean(1)
    assert torch.allclose(token_cross_entropy(output, y), expected, rtol=1e-14)
    with pytest.raises(ValueError, match=r"\(3, 5, 4\) and \(3,\)"):
        token_cross_entropy(output, y[:, 0])


def test_evaluation_counts_tokens(monkeypatch):
    """A model that says the token before: right at some positions; in several passes."""
    dataset = MarkovText(symbols=5, context=6, examples=300, order=1)
    split = dataset.load(0)

    class Repeats(torch.nn.Module):
        def forward(self, x):
            return 3.0 * torch.nn.functional.one_hot(x, 5).float()

    whole = dict(evaluation.Evaluation(Repeats(), split, 10, 8, dataset.losses).last())
    test = split.test
    assert whole["test/accuracy"].item() == pytest.approx((test.x == test.y).float().mean().item())
    loss = token_cross_entropy(Repeats()(test.x), test.y).mean().item()
    assert whole["test/loss"].item() == pytest.approx(loss, rel=1e-6)
    assert whole["test/bits_per_token"].item() == pytest.approx(loss / math.log(2), rel=1e-6)
    monkeypatch.setattr(evaluation, "CPU_NUMBERS", 6 * 7 * evaluation.TOKEN_NUMBERS)
    parted = dict(evaluation.Evaluation(Repeats(), split, 10, 8, dataset.losses).last())
    assert {k: v.item() for k, v in parted.items()} == pytest.approx(
        {k: v.item() for k, v in whole.items()}, rel=1e-6
    )


def test_batches_and_the_meta_device_have_the_types_of_the_data():
    dataset = MarkovText(examples=50)
    x, y = Batches(dataset.load(0).train, 8, 0).at(3)
    chain = on_meta_device(GPT(width=8, heads=2), dataset, _cross_entropy(), 8)
    assert (chain.x.shape, chain.x.dtype) == (x.shape, x.dtype)
    assert (chain.y.shape, chain.y.dtype) == (y.shape, y.dtype)


def _cross_entropy():
    from backend.training.losses.cross_entropy import CrossEntropy

    return CrossEntropy()


NUMBERS = ("bacho_cnn", "cnn", "implicit_conv", "implicit_mlp", "local_mixer", "mlp", "resnet")


@pytest.mark.parametrize("network", [*NUMBERS, "implicit_multiscale", "point"])
def test_other_networks_refuse_tokens(network):
    said = errors(dataset={"name": "characters"}, network={"name": network})
    assert said == {
        "network": f"{network} takes numbers, and an example of this data set is 64 tokens of a "
        "text; networks that take it: gpt"
    }


@pytest.mark.parametrize("dataset", ["digits", "two_moons", "surface"])
def test_gpt_refuses_numbers(dataset):
    said = errors(dataset={"name": dataset}, network={"name": "gpt"})
    assert said["network"].startswith("gpt takes tokens, as the data set characters has them; ")
    assert "gpt" not in said["network"].rpartition("networks that take it")[2]


def test_info_nce_refuses_tokens():
    said = errors(
        dataset={"name": "characters"}, network={"name": "gpt"}, loss={"name": "info_nce"}
    )
    assert "its loss is cross_entropy" in said["loss"]


def errors(**config):
    run = {**config, "estimator": {"name": "backprop"}, "steps": 1}
    return {".".join(e["loc"]): e["msg"] for e in validate(run, [])["errors"]}

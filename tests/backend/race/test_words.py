"""The race's sentences: each says no more than what was measured up to its step."""

import pytest

from backend.race import words
from backend.race.measured import BLOCK, Loss, Measured, Reading, Track, measure
from backend.race.preset import preset
from backend.race.recording import recording
from backend.race.story import story

LABELS = preset().labels
LAYERS = [each.name for each in preset().layers]


def measured(probes=8, layers=None, unbiased=(), losses=(2.5, 1.0), drives=None):
    """All exact but those in `layers`: {label: values of the three layers, at each probe or at
    all}."""
    tracks = {}
    for label in LABELS:
        each = (layers or {}).get(label, [1.0, 1.0, 1.0])
        rows = each if isinstance(each[0], list) else [each] * probes
        whole = [sum(row) / len(row) for row in rows]
        by_layer = {name: [row[at] for row in rows] for at, name in enumerate(LAYERS)}
        tracks[label] = Track(whole, [0.0] * probes, by_layer)
    loss = list(losses)
    return Measured(
        [32 * at for at in range(probes)],
        tracks,
        Loss(loss, loss, loss),
        Reading([0.5] * probes, []),
        dict.fromkeys(unbiased, True),
        drives or [(0, "forward_gradient")],
    )


def said(label, **given):
    return words.of_estimator(preset(), measured(**given), label)[-1][1]


@pytest.mark.parametrize(
    ("layers", "unbiased", "sentence"),
    [
        ([1.0, 1.0, 1.0], False, "Equals the exact gradient in every layer."),
        ([-0.1, 0.04, 1.0], False, "Right in the head only."),
        ([0.005, 0.005, 0.01], True, "Right on average, lost in one draw."),
        ([0.1, 0.2, 0.3], True, "Right on average, partly right in one draw."),
        ([0.1, 0.2, 1.0], True, "Right on average; one draw is exact in the head only."),
        ([0.01, 0.02, 0.03], False, "Points sideways."),
    ],
)
def test_an_estimator_is_told_by_its_layers(layers, unbiased, sentence):
    label = "fdfa"
    given = {"layers": {label: layers}, "unbiased": (label,) if unbiased else ()}
    assert said(label, **given) == sentence


def test_learned_feedback_is_said_to_arrive_once_it_stays():
    swings = [0.1, 0.95, 0.2, 0.95, 0.95, 0.95, 0.95, 0.95]
    rows = [[value, value, value] for value in swings]
    assert said("fdfa", layers={"fdfa": rows}) == "Its feedback has learned the way, in 96 steps."


def test_the_alignments_are_not_judged_before_five_probes():
    few = words.of_alignments(preset(), measured(probes=3))
    assert few[-1][1] == "Too early to say: 3 of 5 probes."


def test_the_best_and_the_worst_are_named_and_whose_head_is_exact():
    layers = {
        "fdfa": [0.9, 0.9, 1.0],
        "direct_feedback_alignment": [0.0, 0.0, 1.0],
        "activity_forward_gradient": [0.1, 0.1, 1.0],
        "forward_gradient": [0.005, 0.005, 0.005],
    }
    sentence = words.of_alignments(preset(), measured(layers=layers))[-1][1]
    assert sentence == (
        "FDFA points 93 % along, forward gradient 0.5 %; the others compute the head exactly."
    )
    layers["direct_feedback_alignment"] = [0.0, 0.0, 0.9]
    sentence = words.of_alignments(preset(), measured(layers=layers))[-1][1]
    assert sentence == "FDFA points 93 % along, forward gradient 0.5 %."


@pytest.mark.parametrize(
    ("losses", "drives", "sentence"),
    [
        ([2.5] * 3, [(0, "forward_gradient")], "Too early to say: 48 of 80 steps."),
        (
            [2.5, 2.4, 2.3, 2.2, 2.1, 2.0],
            [(0, "forward_gradient")],
            "Forward gradient took the loss from 2.5 to 2 nats in 96 steps.",
        ),
        (
            [2.5] * 5 + [2.0, 1.5, 1.0, 0.5, 0.25],
            [(0, "forward_gradient"), (80, "fdfa")],
            "Forward gradient gained 0 nats in 80 steps, FDFA 1.8 in 80.",
        ),
        (
            [2.0] * 5 + [2.0, 2.5, 3.0, 3.5, 4.0],
            [(0, "fdfa"), (80, "forward_gradient")],
            "FDFA gained 0 nats in 80 steps, forward gradient lost 2 nats in 80.",
        ),
        (
            [2.5] * 5 + [2.0, None],
            [(0, "forward_gradient"), (80, "fdfa")],
            "Forward gradient gained 0 nats in 80 steps, FDFA made the loss infinite in 80.",
        ),
    ],
)
def test_the_loss_is_told_by_driver(losses, drives, sentence):
    losses = losses + [None] * (10 - len(losses)) if None in losses else losses
    given = measured(losses=losses, drives=drives)
    assert words.of_loss(preset(), given)[-1][1] == sentence


def test_sentences_are_short_and_begin_at_the_first_step():
    measured_there = recording()
    assert measured_there is not None
    told = story(preset(), measured_there.measured)
    says = [each["says"] for each in told["estimators"]] + [*told["takeaways"].values()]
    for each in says:
        steps = [step for step, _ in each]
        assert steps == sorted(set(steps))
        assert all(len(text) <= 90 for _, text in each)
    assert all(each["says"][0][0] == 0 for each in told["estimators"])


def test_a_probe_counts_once_every_estimator_was_measured():
    def read(key):
        metric, _, label = key
        if metric == "train/loss":
            return list(range(2 * BLOCK + 3)), [1.0] * BLOCK + [3.0] * BLOCK + [9.0] * 3
        if metric.startswith("validation/prediction"):
            return [0], [7.0]
        probes = 1 if label == "fdfa" else 2
        return [0, 32][:probes], [0.123456, float("nan")][:probes]

    there = measure(preset(), read, {}, [])
    assert there.steps == [0]
    assert there.tracks["backprop"].whole == [0.1235]
    assert there.reading.classes == [[7]] * preset().config.shown_examples
    assert there.reading.right == [0.1235]
    assert words.of_reading(there) == [(0, "12 % of unseen digits right.")]
    assert there.loss.mean == [1.0, 3.0], "the last three steps fill no block"
    assert there.loss.at(BLOCK) == 3.0
    assert there.loss.at(100) == 3.0

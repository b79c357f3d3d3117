"""Who shares experts with whom and who feeds whom: names by hand, and scores that do not move."""

import numpy as np
import pytest
from feature_rows import random_rows

from sensor.errors import UsageError
from sensor.model.encoding import encode
from sensor.model.schema import FeatureSchema
from trainer.models.wiring import SHARED, Wiring
from trainer.settings import Settings

keras = pytest.importorskip("keras", reason="needs the extra `trainer`")

from trainer.models.lmmoe import build, own_layers  # noqa: E402

TASKS = ("a_flood", "b_flood", "guess")
GROUPS = (("a_flood", "b_flood"), ("guess",))


def test_without_groups_all_share_all_and_with_groups_each_has_its_own():
    assert SHARED.experts_of(TASKS, 2) == dict.fromkeys(TASKS, (0, 1))
    own = Wiring(GROUPS).experts_of(TASKS, 2)
    assert own == {"a_flood": (0, 1), "b_flood": (0, 1), "guess": (2, 3)}


def test_a_task_comes_behind_those_that_feed_it():
    assert SHARED.order(TASKS) == TASKS
    chain = Wiring(feeds=(("guess", "b_flood"), ("b_flood", "a_flood")))
    assert chain.order(TASKS) == ("guess", "b_flood", "a_flood")
    assert chain.fed("a_flood") == ("b_flood",)


@pytest.mark.parametrize(
    ("wiring", "message"),
    [
        (Wiring((("a_flood",),)), "name each of a_flood, b_flood, guess in one group"),
        (Wiring((*GROUPS, ("guess",))), "in one group"),
        (Wiring((*GROUPS, ())), "in one group"),
        (Wiring(feeds=(("a_flood", "scan"),)), "feeds name scan"),
        (Wiring(feeds=(("a_flood", "guess"),) * 2), "named twice"),
        (Wiring(feeds=(("a_flood", "a_flood"),)), "a_flood feed each other in a circle"),
        (
            Wiring(feeds=(("a_flood", "guess"), ("guess", "a_flood"))),
            "a_flood, guess feed each other in a circle",
        ),
    ],
)
def test_what_does_not_fit_the_tasks_is_refused(wiring, message):
    with pytest.raises(UsageError, match=message):
        build(FeatureSchema(), TASKS, 1, 2, wiring=wiring)


def test_settings_take_what_files_hold_and_refuse_the_rest():
    settings = Settings(groups=[["a", "b"], ["c"]], feeds=[["a", "c"]])
    assert settings.wiring == Wiring((("a", "b"), ("c",)), (("a", "c"),))
    assert settings == Settings(groups=(("a", "b"), ("c",)), feeds=(("a", "c"),))
    for wrong in ({"groups": ["ab"]}, {"groups": 3}, {"groups": [[1]]}, {"feeds": [["a"]]}):
        with pytest.raises(UsageError, match="is not a list of"):
            Settings(**wrong)


def scores(model):
    x, c = encode(FeatureSchema(), random_rows(16, 30, seed=7)).expand()
    outputs = model.predict({"x": x, "c": c}, verbose=0)
    return {task: outputs[task][:, 0] for task in TASKS}


def moved(model, layers):
    """Tasks whose scores another weight of these layers changes."""
    before, weights = scores(model), model.get_weights()
    for layer in layers:
        layer.set_weights([each + 0.5 for each in layer.get_weights()])
    after = scores(model)
    model.set_weights(weights)
    return {task for task in TASKS if not np.array_equal(before[task], after[task])}


def test_an_expert_moves_the_scores_of_its_group_alone():
    keras.utils.set_random_seed(1)
    model = build(FeatureSchema(), TASKS, 2, 4, wiring=Wiring(GROUPS))
    assert sum(layer.name.startswith("expert_") for layer in model.layers) == 4
    for expert, group in ((0, GROUPS[0]), (1, GROUPS[0]), (2, GROUPS[1]), (3, GROUPS[1])):
        assert moved(model, [model.get_layer(f"expert_{expert}")]) == set(group)


def test_a_score_that_feeds_a_task_moves_it_and_not_the_other_way_round():
    keras.utils.set_random_seed(1)
    model = build(FeatureSchema(), TASKS, 2, 4, wiring=Wiring(feeds=(("guess", "a_flood"),)))
    assert moved(model, own_layers(model, "guess")) == {"guess", "a_flood"}
    assert moved(model, own_layers(model, "a_flood")) == {"a_flood"}
    assert moved(model, own_layers(model, "b_flood")) == {"b_flood"}

"""Explanations of the demonstration's incidents, and of what is missing or changed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from demo_evidence import BUNDLE, demo, explained

from sensor.errors import EvidenceError
from sensor.model.bundle import Bundle
from sensor.model.gates import Gates
from sensor.reporting.drawing import picture
from sensor.reporting.explanation import choose, document, explain
from sensor.reporting.explanation_occlusion import Occlusion
from sensor.reporting.explanation_text import text


@pytest.fixture(scope="module")
def bundle():
    return Bundle.read(BUNDLE)


@pytest.mark.parametrize("task", ["syn_dos", "ssl_renegotiation"])
def test_stored_scores_come_out_again_and_means_are_those_of_the_sampled_rows(bundle, task):
    evidence = demo()[task]
    explanation = explained(task)
    assert explanation.agrees is True
    assert explanation.check.startswith(f"All {len(evidence.rows)} scores come out again as they")
    occlusion, gates = Occlusion(bundle, task), Gates(bundle)
    places = [place for place, row in enumerate(evidence.rows) if "sampled" in row.why]
    assert len(places) == 32
    assert explanation.before == pytest.approx(evidence.scores[places].astype(float).mean())
    rows = [evidence.batch.take(slice(place, place + 1)) for place in places]
    for part in explanation.parts:
        after = np.mean([occlusion.without(row, part.fields) for row in rows])
        assert part.after == pytest.approx(after)
        for member in part.members:
            after = np.mean([occlusion.without(row, member.fields) for row in rows])
            assert member.after == pytest.approx(after)
    weights = gates.weights(evidence.batch.take(np.array(places)), task).mean(axis=0)
    assert explanation.gates == pytest.approx(weights.tolist())
    for each in explanation.rows:
        row = evidence.batch.take(slice(each.place, each.place + 1))
        assert each.without_packets == occlusion.without_packets(row)
        assert each.gates == pytest.approx(gates.weights(row, task)[0].tolist())
        assert each.again == each.row.score


def test_what_counted_most_is_the_part_without_which_the_score_is_least():
    explanation = explained("syn_dos")
    least = min(explanation.parts, key=lambda part: part.after)
    assert (least.name, round(least.after, 3)) == ("flow counts", 0.137)
    assert explanation.title == "TCP SYN flood: victim 10.77.202.8"
    assert explanation.verdict == (
        "What counted most: how many flows began about then; with values of benign traffic in "
        "that place the mean score would be 0.137, not >0.999 (an alarm from 0.5 on)."
    )


def test_where_no_part_carries_the_score_alone_it_says_so(bundle):
    """The same evidence under a threshold below everything that a part can bring about."""
    evidence = demo()["syn_dos"]
    multa = {**evidence.alert.multa, "threshold": 0.1}
    low = replace(evidence, alert=replace(evidence.alert, multa=multa))
    verdict = explain(low, bundle, 1).verdict
    assert verdict.startswith("No part carries the score alone: what counts most is how many flows")
    assert "0.137, not >0.999, which still is an alarm (from 0.1 on)" in verdict


def test_the_counting_rule_is_explained_by_its_count_and_formula():
    evidence = demo()["flow_rate"]
    before = evidence.batch.context.copy()
    explanation = explain(evidence, None, 2)
    assert (explanation.agrees, explanation.gates) == (True, ())
    counts = evidence.batch.context[:, 4].astype(float) + 1
    assert (counts / (counts + 30)).astype(np.float32).tolist() == evidence.scores.tolist()
    sampled = [place for place, row in enumerate(evidence.rows) if "sampled" in row.why]
    assert f"{int(np.median(counts[sampled])):,} for a typical one" in explanation.verdict
    (part,) = explanation.parts
    assert part.after == pytest.approx(1 / 31)
    np.testing.assert_array_equal(evidence.batch.context, before)  # nothing was written to


def test_without_its_bundle_rows_are_shown_and_what_is_missing_is_said():
    evidence = demo()["syn_dos"]
    explanation = explain(evidence, None, 2)
    assert (explanation.agrees, explanation.parts, explanation.verdict) == (None, (), "")
    assert "iot-gateway 3 with the network 19ba96a7a1ae0919…, is not here" in explanation.check
    assert len(explanation.rows) == 2
    assert explanation.incident.startswith("1,494 TCP flows to 10.77.202.8 port 80 within 2.0 s.")


@pytest.mark.parametrize(
    ("change", "agrees", "says"), [(5e-4, True, "to 5e-04"), (0.3, False, "do NOT come out again")]
)
def test_scores_that_differ_are_told_by_how_much(bundle, change, agrees, says):
    evidence = demo()["syn_dos"]
    highest = int(evidence.scores.argmax())
    rows = list(evidence.rows)
    rows[highest] = replace(rows[highest], score=rows[highest].score - change)
    explanation = explain(replace(evidence, rows=tuple(rows)), bundle, 1)
    assert explanation.agrees is agrees
    assert says in explanation.check


def test_the_highest_row_is_shown_first_and_rows_of_other_flows_before_more_of_one():
    for evidence in demo().values():
        places = choose(evidence, 64)
        assert sorted(places) == list(range(len(evidence.rows)))
        assert places[0] == int(evidence.scores.argmax())
        assert choose(evidence, 3) == places[:3]
    evidence = demo()["ssl_renegotiation"]
    flows = [evidence.rows[place].source_port for place in choose(evidence, 4)]
    assert len(set(flows)) == 4 == evidence.alert.multa["flows"]


def test_the_document_is_json_with_every_number():
    explanation = explained("ssl_renegotiation")
    told = json.loads(json.dumps(document(explanation), allow_nan=False))
    assert told["alert"]["alert"]["metadata"]["multa"]["alert_id"] == told["alert_id"]
    assert [part["name"] for part in told["parts"]] == [part.name for part in explanation.parts]
    assert told["rows_seen"] == 44
    row, first = told["rows"][0], explanation.rows[0]
    without = [packet["score_without"] for packet in row["packets"]]
    assert tuple(without) == first.without_packets
    assert row["score"] == row["score_again"] == first.row.score
    assert sum(told["gates"]) == pytest.approx(1, abs=1e-5)
    assert row["packets"][0]["tcp_flags"] == "PSH-ACK"


def test_rows_that_the_bundle_can_not_have_scored_are_refused(bundle):
    evidence = demo()["syn_dos"]
    other = replace(evidence, schema=replace(evidence.schema, decide_after_ms=2_000))
    with pytest.raises(EvidenceError, match="other features than"):
        explain(other, bundle, 1)
    later = replace(evidence, batch=evidence.batch.take(np.arange(len(evidence.rows))))
    later.batch.sequence_index[3] = 1
    with pytest.raises(EvidenceError, match="does not look at"):
        explain(later, bundle, 1)


def test_an_alert_that_says_nonsense_is_still_shown(bundle):
    evidence = demo()["flow_rate"]
    multa = {**evidence.alert.multa, "threshold": 1e308, "flows": 10**30, "role": "\x1b"}
    strange = replace(evidence, alert=replace(evidence.alert, multa=multa))
    explanation = explain(strange, bundle, 2)
    assert "\\x1b 10.77.202.8" in text(explanation, 80)
    assert '="inf' not in picture(explanation)
    assert len(explanation.rows) == 2

"""`multa-sensor explain`, as a shell would see it."""

import json
import shutil

import pytest
from command import assert_fails, sensor_command, sensor_process
from demo_evidence import BUNDLE, DEMO, demo, write_evidence

SYN, RULE = "b8cd1c436e9587d7", "9ad8b5581688120b"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept") / "evidence"
    write_evidence(DEMO, folder)
    return folder


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


def test_it_tells_what_happened_and_what_counted(capfd, kept):
    outcome = sensor_command(capfd, "explain", SYN[:6], "--evidence", kept)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith("\nTCP SYN flood: victim 10.77.202.8\n1,494 TCP flows to ")
    assert "What counted most: how many flows began about then;" in outcome.out
    assert "All 64 scores come out again as they were found" in outcome.out
    assert outcome.out.count("\n1. ") == outcome.out.count("\n3. ") == 1
    assert "\n4. " not in outcome.out
    assert "\x1b" not in outcome.out  # no terminal, no colour


def test_json_has_as_many_rows_as_asked_for_and_the_picture_goes_to_its_file(capfd, kept, tmp_path):
    picture = tmp_path / "why.svg"
    outcome = sensor_command(
        capfd, "explain", RULE, "--evidence", kept, "--json", "--rows", 64, "--picture", picture
    )
    assert outcome.status == 0
    told = json.loads(outcome.out)
    assert (told["alert_id"], told["agrees"]) == (RULE, True)
    assert len(told["rows"]) == told["rows_kept"] == len(demo()["flow_rate"].rows)
    assert picture.read_text().startswith("<svg xmlns=")
    drawn = sensor_command(capfd, "explain", RULE, "--evidence", kept, "--picture", "-")
    assert drawn.out.startswith("<svg xmlns=")
    assert drawn.out.count("<svg") == 1


def test_a_replay_leaves_what_it_explains(capfd, tmp_path):
    folder = tmp_path / "evidence"
    replayed = sensor_command(
        capfd, "replay", DEMO, "--evidence", folder, "-o", tmp_path / "alerts.json"
    )
    assert replayed.status == 0
    lines = (tmp_path / "alerts.json").read_text().splitlines()
    told = [json.loads(line)["alert"]["metadata"]["multa"] for line in lines]
    assert {each["alert_id"] for each in told} == {path.stem for path in folder.iterdir()}
    ends = [each["alert_id"] for each in told if each["event"] == "end"]
    for alert_id in ends:
        outcome = sensor_command(capfd, "explain", alert_id, "--evidence", folder, "--json")
        assert json.loads(outcome.out)["agrees"] is True


def test_the_bundle_is_found_where_models_says(capfd, kept, tmp_path, monkeypatch):
    monkeypatch.setattr("sensor.cli.explain.shipped_models", lambda: tmp_path / "none")
    without = sensor_command(capfd, "explain", SYN, "--evidence", kept)
    assert without.status == 0
    assert "is not here, so nothing can be said of what" in " ".join(without.out.split())
    store = tmp_path / "store" / "mine" / "bb033898e5f2"
    shutil.copytree(BUNDLE, store)
    found = sensor_command(
        capfd, "explain", SYN, "--evidence", kept, "--models", tmp_path / "store", "--json"
    )
    assert json.loads(found.out)["bundle"] == str(store)


def test_places_come_from_the_configuration(capfd, kept, tmp_path):
    config = tmp_path / "sensor.toml"
    config.write_text(f'[capture]\ninterfaces = ["lo"]\n[evidence]\ndirectory = "{kept}"\n')
    outcome = sensor_command(capfd, "explain", RULE, "--config", config, "--rows", 1)
    assert outcome.status == 0
    config.write_text('[capture]\ninterfaces = ["lo"]\n[evidence]\ndirectory = ""\n')
    assert_fails(
        sensor_command(capfd, "explain", RULE, "--config", config), 64, "keeps no evidence"
    )


def test_scores_that_do_not_come_out_again_are_status_87(capfd, kept, tmp_path):
    document = json.loads((kept / f"{SYN}.json").read_bytes())
    document["rows"][0]["score"] = 0.9
    (tmp_path / f"{SYN}.json").write_text(json.dumps(document))
    outcome = sensor_command(capfd, "explain", SYN, "--evidence", tmp_path)
    assert outcome.status == 87
    assert "do NOT come out again" in outcome.out
    assert outcome.err.count("\n") == 1
    assert "one of the two is not what it was" in outcome.err


def test_what_is_wrong_is_one_line(capfd, kept, tmp_path):
    def explain(*arguments):
        return sensor_command(capfd, "explain", *arguments)

    assert_fails(explain("dead", "--evidence", kept), 66, "no evidence of this alert")
    assert_fails(explain("../..", "--evidence", kept), 64, "is no alert_id")
    assert_fails(explain(SYN, "--evidence", tmp_path / "gone"), 66, "no such folder of evidence")
    assert_fails(explain(SYN, "--evidence", kept, "--rows", 0), 64, "--rows")
    both = explain(SYN, "--evidence", kept, "--json", "--picture", "-")
    assert_fails(both, 64, "can't both go to standard output")
    evidence = kept / f"{SYN}.json"
    over = explain(SYN, "--evidence", kept, "--picture", evidence)
    assert_fails(over, 64, f"{evidence}: is {evidence} already; choose another output")
    nowhere = explain(SYN, "--evidence", kept, "--picture", tmp_path / "no" / "why.svg")
    assert_fails(nowhere, 74, "the picture can't be written")
    (tmp_path / f"{SYN}.json").write_text("{}")
    assert_fails(explain(SYN, "--evidence", tmp_path), 87, "is no evidence that this version reads")


def test_a_terminal_that_knows_no_colour_or_letters_still_shows_it(kept):
    environment = {"PYTHONIOENCODING": "ascii", "COLUMNS": "80", "NO_COLOR": "1"}
    done = sensor_process("explain", SYN, "--evidence", kept, environment=environment)
    assert done.returncode == 0, done.stderr
    assert b"TCP SYN flood: victim 10.77.202.8" in done.stdout

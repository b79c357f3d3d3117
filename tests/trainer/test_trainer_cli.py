"""The commands from recordings to a bundle, and one clear line for everything that can go wrong."""

import json
import os
import subprocess
import sys
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
from toy_recordings import toy_recording

import sensor
from sensor.model.bundle import Bundle
from sensor.model.verification import verify
from trainer.cli import COMMANDS, main
from trainer.runs import load as load_run
from trainer.tasks import NAMES

FITTING = ["--experts", "2", "--units", "8", "--epochs", "12", "--batch-size", "32"]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Four recordings, their dataset, and a run on it."""
    folder = tmp_path_factory.mktemp("work")
    for seed in range(4):
        toy_recording(folder / "recordings" / f"rec{seed}", seed)
    run("extract", folder / "recordings", "--out", folder / "dataset")
    parts = ["--validation", "rec2", "--test", "rec3"]
    run("train", "--dataset", folder / "dataset", "--out", folder / "run", *parts, *FITTING)
    return folder


def run(*arguments):
    """Exit status of the command line."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as leaving:
        return leaving.code or 0
    return 0


def test_help_and_version_need_no_tensorflow():
    program = (
        "import sys; from trainer.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as leaving: assert not leaving.code\n"
        "assert not {'tensorflow', 'keras', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
    )
    for arguments in (["-h"], ["--version"], *([name, "-h"] for name in COMMANDS)):
        answer = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        assert sensor.__version__ in answer.stdout or "Usage: multa-trainer" in answer.stdout


def test_every_option_has_a_help_line(capsys):
    for name in COMMANDS:
        assert run(name, "-h") == 0
        for line in capsys.readouterr().out.splitlines():
            words = line.split()
            if words and words[0].startswith("--"):
                assert len(words) > 1, (name, line)


def test_a_run_freezes_split_and_thresholds(work):
    found = load_run(work / "run")
    assert found.split.kind == "source"
    assert (found.split.train, found.split.validation) == (("rec0", "rec1"), ("rec2",))
    assert found.split.test == ("rec3",)
    assert found.settings.units == 8
    assert found.allowed == 0
    assert found.task_names == NAMES
    assert all(0.5 <= task.threshold < 1 for task in found.best.tasks)
    assert set(found.identities) == {"rec0", "rec1", "rec2", "rec3"}


def test_the_best_seed_is_the_one_whose_worst_task_finds_most(work):
    found = load_run(work / "run")
    (only,) = found.seeds
    assert all(0 <= recall <= 1 for recall in only.recalls)
    assert only.validation_loss == min(only.validation_losses)
    even = replace(only, seed=1, recalls=(0.8, 0.8, 0.8))
    lopsided = replace(only, seed=2, recalls=(1.0, 0.7, 1.0))
    worse = replace(even, seed=3, validation_losses=(9.0,) * only.best_epoch)
    assert replace(found, seeds=(lopsided, worse, even)).best == even


def test_evaluation_writes_a_table_figures_and_a_plot(work, capsys, tmp_path):
    arguments = ["--run", work / "run", "--dataset", work / "dataset", "--out", tmp_path / "e"]
    assert run("evaluate", *arguments) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("left-out sources: rec3")
    models = [line.split()[:2] for line in shown.splitlines()[2:]]
    assert models == [
        ["syn_dos", "lmmoe"],
        ["syn_dos", "trees"],
        ["syn_dos", "rule"],
        ["ssdp_flood", "lmmoe"],
        ["ssdp_flood", "trees"],
        ["ssdp_flood", "rule"],
        ["ssl_renegotiation", "lmmoe"],
        ["ssl_renegotiation", "trees"],
    ]
    document = json.loads((tmp_path / "e" / "evaluation.json").read_text())
    assert document["sources"] == ["rec3"]
    trees = document["models"]["trees"][0]
    assert [entry["attack_flows"] for entry in trees] == [600, 600, 10]
    assert trees[0]["roc_auc"] > 0.99
    assert 0 < document["share_of_patterns_seen_in_training"]["syn_dos"] < 1
    assert (tmp_path / "e" / "evaluation.png").read_bytes().startswith(b"\x89PNG")


def test_an_exported_bundle_proves_itself_and_says_where_it_comes_from(work, capsys):
    out = work / "models" / "toy"
    arguments = ["--run", work / "run", "--dataset", work / "dataset", "--out", out]
    assert run("export", *arguments, "--version", "7") == 0
    assert "toy 7, seed 0" in capsys.readouterr().out
    bundle = Bundle.read(out)
    verify(bundle)
    assert bundle.tasks == load_run(work / "run").best.tasks
    sources = bundle.manifest["provenance"]["sources"]
    assert [(each["name"], each["part"]) for each in sources] == [
        ("rec0", "train"),
        ("rec1", "train"),
        ("rec2", "validation"),
        ("rec3", "test"),
    ]
    assert set(bundle.manifest["metrics"]) == {"source_split", "parity"}
    held_out = bundle.manifest["histograms"]["syn_dos"]
    assert sum(held_out["attack"]) == 600
    assert str(work) not in json.dumps(bundle.manifest) + bundle.card
    assert "# toy 7" in bundle.card
    assert "| rec3 | test |" in bundle.card


def test_unchanged_recordings_are_not_read_again(work, capsys):
    assert run("extract", work / "recordings" / "rec1", "--out", work / "dataset") == 0
    assert capsys.readouterr().err == "rec1: unchanged\n"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["dig"], 64, "No such command 'dig'"),
        (["train"], 64, "Missing option '--dataset'"),
        (["train", "--dataset", "{}/none", "--out", "{}/r"], 66, "make a dataset with"),
        (["evaluate", "--run", "{}/none", "--dataset", "{}/dataset"], 66, "make a run with"),
        (["extract", "{}/none.pcap", "--out", "{}/d", "--benign"], 66, "none.pcap: No such file"),
        (["extract", "{}/recordings/rec0/capture.pcap", "--out", "{}/d"], 64, "--benign"),
        (["extract", "{}/recordings/rec0/labels.csv", "--benign", "--out", "{}/d"], 65, "labels"),
        (["extract", "{}/recordings/rec0", "--out", "/proc/d"], 74, "folder that can be written"),
        (
            ["train", "--dataset", "{}/dataset", "--out", "{}/r", "--test", "x"],
            66,
            "no source 'x'",
        ),
        (
            ["train", "--dataset", "{}/dataset", "--out", "{}/r", "--split", "time", "--test", "x"],
            64,
            "--split time",
        ),
        (
            ["evaluate", "--run", "{}/run", "--dataset", "{}/dataset", "--source", "rec0"],
            66,
            "no row that the run was not fitted or tuned to",
        ),
        (["recipe", "none", "--out", "{}/m"], 66, "none: No such file"),
    ],
)
def test_what_can_be_mended_is_one_line_with_its_own_status(
    work, capsys, arguments, status, message
):
    assert run(*(argument.format(work) for argument in arguments)) == status
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("multa-trainer: error: ")
    assert message in last


def test_bad_labels_are_named_by_file_and_line(work, tmp_path, capsys):
    capture = work / "recordings" / "rec0" / "capture.pcap"
    labels = tmp_path / "labels.csv"
    labels.write_text("# covered: syn_dos\nstart,end\n")
    assert run("extract", f"{capture}={labels}", "--out", tmp_path / "d") == 83
    assert f"{labels}:2: wrong header" in capsys.readouterr().err


def test_a_source_that_has_changed_since_the_run_is_refused(work, tmp_path, capsys):
    toy_recording(tmp_path / "rec3", 9)
    run("extract", tmp_path / "rec3", "--out", tmp_path / "d")
    assert run("evaluate", "--run", work / "run", "--dataset", tmp_path / "d") == 83
    assert "source rec3 has changed since the run" in capsys.readouterr().err


def test_a_missing_package_is_a_line_that_names_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.delitem(sys.modules, "trainer.cli.extract", raising=False)
    assert run("extract", "x", "--out", "y") == 71
    assert "tqdm is not installed; pip install 'multa[trainer]'" in capsys.readouterr().err


def test_an_interrupt_ends_with_130(monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("trainer.cli.commands.main", interrupt)
    assert run("train") == 130

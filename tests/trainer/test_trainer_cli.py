"""The commands from recordings to a bundle, and one clear line for everything that can go wrong."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
from toy_recordings import toy_recording

import sensor
from sensor.errors import BundleError
from sensor.model.bundle import Bundle
from sensor.model.verification import verify
from trainer.bundling import commit
from trainer.cli import COMMANDS, main
from trainer.comparison import compare
from trainer.datasets.dataset import load as load_dataset
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


def test_a_reader_that_closed_the_pipe_ends_a_command_quietly():
    reading, writing = os.pipe()
    os.close(reading)
    program = "import sys; from trainer.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", program, "lab", "scenarios"],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


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


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_the_commit_is_the_checkout_s_own_and_tells_of_changes(tmp_path):
    def git(*words):
        names = ["-c", "user.name=a", "-c", "user.email=a@example.net"]
        done = subprocess.run(
            ["git", *names, *words], cwd=tmp_path, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    inside = tmp_path / "venv"
    inside.mkdir()
    assert commit(tmp_path) == ""
    git("init", "-q")
    assert commit(tmp_path) == ""
    (inside / "file").write_text("as committed")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    (tmp_path / "untracked").write_text("")
    assert commit(tmp_path) == git("rev-parse", "HEAD")
    assert commit(inside) == ""
    (inside / "file").write_text("changed since")
    assert commit(tmp_path) == git("rev-parse", "HEAD") + "-dirty"


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
        (["train", "--dataset", "{}/dataset", "--out", "/proc/r"], 74, "can be written"),
        (
            ["train", "--dataset", "{}/dataset", "--out", "{}/r", "--seed", "1", "--seed", "1"],
            64,
            "a seed is named twice",
        ),
        (
            ["train", "--dataset", "{}/dataset", "--out", "{}/r", *(["--task", "syn_dos"] * 2)],
            64,
            "a task is named twice",
        ),
        (["train", "--dataset", "{}/dataset", "--out", "{}/r", "--seed", "-1"], 64, "range"),
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


def test_what_was_learnt_is_not_tested_under_another_name(work, tmp_path, capsys):
    """Its figures would be memorisation, called left out."""
    shutil.copytree(work / "recordings" / "rec0", tmp_path / "new-home")
    run("extract", tmp_path / "new-home", "--out", tmp_path / "d")
    assert run("evaluate", "--run", work / "run", "--dataset", tmp_path / "d") == 83
    assert "source new-home is the capture of rec0, from which" in capsys.readouterr().err


def test_a_dataset_of_another_schema_is_refused(work):
    found = load_run(work / "run")
    other = replace(found, schema=replace(found.schema, decide_after_ms=2000))
    with pytest.raises(BundleError, match="feature fingerprint"):
        compare(other, load_dataset([work / "dataset"]))


def test_traffic_without_attacks_is_evaluated_without_areas(work, tmp_path, capsys):
    toy_recording(tmp_path / "quiet", 11, attacks=False)
    run("extract", tmp_path / "quiet", "--out", tmp_path / "d")
    arguments = ["--run", work / "run", "--dataset", tmp_path / "d", "--out", tmp_path / "e"]
    assert run("evaluate", *arguments) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert {line[1] for line in lines} == {"lmmoe", "rule"}
    figures = json.loads((tmp_path / "e" / "evaluation.json").read_text())["models"]["lmmoe"][0]
    assert {(task["attack_flows"], task["roc_auc"], task["recall"]) for task in figures} == {
        (0, None, None)
    }
    assert figures[0]["flows"] > 50


def test_a_fit_whose_losses_are_no_numbers_is_refused(work, tmp_path, capsys):
    arguments = ["train", "--dataset", work / "dataset", "--out", tmp_path / "r"]
    arguments += ["--validation", "rec2", "--test", "rec3", "--seed", "3", "--epochs", "4"]
    assert run(*arguments, "--learning-rate", "1e30") == 64
    told = capsys.readouterr().err.splitlines()[-1]
    assert "seed 3: the loss of epoch" in told
    assert "is no number; lower the learning rate, which is 1e+30" in told
    assert not (tmp_path / "r" / "run.json").exists()


def test_one_task_may_be_learnt_from_recordings_without_the_others(work, tmp_path, capsys):
    for name in ("rec0", "rec1"):
        folder = tmp_path / name
        shutil.copytree(work / "recordings" / name, folder)
        lines = (folder / "labels.csv").read_text().splitlines()
        kept = [lines[0].replace("ssdp_flood,", "")]
        kept += [line for line in lines[1:] if ",ssdp_flood," not in line]
        (folder / "labels.csv").write_text("\n".join(kept) + "\n")
    run("extract", tmp_path / "rec0", tmp_path / "rec1", "--out", tmp_path / "d")
    arguments = ["train", "--dataset", tmp_path / "d", "--out", tmp_path / "r"]
    arguments += ["--validation", "rec1", *FITTING, "--epochs", "1"]
    assert run(*arguments) == 83
    assert "no row of train has ssdp_flood = 1" in capsys.readouterr().err
    assert run(*arguments, "--task", "syn_dos") == 0
    assert load_run(tmp_path / "r").task_names == ("syn_dos",)


def test_a_task_about_which_the_counting_rule_says_nothing_is_compared_without_it(work, tmp_path):
    arguments = ["--dataset", work / "dataset", "--task", "ssl_renegotiation"]
    parts = ["--validation", "rec2", "--test", "rec3"]
    run("train", *arguments, "--out", tmp_path / "r", *parts, *FITTING, "--epochs", "1")
    assert run("evaluate", "--run", tmp_path / "r", "--dataset", work / "dataset") == 0
    models = json.loads((tmp_path / "r" / "evaluation.json").read_text())["models"]
    assert set(models) == {"lmmoe", "trees"}


@pytest.fixture
def half(work, tmp_path):
    """A copy of the run, to be damaged."""
    shutil.copytree(work / "run", tmp_path / "half")
    return tmp_path / "half"


def test_a_run_that_is_half_there_is_named(work, half, tmp_path, capsys):
    weights, tflite = half / "seed-0.weights.h5", half / "seed-0.tflite"
    arguments = ["--run", half, "--dataset", work / "dataset"]
    export = ["export", *arguments, "--out", tmp_path / "bundle"]
    weights.write_bytes(b"no weights")
    assert run(*export) == 82
    assert f"{weights}: damaged" in capsys.readouterr().err
    weights.unlink()
    assert run(*export) == 66
    assert f"{weights}: No such file" in capsys.readouterr().err
    tflite.unlink()
    assert run("evaluate", *arguments) == 66
    assert f"{tflite}: No such file" in capsys.readouterr().err
    document = json.loads((half / "run.json").read_text())
    for damaged in ({**document, "seeds": []}, {**document, "split": 3}, {"format": 1}, []):
        (half / "run.json").write_text(json.dumps(damaged))
        assert run("evaluate", *arguments) == 82
        assert "run.json: damaged" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def test_an_interrupted_run_is_not_mixed_with_the_one_before(work, half, monkeypatch):
    (half / "evaluation.json").write_text("figures of the run before")

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("trainer.export.convert", interrupt)
    arguments = ["--dataset", work / "dataset", "--out", half, "--validation", "rec2"]
    assert run("train", *arguments, "--epochs", "1", "--experts", "1", "--units", "2") == 130
    assert not (half / "run.json").exists()
    assert not (half / "evaluation.json").exists()


def test_an_export_needs_all_sources_of_the_run(work, tmp_path, capsys):
    run("extract", work / "recordings" / "rec3", "--out", tmp_path / "d")
    arguments = ["--run", work / "run", "--dataset", tmp_path / "d"]
    assert run("export", *arguments, "--out", tmp_path / "b") == 66
    assert "the dataset lacks rec0, from which" in capsys.readouterr().err


def test_a_missing_package_is_a_line_that_names_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.delitem(sys.modules, "trainer.cli.extract", raising=False)
    assert run("extract", "x", "--out", "y") == 71
    assert "tqdm is not installed; install multa with its extra" in capsys.readouterr().err


def test_an_interrupt_ends_with_130(monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("trainer.cli.commands.main", interrupt)
    assert run("train") == 130

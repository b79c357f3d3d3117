"""Many recordings to one dataset: in order, resumed, in whatever executor."""

from concurrent.futures import Executor, Future

import pytest
from toy_recordings import toy_recording

from sensor.errors import LabelError, MissingInputError, UsageError
from sensor.model.schema import FeatureSchema
from trainer.cli import main
from trainer.datasets.collection import collect
from trainer.datasets.dataset import load
from trainer.datasets.extraction import CAPTURE, LABELS, Recording
from trainer.executors import executor
from trainer.tasks import NAMES


class Here(Executor):
    """Runs what is asked for when it is asked for, and counts."""

    def __init__(self):
        self.ran = []

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 -- as executors do
            future.set_exception(error)
        self.ran.append(args[0].name)
        return future


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    made = [toy_recording(folder / f"rec{seed}", seed, attacks=seed > 0) for seed in range(3)]
    return [Recording(each.name, each / CAPTURE, each / LABELS) for each in made]


def test_a_pool_and_one_process_make_the_same_dataset(recordings, tmp_path):
    collect(recordings, tmp_path / "here", FeatureSchema(), NAMES, Here())
    with executor(2) as pool:
        collect(recordings, tmp_path / "pool", FeatureSchema(), NAMES, pool)
    here, pooled = load([tmp_path / "here"]), load([tmp_path / "pool"])
    assert here.sources == pooled.sources
    assert [record.name for record in here.sources] == ["rec0", "rec1", "rec2"]
    assert (here.labels == pooled.labels).all()
    assert (here.batch.ip_length == pooled.batch.ip_length).all()


def test_what_was_added_before_an_error_stays_and_is_not_made_again(recordings, tmp_path):
    told = []
    missing = Recording("gone", tmp_path / "gone.pcap", None)
    with pytest.raises((MissingInputError, FileNotFoundError)):
        collect(
            [recordings[0], missing, recordings[1]],
            tmp_path / "ds",
            FeatureSchema(),
            NAMES,
            Here(),
            lambda recording, made: told.append((recording.name, made is not None)),
        )
    assert told == [("rec0", True)]
    told.clear()
    collect(
        recordings,
        tmp_path / "ds",
        FeatureSchema(),
        NAMES,
        Here(),
        lambda recording, made: told.append((recording.name, made is not None)),
    )
    assert told == [("rec0", False), ("rec1", True), ("rec2", True)]


def test_changed_labels_make_a_source_anew(recordings, tmp_path):
    collect(recordings[1:2], tmp_path / "ds", FeatureSchema(), NAMES, Here())
    benign = tmp_path / "labels.csv"
    benign.write_text(recordings[0].labels.read_text())
    changed = Recording("rec1", recordings[1].capture, benign)
    collect([changed], tmp_path / "ds", FeatureSchema(), NAMES, Here())
    assert not (load([tmp_path / "ds"]).labels == 1).any()


def test_the_command_takes_tasks_that_label_files_name_beside_the_shipped_ones(tmp_path, capsys):
    folder = toy_recording(tmp_path / "rec", 1)
    text = (folder / LABELS).read_text().replace("# covered: ", "# covered: scan,")
    (folder / LABELS).write_text(text.replace("tcp,syn_dos,1", "tcp,scan,1"))
    arguments = ["extract", str(folder), "--jobs", "1", "--out"]
    main([*arguments, str(tmp_path / "some"), "--task", "scan", "--task", "syn_dos"])
    assert "rows of attacks: scan 600, syn_dos 0" in capsys.readouterr().err
    assert load([tmp_path / "some"]).tasks == ("scan", "syn_dos")
    main([*arguments, str(tmp_path / "shipped")])
    assert load([tmp_path / "shipped"]).tasks == NAMES
    with pytest.raises(SystemExit) as refused:
        main([*arguments, str(tmp_path / "none"), "--task", "sacn"])
    assert refused.value.code == UsageError.exit_status


def test_one_capture_under_two_names_is_refused(recordings, tmp_path):
    again = Recording("again", recordings[0].capture, recordings[0].labels)
    with pytest.raises(LabelError, match=r"capture\.pcap: is the capture of rec0 once more"):
        collect([recordings[0], again], tmp_path / "ds", FeatureSchema(), NAMES, Here())

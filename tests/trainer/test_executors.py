"""Processes and a real Dask cluster: the same results, and every failure a line."""

import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from toy_recordings import toy_recording
from tuning_rows import SPLIT, TASKS, tuning_dataset

from sensor.errors import (
    HostError,
    InternalError,
    LabelError,
    MissingInputError,
    UsageError,
)
from trainer.cli import main
from trainer.datasets.dataset import load
from trainer.executors import executor, in_own_process
from trainer.settings import Settings
from trainer.tuning.algorithm1 import Candidate
from trainer.tuning.candidates import Material, train_candidate

ROOT = Path(__file__).parents[2]


def refuse(kind, line):
    raise kind(line)


def where():
    return os.getpid(), multiprocessing.parent_process() is not None


def threads():
    return os.environ["TF_NUM_INTRAOP_THREADS"], os.environ["TF_NUM_INTEROP_THREADS"]


def line_of(process, word):
    """Reads what a process says up to the line that has the word."""
    for line in process.stderr:
        if word in line:
            return line
    raise AssertionError(f"no line with {word!r}; exited with {process.wait()}")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Address of a scheduler with two workers, in processes of their own."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests", Path(__file__).parent)))
    environment = {**os.environ, "PYTHONPATH": paths}
    started = []

    def start(module, *arguments):
        command = [sys.executable, "-m", f"distributed.cli.{module}", *arguments, "--no-dashboard"]
        started.append(
            subprocess.Popen(command, env=environment, cwd="/", stderr=subprocess.PIPE, text=True)
        )
        return started[-1]

    try:
        scheduler = start("dask_scheduler", "--host", "127.0.0.1", "--port", "0")
        address = line_of(scheduler, "Scheduler at:").split()[-1]
        scratch = str(tmp_path_factory.mktemp("workers"))
        options = ["--nthreads", "1", "--no-nanny", "--local-directory", scratch]
        workers = [start("dask_worker", address, *options) for _ in range(2)]
        for worker in workers:
            line_of(worker, "Registered to:")
        yield address
    finally:
        for process in reversed(started):
            process.kill()  # a worker that is asked to end waits for its scheduler
            process.wait()
            process.stderr.close()


def test_a_cluster_and_processes_make_the_same_dataset(cluster, tmp_path, monkeypatch):
    for seed in range(3):
        toy_recording(tmp_path / "recordings" / f"rec{seed}", seed, attacks=seed > 0)
    monkeypatch.chdir(tmp_path)  # the workers run elsewhere
    main(["extract", "recordings", "--out", "dask", "--dask", cluster])
    main(["extract", "recordings", "--out", "processes", "--jobs", "2"])
    ours, theirs = load([Path("processes")]), load([Path("dask")])
    assert ours.sources == theirs.sources
    assert len(ours.sources) == 3
    assert (ours.labels == theirs.labels).all()
    for column in ("flow_start_ns", "ip_length", "direction", "source_low", "end_reason"):
        assert (getattr(ours.batch, column) == getattr(theirs.batch, column)).all()


def test_a_candidate_is_worth_the_same_on_a_cluster_and_in_a_process(cluster):
    material = Material.draw(tuning_dataset(), SPLIT, TASKS, 1000, 0)
    settings = Settings(tower_units=(2,), epochs=1, batch_size=16)
    each = []
    for address in (None, cluster):
        with executor(1, address) as pool:
            asked = (material, Candidate(2, 1, TASKS[1:]), settings, 0)
            each.append(pool.submit(train_candidate, *asked).result())
    assert replace(each[0], seconds=0) == replace(each[1], seconds=0)
    assert len(each[0].aucs) == 1


def test_a_process_of_one_s_own_answers_and_fails_like_a_worker(capfd):
    assert in_own_process(divmod, 7, 2) == (3, 1)
    assert in_own_process(os.getpid) != os.getpid()
    assert in_own_process(print, "not an outcome") is None
    assert capfd.readouterr().out == ""
    with pytest.raises(MissingInputError, match=r"none/dataset\.json: No such file"):
        in_own_process(load, [Path("none")])
    with pytest.raises(InternalError, match="ZeroDivisionError"):
        in_own_process(divmod, 1, 0)
    with pytest.raises(HostError, match=r"ended with 3 \(no message\)"):
        in_own_process(os._exit, 3)


def test_work_is_done_by_all_workers_of_a_cluster(cluster):
    with executor(dask=cluster) as pool:
        assert pool.count == 2
        pids = {pool.submit(where).result()[0] for _ in range(20)}
    assert os.getpid() not in pids
    assert 1 <= len(pids) <= 2


def test_processes_are_fresh_and_have_one_thread_of_tensorflow_each(monkeypatch):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    with executor(1) as pool:
        assert pool.count == 1
        pid, is_child = pool.submit(where).result()
        assert is_child
        assert pid != os.getpid()
        assert pool.submit(threads).result() == ("1", "1")


@pytest.mark.parametrize("kind", ["processes", "dask"])
def test_a_worker_s_failure_is_its_own_line(kind, request):
    dask = request.getfixturevalue("cluster") if kind == "dask" else None
    with executor(1, dask) as pool:
        with pytest.raises(LabelError, match=r"labels\.csv:2: wrong header"):
            pool.submit(refuse, LabelError, "labels.csv:2: wrong header").result()
        with pytest.raises(InternalError, match=r"a defect of this program \(ZeroDivisionError"):
            pool.submit(divmod, 1, 0).result()
        with pytest.raises(HostError, match="a worker lacks nonesuch"):
            pool.submit(__import__, "nonesuch").result()


def test_a_recording_that_is_gone_is_told_by_the_worker(cluster, tmp_path, capsys):
    folder = toy_recording(tmp_path / "rec", 0)
    (folder / "labels.csv").write_text("# covered: syn_dos\nstart,end\n")
    with pytest.raises(SystemExit) as ended:
        main(["extract", str(folder), "--out", str(tmp_path / "ds"), "--dask", cluster])
    assert ended.value.code == LabelError.exit_status
    assert f"error: {folder}/labels.csv:2: wrong header" in capsys.readouterr().err


def test_a_worker_process_that_dies_is_told():
    with pytest.raises(HostError, match="a worker process died"), executor(1) as pool:
        pool.submit(os._exit, 3).result()


def test_a_failure_of_the_block_itself_passes():
    with pytest.raises(MissingInputError, match="mine"), executor(1):
        raise MissingInputError("mine")


def test_an_address_without_a_scheduler_is_told(monkeypatch):
    monkeypatch.setattr("trainer.executors._CONNECT_S", 0.2)
    with pytest.raises(HostError, match=r"tcp://127\.0\.0\.1:1: no Dask scheduler answers"):  # noqa: SIM117 -- one that raises as it is entered
        with executor(dask="tcp://127.0.0.1:1"):
            pass
    with pytest.raises(UsageError, match="no address of a Dask scheduler"):  # noqa: SIM117
        with executor(dask="zzz://x:1"):
            pass


def test_without_distributed_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(HostError, match="`pip install distributed`"):  # noqa: SIM117
        with executor(dask="tcp://127.0.0.1:1"):
            pass

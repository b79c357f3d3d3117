"""Where work is done side by side: in processes of this machine, or on a Dask cluster.

Both are a `concurrent.futures.Executor`, so what is run does not know which. What fails in a
worker fails here with the worker's own line.
"""

import importlib
import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import sensor
from sensor.errors import HostError, MultaError, UsageError
from sensor.unexpected import explained

P = ParamSpec("P")
T = TypeVar("T")

_CONNECT_S = 10
"""How long a cluster may take to answer, and to have its first worker."""

_TENSORFLOW = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}
"""Environment of a worker unless it says otherwise: workers are side by side already, and sums
are made in the same order everywhere."""


class Workers(Executor):
    """An executor that knows how many it is, and whose failures are told.

    Args:
        inner: does the work.
        count: of its processes.
    """

    def __init__(self, inner: Executor, count: int) -> None:
        self._inner = inner
        self.count = count

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Runs a module's function in a worker; its failure is a `MultaError`."""
        return self._inner.submit(_told, fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 -- as Executor has it
        """Ends the executor."""
        self._inner.shutdown(wait, cancel_futures=cancel_futures)


def _told(fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    for name, value in _TENSORFLOW.items():
        os.environ.setdefault(name, value)
    try:
        return fn(*args, **kwargs)
    except MultaError:
        raise
    except ModuleNotFoundError as error:
        raise HostError(
            f"a worker lacks {error.name}; install multa with its extra there, "
            "as in `pip install '.[trainer]'`"
        ) from None
    except Exception as error:  # noqa: BLE001 -- becomes one line, here as on the command line
        raise explained(error) from None


def in_own_process(fn: Callable[..., T], *args: Any) -> T:
    """Runs a module's function in a fresh interpreter, from any thread, and waits for it.

    Whatever the process shares among its threads, such as Python's random numbers, of which a
    Dask worker's own threads draw too, is the function's alone there. A worker under Dask's nanny
    is a daemon, to which `multiprocessing` gives no children.

    Raises:
        MultaError: the function raised it.
        HostError: the process died.
    """
    child = subprocess.run(
        [sys.executable, "-c", "from trainer.executors import _answer; _answer()"],
        cwd=Path(__file__).resolve().parents[1],
        input=pickle.dumps((fn, args)),
        capture_output=True,
        check=False,
    )
    if child.returncode:
        said = child.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise HostError(
            f"a process of a worker ended with {child.returncode} ({said[-1]}), as when memory "
            "runs out; try again with fewer workers"
        )
    answer, error = pickle.loads(child.stdout)  # noqa: S301 -- from our own child
    if error is not None:
        raise error
    result: T = answer
    return result


def begin_network(seed: int) -> None:
    """Readies a worker for its next network: nothing is left of the one before, and it is seeded.

    Without that a worker would grow with every network.

    Args:
        seed: of Python, numpy and Keras.
    """
    import keras  # noqa: PLC0415 -- TensorFlow takes seconds to load, and few workers need it

    # It warns of a function traced anew for every network, which is what is meant here.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)


def _answer() -> None:
    """The child of `in_own_process`: a call on standard input, its outcome on standard output."""
    outcome = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no outcome
    fn, args = pickle.load(sys.stdin.buffer)  # noqa: S301 -- from our own parent
    answer, error = None, None
    try:
        answer = _told(fn, args, {})
    except MultaError as failure:
        error = failure
    with outcome:
        pickle.dump((answer, error), outcome)


@contextmanager
def executor(jobs: int = 0, dask: str | None = None) -> Iterator[Workers]:
    """Workers for the time of a ``with`` block.

    Args:
        jobs: processes of this machine; 0 for one a processor. They are fresh ones, which share
            no lock with threads of this one.
        dask: address of the scheduler of a Dask cluster, to be used instead. Scheduler
            and workers need the same version of multa; workers see the same files under the same
            paths.

    Raises:
        HostError: the cluster can't be used, or a worker died.
        UsageError: the address is none.
    """
    with _processes(jobs) if dask is None else _cluster(dask) as workers:
        yield workers


@contextmanager
def _processes(jobs: int) -> Iterator[Workers]:
    count = jobs or os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(count, mp_context=context) as pool:
            yield Workers(pool, count)
    except BrokenExecutor:
        raise HostError(
            "a worker process died, as when memory runs out; try again with a lower --jobs"
        ) from None


@contextmanager
def _cluster(address: str) -> Iterator[Workers]:
    try:
        distributed: Any = importlib.import_module("distributed")  # an extra of its own
    except ModuleNotFoundError:
        raise HostError(
            "distributed is not installed, which --dask needs; `pip install distributed`"
        ) from None
    try:
        client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, distributed.TimeoutError):
        raise HostError(
            f"{address}: no Dask scheduler answers; start one with `dask scheduler`"
        ) from None
    except (ValueError, TypeError):
        raise UsageError(
            f"{address}: no address of a Dask scheduler; write tcp://HOST:8786"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_CONNECT_S)
        except (TimeoutError, distributed.TimeoutError):
            raise HostError(
                f"{address}: the cluster has no workers; start some with `dask worker {address}`"
            ) from None
        _require_same_version(client, address)
        with _lost(address, distributed):
            yield Workers(client.get_executor(), len(client.nthreads()))


def _require_same_version(client: Any, address: str) -> None:
    """Another version may make other rows of the same capture."""
    try:
        versions = {client.run_on_scheduler(_version), *client.run(_version).values()}
    except Exception as error:  # noqa: BLE001 -- whatever the import ran into there
        raise HostError(
            f"{address}: its scheduler and workers can't load multa ({error}); install "
            f"{sensor.__version__} there with `pip install '.[trainer,dask]'`"
        ) from None
    if versions != {sensor.__version__}:
        raise HostError(
            f"{address}: its scheduler and workers have multa {', '.join(sorted(versions))}, and "
            f"this is {sensor.__version__}; install the same there"
        )


def _version() -> str:
    return sensor.__version__


@contextmanager
def _lost(address: str, distributed: Any) -> Iterator[None]:
    """A worker or the scheduler that went away, as a line for a person."""
    gone = (distributed.KilledWorker, distributed.comm.CommClosedError, CancelledError)
    try:
        yield
    except gone:
        raise HostError(
            f"{address}: the cluster lost workers or its scheduler, as when memory runs out; look "
            "at their logs, and run the same command again"
        ) from None

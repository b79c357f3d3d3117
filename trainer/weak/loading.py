"""Where labeling functions come from: the ones that are here, or a Python file of the user.

Loading a file runs it, with all rights of the user who loads it, as importing any Python module
does: load only what you have read. What is loaded are the labeling functions that the file has at
its top level, in their order: those of `trainer.weak.functions`, and those of Snorkel
(`trainer.weak.row_by_row`), which do not say on what they vote, so their task has to be named.
"""

import functools
import importlib
import importlib.util
import sys
import traceback
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sensor.errors import LabelError, MissingInputError
from trainer.weak.functions import LabelingFunction, Task, tasks_of
from trainer.weak.row_by_row import adapted, is_row_function

BUILT_IN = {"latency": "trainer.weak.latency", "flows": "trainer.weak.flows"}
"""Sets of labeling functions that are here, by name, and their modules."""


@dataclass(frozen=True, eq=False)
class LoadedFunction(LabelingFunction):
    """One that is loaded again where it is sent: its code may be in no importable module.

    Attributes:
        reference: what `load` made it of.
    """

    reference: tuple[str, str] = ("", "")

    def __reduce__(self) -> Any:
        """As a worker process comes by it."""
        return load_one, (*self.reference, self.name)


def load(reference: str, task: str = "") -> tuple[LabelingFunction, ...]:
    """The labeling functions of a set.

    Args:
        reference: a name of `BUILT_IN`, or the path of a Python file.
        task: on what those vote that do not say it themselves (yes or no).

    Raises:
        MissingInputError: there is no such file.
        LabelError: it can't be run, or holds no labeling function, or some that don't fit.
    """
    if reference not in BUILT_IN:
        reference = str(Path(reference).absolute())
    return _loaded(reference, task)


def load_one(reference: str, task: str, name: str) -> LabelingFunction:
    """One labeling function of a set; how a worker process comes by it.

    Raises:
        MissingInputError: there is no such file here.
        LabelError: it holds no such function.
    """
    for function in load(reference, task):
        if function.name == name:
            return function
    raise LabelError(f"{reference}: has no labeling function {name} any more; begin again")


@functools.lru_cache(maxsize=64)
def _loaded(reference: str, task: str) -> tuple[LabelingFunction, ...]:
    if reference in BUILT_IN:
        members = vars(importlib.import_module(BUILT_IN[reference]))
    else:
        members = _run(Path(reference))
    found = [each for each in members.values() if isinstance(each, LabelingFunction)]
    rows = [each for each in members.values() if is_row_function(each)]
    if rows and not task:
        raise LabelError(
            f"{reference}: {rows[0].name} does not say on what it votes; name its task"
        )
    found += [adapted(each, Task(task), file=reference) for each in dict.fromkeys(rows)]
    functions = tuple(
        LoadedFunction(
            **{entry.name: getattr(each, entry.name) for entry in fields(LabelingFunction)}
            | {"file": Path(reference).name, "reference": (reference, task)}
        )
        for each in dict.fromkeys(found)
    )
    if not functions:
        raise LabelError(
            f"{reference}: defines no labeling function; decorate some with @labeling_function"
        )
    tasks_of(functions)
    return functions


def _run(path: Path) -> dict[str, object]:
    """What a Python file defines."""
    name = f"labeling_functions_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file():
        known = ", ".join(BUILT_IN)
        raise MissingInputError(f"{path}: no such file; give a Python file, or one of {known}")
    if spec is None or spec.loader is None:
        raise LabelError(f"{path}: is no Python file; give one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    # Beside it may lie what it imports; and classes in it are looked up by their module's name.
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except LabelError:
        raise
    except SystemExit as error:
        raise LabelError(
            f"{where(error, path)}: ends the program; do so in `if __name__ == '__main__'` alone"
        ) from None
    except Exception as error:  # noqa: BLE001 -- whatever the user's own code ran into
        raise LabelError(f"{where(error, path)}: {type(error).__name__}: {error}") from None
    finally:
        sys.path.remove(str(path.parent))
    return vars(module)


def where(error: BaseException, path: Path) -> str:
    """File and line of a user's file in which an error came up; the file alone if in none."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f"{path}:{error.lineno}"
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    return f"{path}:{lines[-1]}" if lines else str(path)

"""Which way dependencies point, in the source and in a running process.

A folder of the sensor imports only from folders that a packet passes before it, and from the
contract; the trainer imports the sensor, never the other way round; no sensor process loads
TensorFlow.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
CHAIN = ("capture", "packets", "flows", "latency", "model", "alerts", "annotations")
LEAVES = {"sensor", "sensor.errors", "sensor.hops", "sensor.model.fields", "sensor.model.schema"}
SURFACE = ("service", "reporting", "cli")
FEEDBACK = {"trainer.datasets.feedback", "trainer.cli.feedback"}
"""What reads evidence and labels back, for the trainer."""
OUTSIDE = {"os", "pathlib", "signal", "socket", "subprocess", "threading", "time"}
"""Modules through which a program opens files and sockets, starts something, or reads a clock."""
OPENING = {
    "sensor.alerts.sinks",
    "sensor.model.bundle",
    "sensor.model.inference",  # turns the runtime's own notes off
    "sensor.model.trust",  # reads public keys
    "sensor.model.verification",  # starts a child
}
FOREIGN = ("trainer", "tensorflow", "keras", "sklearn", "matplotlib")


def modules(package: str) -> dict[str, Path]:
    """Dotted names and files of all modules of a package."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


SENSOR, TRAINER = modules("sensor"), modules("trainer")


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports anywhere in it, as dotted names."""
    known = SENSOR.keys() | TRAINER.keys()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import in line {node.lineno}"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in known else str(node.module)


def folder(module: str) -> str:
    """`capture` of `sensor.capture.pcap`; empty for modules at the top of the sensor."""
    top = module.split(".")[1:2]
    return top[0] if top and (module.count(".") > 1 or top[0] in (*CHAIN, *SURFACE)) else ""


def test_folders_of_the_sensor_follow_the_chain() -> None:
    wrong = []
    for name, path in SENSOR.items():
        mine = folder(name)
        if mine not in CHAIN:
            continue
        allowed = CHAIN[: CHAIN.index(mine) + 1]
        for imported in imports(path):
            if imported.split(".")[0] == "sensor" and imported not in LEAVES:
                wrong += [(name, imported)] if folder(imported) not in allowed else []
    assert not wrong


def test_what_lies_between_the_two_ends_opens_nothing() -> None:
    for name, path in SENSOR.items():
        inside = folder(name) in CHAIN[1:] or name == "sensor.pipeline"
        used = {module.split(".")[0] for module in imports(path)} & OUTSIDE
        if inside and name not in OPENING:
            assert not used, name
            nodes = ast.walk(ast.parse(path.read_text()))
            names = {node.id for node in nodes if isinstance(node, ast.Name)}
            assert "open" not in names, name


def test_only_the_service_handles_signals() -> None:
    handling = {name for name, path in SENSOR.items() if "signal.signal(" in path.read_text()}
    # tshark's source holds Ctrl-C back for as long as it takes to start a process.
    assert {folder(name) for name in handling - {"sensor.capture.tshark"}} == {"service"}


def test_only_the_surface_imports_the_surface() -> None:
    wrong = [
        (name, imported)
        for name, path in (SENSOR | TRAINER).items()
        for imported in imports(path)
        if imported.startswith("sensor.")
        and folder(imported) in SURFACE
        and not (name.startswith("sensor.") and folder(name) in SURFACE)
        and not (name in FEEDBACK and folder(imported) == "reporting")
    ]
    assert not wrong


def test_leaves_import_no_other_part() -> None:
    for name in LEAVES:
        inside = {module for module in imports(SENSOR[name]) if module.startswith("sensor")}
        assert inside <= LEAVES, name


def test_sensor_never_names_the_trainer() -> None:
    wrong = [
        (name, imported)
        for name, path in SENSOR.items()
        for imported in imports(path)
        if imported.split(".")[0] in FOREIGN
    ]
    assert not wrong


def test_sensor_process_loads_nothing_of_the_trainer() -> None:
    names = [name for name in SENSOR if not name.endswith("__main__")]
    program = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        f"print([name for name in {FOREIGN!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stderr, done.stdout) == ("", "[]\n")

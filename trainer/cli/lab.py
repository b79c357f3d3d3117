"""`multa-trainer lab`: labelled captures out of a network made of namespaces."""

import sys
from pathlib import Path

import click
from tqdm import tqdm

from trainer.cli.ranges import SEED, FiniteRange
from trainer.datasets.extraction import CAPTURE, LABELS
from trainer.lab.planning import MAX_DURATION_S, MIN_DURATION_S
from trainer.lab.recording import HEADER_SNAPLEN, record
from trainer.lab.recording_set import CARD, make_set, read_set, shipped_sets
from trainer.lab.scenario import read_scenario, shipped_scenarios


@click.group()
def lab() -> None:
    """Record labelled captures on a small IoT network made of network namespaces."""


@lab.command(name="record")
@click.option(
    "--out",
    "folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to make; holds capture, labels and account afterwards.",
)
@click.option(
    "--duration",
    "duration_s",
    default=60.0,
    show_default=True,
    type=FiniteRange(MIN_DURATION_S, MAX_DURATION_S),
    help="Seconds to record.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=SEED,
    help="Decides addresses, rates, timings and all else that the scenario leaves open.",
)
@click.option(
    "--scenario",
    default="mixed",
    show_default=True,
    help="A TOML file, or one that is shipped (see `lab scenarios`).",
)
@click.option(
    "--snaplen",
    default=HEADER_SNAPLEN,
    show_default=True,
    type=click.IntRange(64, 262_144),
    help="Bytes to keep of each frame; 262144 keeps all.",
)
def record_command(folder: Path, duration_s: float, seed: int, scenario: str, snaplen: int) -> None:
    """Play a scenario and record what passes the gateway; needs root."""
    with tqdm(
        total=int(duration_s),
        desc=f"recording {scenario}",
        unit="s",
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
    ) as bar:
        account = record(
            scenario,
            folder,
            duration_s,
            seed,
            snaplen,
            lambda now_s: bar.update(int(now_s) - bar.n),
        )
        bar.update(int(duration_s) - bar.n)
    attack_flows = sum(attack["captured_flows"] for attack in account["attacks"])
    click.echo(
        f"{folder / CAPTURE}: {account['flows']} flows, {attack_flows} of attacks; "
        f"labels in {folder / LABELS}",
        err=True,
    )
    if dropped := account["recorder"].get("dropped by kernel"):
        click.echo(
            f"{folder / CAPTURE}: {dropped} frames are missing; the machine was too slow", err=True
        )


@lab.command(name="scenarios")
def scenarios_command() -> None:
    """List the scenarios that are shipped."""
    names = shipped_scenarios()
    width = max(map(len, names))
    for name in names:
        click.echo(f"{name:{width}}  {read_scenario(name).description}")


@lab.command(name="set")
@click.argument("name", metavar="SET")
@click.option(
    "--out",
    "folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the recordings; what is there is not made again.",
)
def set_command(name: str, folder: Path) -> None:
    """Make a published set of recordings with its data card; needs root.

    SET is the name of a shipped list or a TOML file.
    """
    wanted = read_set(name)
    make_set(wanted, folder, lambda line: click.echo(line, err=True))
    click.echo(f"{folder / CARD}: {len(wanted.entries)} recordings", err=True)


@lab.command(name="sets")
def sets_command() -> None:
    """List the sets of recordings that are shipped."""
    for name in shipped_sets():
        wanted = read_set(name)
        seconds = sum(entry.duration_s for entry in wanted.entries)
        click.echo(
            f"{name}  version {wanted.version}, {len(wanted.entries)} recordings, "
            f"{seconds / 60:.0f} minutes: {wanted.description}"
        )

"""`multa-trainer latency`: series of round-trip times, read, shown and generated."""

import sys
from pathlib import Path

import click
from tqdm import tqdm

from sensor.streams import visible
from trainer.cli.latency_train import train
from trainer.cli.outputs import keep_apart
from trainer.cli.ranges import SEED
from trainer.latency.bases import cleaned
from trainer.latency.feature_table import write_features
from trainer.latency.generator import DEFAULT, generate
from trainer.latency.reading import read_files
from trainer.latency.series import LatencySeries
from trainer.latency.store import write_series
from trainer.latency.summary import Total, heading, line
from trainer.weak.features import FEATURES

SHOWN = 40
"""Series that have a line of their own."""

FILES = click.Path(path_type=Path, dir_okay=False)


@click.group()
def latency() -> None:
    """Generate, read and show series of round-trip times, and learn from them."""


latency.add_command(train)


@latency.command(name="generate")
@click.option(
    "--out", required=True, type=FILES, help="File for the series, columns in an .npz archive."
)
@click.option(
    "--measurements",
    default=75_000,
    show_default=True,
    type=click.IntRange(DEFAULT.least_answers, 10**10),
    help="Of all series together.",
)
@click.option(
    "--length",
    default=15_000,
    show_default=True,
    type=click.IntRange(DEFAULT.least_answers, 10**8),
    help="Measurements of a series; the last one takes what is over.",
)
@click.option(
    "--base",
    "bases",
    multiple=True,
    type=FILES,
    help="Real series to clean and add to, in any form that `show` reads; can be repeated. "
    "Without any, bases are generated.",
)
@click.option("--seed", default=0, show_default=True, type=SEED, help="Decides all that is drawn.")
def generate_command(
    out: Path, measurements: int, length: int, bases: tuple[Path, ...], seed: int
) -> None:
    """Add noise, outages and swells to clean series, with exact truth.

    \b
    Examples:
      multa-trainer latency generate --out series.npz
      multa-trainer latency generate --base ping.txt --measurements 1000000 --out series.npz
    """  # noqa: D301 -- click's mark for lines to leave alone
    keep_apart(out, bases)
    clean = [cleaned(series) for series in read_files(bases)]
    total = Total()
    with tqdm(
        total=measurements,
        desc="generating",
        unit="",
        unit_scale=True,
        leave=False,
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
    ) as bar:

        def counted(series: LatencySeries) -> LatencySeries:
            total.add(series)
            bar.update(len(series))
            return series

        write_series(out, map(counted, generate(measurements, length, seed, clean)))
    click.echo(f"{out}: {total}", err=True)


@latency.command(name="show")
@click.argument("files", nargs=-1, required=True, type=FILES, metavar="FILE...")
@click.option("--plot", type=FILES, help="Picture (PNG, SVG, PDF) of the first series.")
def show_command(files: tuple[Path, ...], plot: Path | None) -> None:
    """Tell what the series of files are like.

    Read are results of RIPE Atlas ping measurements (JSON), output of `ping -D`, tables of times
    and round-trip times (CSV), data files of flent, and what `generate` and `multa-sensor
    latency` write; which of them a FILE is, its contents tell.

    \b
    Examples:
      multa-trainer latency show ping.txt
      multa-trainer latency show series.npz --plot series.png
    """  # noqa: D301 -- click's mark for lines to leave alone
    total = Total()
    first: LatencySeries | None = None
    click.echo(heading())
    with tqdm(
        desc="reading", unit="", unit_scale=True, leave=False, disable=not sys.stderr.isatty()
    ) as bar:
        for series in read_files(files):
            first = first or series
            if total.series < SHOWN:
                bar.write(visible(line(series)), file=sys.stdout)
            total.add(series)
            bar.update(len(series))
    if total.series > SHOWN:
        click.echo(f"... and {total.series - SHOWN} more")
    click.echo(f"total: {total}")
    if plot is not None and first is not None:
        from trainer.latency.pictures import plot_series  # noqa: PLC0415 -- matplotlib is slow

        plot_series(first, plot)


@latency.command(name="features")
@click.argument("files", nargs=-1, required=True, type=FILES, metavar="FILE...")
@click.option("--out", required=True, type=FILES, help="Table (CSV) for the features.")
@click.option(
    "--before",
    default=63,
    show_default=True,
    type=click.IntRange(0, 1 << 16),
    help="Measurements before each one that its window has.",
)
@click.option(
    "--after",
    default=0,
    show_default=True,
    type=click.IntRange(0, 1 << 16),
    help="Those after it; with 0 the features can be had live.",
)
@click.option(
    "--feature",
    "names",
    multiple=True,
    type=click.Choice(tuple(FEATURES)),
    metavar="NAME",
    help="One of them alone; can be repeated.  [default: all]",
)
def features_command(
    files: tuple[Path, ...], out: Path, before: int, after: int, names: tuple[str, ...]
) -> None:
    """Tell statistics of the window around every measurement, to train with.

    Read are the files that `show` reads. A line of the table is a measurement: its series, its
    time in seconds since 1970, its round-trip time, what is known of noise, outage and swell, and
    the features, under the names that tsfresh gives them. docs/latency.md lists these.

    \b
    Examples:
      multa-trainer latency features rtt.csv --out features.csv
      multa-trainer latency features series.npz --before 20 --feature mean --out mean.csv
    """  # noqa: D301 -- click's mark for lines to leave alone
    keep_apart(out, files)
    wanted = tuple(dict.fromkeys(names)) or tuple(FEATURES)
    rows = write_features(out, read_files(files), before, after, wanted)
    click.echo(f"{out}: {rows:,} measurements, {len(wanted)} features", err=True)

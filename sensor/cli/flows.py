"""``multa-sensor flows``: the extractor alone."""

import contextlib
from dataclasses import replace

import click

from sensor import hops
from sensor.alerts.sinks import STDOUT
from sensor.cli import options
from sensor.extract import Extraction
from sensor.model.fields import DEFAULT_FIELDS, OPTIONAL_FIELDS
from sensor.model.schema import KEYS, FeatureSchema
from sensor.service.health.statistics import Statistics
from sensor.service.progress import with_progress
from sensor.service.row_files import open_rows


@click.command()
@options.files
@options.source
@click.option(
    "--output",
    "-o",
    metavar="FILE|-",
    help="Where rows go: FILE.jsonl, FILE.csv, FILE.parquet, or JSON lines to -.  [default: -, "
    "or nowhere with --stats]",
)
@click.option(
    "--n",
    type=click.IntRange(min=1, max=255),
    default=FeatureSchema().n,
    show_default=True,
    help="Packets in a full sequence.",
)
@click.option(
    "--key",
    type=click.Choice(KEYS),
    default=KEYS[0],
    show_default=True,
    help="What the packets of a flow have in common: both endpoints, or (gathering several "
    "connections) the responder's address and port, the originator's address (of IPv6 its first "
    "64 bits), or both addresses.",
)
@click.option(
    "--with",
    "optional",
    type=click.Choice(OPTIONAL_FIELDS),
    multiple=True,
    help="Field of packets that the shipped models don't have, as a column of its own; may be "
    "given again. docs/features.md says what it gives away.",
)
@options.stats
@options.profile
def flows(
    files: tuple[str, ...],
    *,
    source: str,
    output: str | None,
    n: int,
    key: str,
    optional: tuple[str, ...],
    stats: str | None,
    profile: bool,
) -> None:
    """Write sequences of the first packets of flows, without detecting anything.

    The rows are those that models score and learn from; docs/flows.md describes the columns. With
    --stats and without -o they are only assembled and counted. Files are pcap or pcapng, also
    compressed with gzip; - is standard input.

    \b
    Examples:
      multa-sensor flows capture.pcap -o flows.csv
      multa-sensor flows monday.pcap tuesday.pcap --n 32 -o flows.parquet
      multa-sensor flows capture.pcap --key source -o sources.csv
      multa-sensor flows capture.pcap --with ttl --with tcp_window -o flows.csv
      multa-sensor flows capture.pcap --stats -
    """  # noqa: D301 -- click's mark for lines to leave alone
    output = output or (None if stats else STDOUT)
    options.keep_apart(files, output, stats)
    fields = tuple(dict.fromkeys((*DEFAULT_FIELDS, *optional)))
    schema = FeatureSchema(lengths=(n,), key=key, fields=fields)
    if output is None:
        # what nobody sees need not be counted
        schema = replace(schema, context=())
    extraction = Extraction(files, schema, open_file=options.opener(source))
    profiled = hops.start() if profile else None
    with contextlib.closing(extraction), contextlib.ExitStack() as opened:
        statistics_file = options.open_statistics(stats, output)
        writer = open_rows(output, schema.optional) if output else None
        if writer:
            opened.callback(writer.close)
        packets = extraction.source
        statistics = Statistics(packets.counters, extraction.decoder, extraction.lanes)
        blocks = with_progress(packets, hidden=options.shares_terminal(output))
        for batch in extraction.rows_of(statistics.frames.of(blocks)):
            if writer and len(batch):
                writer.write(batch)
    if profiled:
        options.show_profile(profiled, statistics)
    statistics.truncated = packets.truncated
    if statistics_file:
        statistics_file.write(statistics)
    extraction.raise_if_truncated()

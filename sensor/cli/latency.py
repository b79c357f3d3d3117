"""``multa-sensor latency``: round-trip times of peers, measured from packets of others."""

import contextlib

import click

from sensor.alerts.sinks import STDOUT
from sensor.capture.files import CaptureFiles
from sensor.cli import options
from sensor.extract import raise_if_truncated
from sensor.latency.latency_table import Measured
from sensor.latency.measuring import measure
from sensor.packets.decode import Decoder
from sensor.packets.headers import PROBE_TYPES
from sensor.pipeline import decoded
from sensor.service.measurement_files import MeasurementFile, SeriesSummary, unmeasured
from sensor.service.progress import with_progress


@click.command()
@options.files
@options.source
@click.option(
    "--output",
    "-o",
    metavar="FILE|-",
    help="Where measurements go: FILE.jsonl, FILE.csv, or JSON lines to -.  [default: -, or "
    "nowhere with --summary]",
)
@click.option("--summary", is_flag=True, help="Print a table of the series at the end.")
def latency(files: tuple[str, ...], *, source: str, output: str | None, summary: bool) -> None:
    """Measure round-trip times from the packets of capture files.

    Nothing is sent: a time is that from a packet to its answer, where they passed the capture.
    SYN to SYN-ACK, SYN-ACK to ACK, echo request to reply, and TCP timestamps to their echoes;
    docs/latency.md describes kinds and columns. A SYN or echo request that lacks an answer is
    a measurement without a time, if its peer has answered in the 10 minutes before. What could
    not be measured is told on standard error at the end. Files are pcap or pcapng, also
    compressed with gzip; - is standard input.

    \b
    Examples:
      multa-sensor latency capture.pcap
      multa-sensor latency capture.pcap -o rtt.csv
      multa-sensor latency monday.pcap tuesday.pcap --summary
    """  # noqa: D301 -- click's mark for lines to leave alone
    output = output or (None if summary else STDOUT)
    if summary and output == STDOUT:
        raise click.UsageError("-o - and --summary both write to standard output; leave one out")
    options.keep_apart(files, output)
    packets = CaptureFiles(files, options.opener(source))
    with contextlib.closing(packets), contextlib.ExitStack() as opened:
        file = MeasurementFile(output) if output else None
        if file:
            opened.callback(file.close)
        table = SeriesSummary() if summary else None
        blocks = with_progress(packets, hidden=options.shares_terminal(output))
        measured = Measured()
        for found in measure(decoded(blocks, Decoder(PROBE_TYPES)), measured):
            if file:
                file.write(found)
            if table:
                table.add(found)
    if table:
        click.echo(table.text(), nl=False)
    if left_out := unmeasured(measured):
        click.echo(left_out, err=True)
    raise_if_truncated(packets.truncated)

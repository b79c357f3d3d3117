"""Makes ``docs/alerts.md`` from the schema of alerts: ``python docs/generate_alerts.py``."""  # noqa: INP001

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("alerts.md")
SCHEMA = Path(__file__).parents[1] / "sensor" / "alerts" / "alert.schema.json"

_INTRODUCTION = """\
# Alerts

<!-- Made by docs/generate_alerts.py from sensor/alerts/alert.schema.json; edit that. -->

{description}

`docs/semantics.md` says when an incident starts, grows and ends (rule 14), and what is withheld
(rule 16). Some ways to read the log:

```sh
tail -F alerts.jsonl | jq -c 'select(.alert.metadata.multa.event == "start")'
jq -r '.alert.metadata.multa | [.event, .task, .role, .address, .flows] | @tsv' alerts.jsonl
```

A file that `multa-sensor run` writes is at most 64 MiB long. Before it would grow longer it is
renamed to FILE.old, whose former contents are lost, and a new one is begun; the `.old` is no name
that logrotate uses, so its numbered files stay as they are, and whoever follows the name
(`tail -F`, log shippers) goes on in the new file. Where renaming is not allowed, alerts are lost
and counted instead. Rotating the log earlier and keeping more of it is logrotate's part. Standard
output and the files of `replay` have no such limit.

With `--home-net` every alert of an incident tells what that has to do with your network. To see
only those in which a device of yours attacks:

```sh
multa-sensor run -i br-lan --home-net 192.168.1.0/24,2001:db8:1::/48 -o alerts.jsonl
jq -c '.alert.metadata.multa | select(.home.roles | index("source"))' alerts.jsonl
```

- Nothing is inside unless you say so. That is not the usual list of private networks
  (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7), as a wrong default would be worse than
  none: devices have public IPv6 addresses as a rule, and an attack from one of them would read as
  passing through, while behind a provider's or a company's address translation both ends of every
  flow would be yours.
- Loopback, link-local and multicast addresses and 255.255.255.255 need not be stated: they mean
  the link that is watched (`docs/semantics.md` 30 lists them).
- Addresses are believed. Whoever forges the sources of a flood may forge yours.
- In a reflection attack the sources are the reflectors: a `source` of yours answers strangers.
- Incidents, scores, `alert_id` and what is withheld do not depend on it.

Keys in *italics* are not in every line.
"""

_TABLE = """
## {title}

{description}

| key | value | meaning |
|---|---|---|
"""


def page(schema: dict[str, Any]) -> str:
    """The page for a schema."""
    text = _INTRODUCTION.format(**schema)
    for choice in schema["oneOf"]:
        kind = _definition(choice, schema)
        text += _TABLE.format(**kind)
        for key, value, meaning in _rows(kind, schema, ""):
            text += f"| {key} | {value} | {meaning} |\n"
    return text


def _rows(
    node: dict[str, Any], schema: dict[str, Any], prefix: str
) -> Iterator[tuple[str, str, str]]:
    for name, given in node.get("properties", {}).items():
        entry = {**_definition(given, schema), **given}
        key = f"{prefix}{name}" + ("[]" if entry.get("type") == "array" else "")
        mark = f"`{key}`" if name in node.get("required", ()) else f"*`{key}`*"
        yield mark, _value(entry), entry["description"]
        yield from _rows(entry, schema, f"{key}.")
        yield from _rows(entry.get("items", {}), schema, f"{key}.")


def _definition(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema["$defs"][node["$ref"].split("/")[-1]] if "$ref" in node else {}
    return found


def _value(entry: dict[str, Any]) -> str:
    if "const" in entry:
        return f"`{json.dumps(entry['const'])}`"
    if "enum" in entry:
        return ", ".join(f"`{json.dumps(choice)}`" for choice in entry["enum"])
    formats = [choice["format"] for choice in entry.get("anyOf", ())]
    if formats:
        return " or ".join(formats)
    kind = entry["type"]
    return kind if isinstance(kind, str) else " or ".join(kind)


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(SCHEMA.read_text())))

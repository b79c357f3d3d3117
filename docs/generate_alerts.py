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

Keys in *italics* are not in every line. `docs/semantics.md` says when an incident starts, grows
and ends (rule 14). Some ways to read the log:

```sh
tail -f alerts.jsonl | jq -c 'select(.alert.metadata.multa.event == "start")'
jq -r '.alert.metadata.multa | [.event, .task, .role, .address, .flows] | @tsv' alerts.jsonl
```

| key | value | meaning |
|---|---|---|
"""


def page(schema: dict[str, Any]) -> str:
    """The page for a schema."""
    rows = "".join(
        f"| {key} | {value} | {meaning} |\n" for key, value, meaning in _rows(schema, schema, "")
    )
    return _INTRODUCTION.format(description=schema["description"]) + rows


def _rows(
    node: dict[str, Any], schema: dict[str, Any], prefix: str
) -> Iterator[tuple[str, str, str]]:
    for name, given in node.get("properties", {}).items():
        definition = schema["$defs"][given["$ref"].split("/")[-1]] if "$ref" in given else {}
        entry = {**definition, **given}
        key = f"{prefix}{name}" + ("[]" if entry.get("type") == "array" else "")
        mark = f"`{key}`" if name in node.get("required", ()) else f"*`{key}`*"
        yield mark, _value(entry), entry["description"]
        yield from _rows(entry, schema, f"{key}.")
        yield from _rows(entry.get("items", {}), schema, f"{key}.")


def _value(entry: dict[str, Any]) -> str:
    if "const" in entry:
        return f"`{json.dumps(entry['const'])}`"
    if "enum" in entry:
        return ", ".join(f"`{json.dumps(choice)}`" for choice in entry["enum"])
    formats = [choice["format"] for choice in entry.get("anyOf", ())]
    return " or ".join(formats) if formats else str(entry["type"])


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(SCHEMA.read_text())))

"""Makes what is written about the configuration: ``python docs/generate_configuration.py``.

``docs/configuration.md`` and the example file ``systemd/sensor.toml``, from the definitions that
the reader goes by.
"""  # noqa: INP001

from collections.abc import Iterator, Mapping
from pathlib import Path

from sensor.service.config.configuration_text import default_text, written
from sensor.service.config.settings import ALLOW, DEFINITIONS, REQUIRED, TABLES, Definition
from sensor.service.config.values import Choice, FilePath, Flag, OutputPath, Whole

PAGE = Path(__file__).with_name("configuration.md")
EXAMPLE = Path(__file__).parents[1] / "systemd" / "sensor.toml"

_INTRODUCTION = """\
# Configuration

<!-- Made by docs/generate_configuration.py from setting_tables.py in sensor/service/config/. -->

The sensor reads `/etc/multa/sensor.toml` (TOML 1.0), or what `--config FILE` names, and then the
files `conf.d/*.toml` beside it in the order of their names: values replace earlier ones, tables
are joined, `[[allow]]` rules are added. `multa-sensor config default` writes a file with every
key, its meaning and its default; only the interface must be named:

```toml
[capture]
interfaces = ["br-lan"]

[network]
home = ["192.168.1.0/24", "2001:db8:1::/48"]

[[allow]]
comment = "backup of the cameras, every night; ask Kim"
expires = 2027-06-01
task = "scan"
source = "192.168.1.5"
```

```sh
multa-sensor config check        # what is wrong, with file and line, and what is not there
multa-sensor config show         # every value that holds, and the file and line that it comes from
systemctl reload multa-sensor    # takes a change up
```

- Whatever is wrong is one line, with exit status 78 and what to write instead; an unknown key is
  wrong, and the nearest known one is named. Nothing starts with a wrong configuration, and a
  reload with one changes nothing.
- Options of the command line go before the files. `run -i NAME` and `replay` read no file unless
  `--config` is given. `replay` takes from it what decides on alerts (home networks, models,
  severities, allow rules), and keeps evidence only where `--evidence DIR` asks for it.
- A path that does not
  begin with / starts from the folder of the file in which it stands, and `~` means nothing.
- A file may have 1 MiB, and `conf.d` 64 files.
- *Reload* says whether `systemctl reload` (SIGHUP) takes a change up; else it takes a restart.
"""

_TABLE = """
## [{title}]

{description}

| key | default | reload | value | meaning |
|---|---|---|---|---|
"""

_ALLOW = """
## [[allow]]

Rules for flows that look like an attack and are none. What matches everything that a rule names
raises no alert; at least a task, a source, a destination or a port must be named. A rule that has
expired matches nothing, and `config check` tells of it. A reload takes changes up.

| key | value | meaning |
|---|---|---|
"""


def page() -> str:
    """The page."""
    text = _INTRODUCTION
    for table, about in TABLES.items():
        text += _TABLE.format(title=table, description=about.__doc__)
        for definition in (each for each in DEFINITIONS.values() if each.table == table):
            text += _row(_cells(definition))
    text += _ALLOW
    for definition in ALLOW.values():
        needed = " Required." if definition.default == REQUIRED else ""
        text += _row([f"`{definition.name}`", _value(definition), definition.help + needed])
    return text


def _cells(definition: Definition) -> Iterator[str]:
    yield f"`{definition.name}`"
    is_table = isinstance(definition.default, Mapping)
    yield "none" if is_table else f"`{written(definition.default)}`"
    yield {"reload": "yes", "restart": "no"}.get(definition.takes, "–")
    yield _value(definition)
    yield definition.help


def _value(definition: Definition) -> str:
    kind = definition.kind
    plain = isinstance(kind, (Choice, FilePath, Flag, OutputPath, Whole))
    return kind.form if plain else f"{kind.form}, such as `{kind.example}`"


def _row(cells: Iterator[str] | list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    EXAMPLE.write_text(default_text())

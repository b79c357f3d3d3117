import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_pcap import unprivileged

from sensor.alerts.allow import RULES
from sensor.errors import ConfigurationError, MissingInputError, PermissionDeniedError
from sensor.service.config import configuration
from sensor.service.config.configuration import FILE_BYTES, read
from sensor.service.config.settings import Settings

RULE = '[[allow]]\ncomment = "why"\nexpires = "never"\ntask = "scan"\n'


@pytest.fixture
def path(tmp_path):
    """A place for a configuration, with a folder for more."""
    (tmp_path / "conf.d").mkdir()
    return tmp_path / "sensor.toml"


def failure(path, text):
    """What is said of a text, without the name of the file."""
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}:")
    return message.removeprefix(f"{path}:")


def test_empty_file_is_the_defaults(path):
    path.write_text("")
    settings = read(path)
    assert settings.files == (path,)
    for table in ("capture", "network", "models", "alerts", "evidence", "health", "forward"):
        assert getattr(settings, table) == getattr(Settings(), table)
    assert (settings.allow, dict(settings.origins)) == ((), {})


def test_installed_configuration_is_read_where_there_is_one(path, monkeypatch):
    monkeypatch.setattr(configuration, "DEFAULT_PATH", path)
    assert read() == Settings()
    path.write_text("[capture]\nworkers = 3\n")
    assert read().capture.workers == 3


def test_later_files_replace_values_join_tables_and_add_rules(path):
    path.write_text(
        '[capture]\ninterfaces = ["eth0", "eth1"]\nworkers = 2\n'
        '[network.devices]\n"10.0.0.1" = "a"\n"10.0.0.2" = "b"\n' + RULE
    )
    (path.parent / "conf.d" / "20.toml").write_text("[capture]\nworkers = 4\n" + RULE)
    (path.parent / "conf.d" / "10.toml").write_text(
        '[capture]\ninterfaces = ["eth2"]\nworkers = 3\n[network.devices]\n"10.0.0.2" = "c"\n'
    )
    for name in ("30.toml.bak", ".40.toml", "README"):
        (path.parent / "conf.d" / name).write_text("no TOML")
    settings = read(path)
    ten, twenty = (path.parent / "conf.d" / name for name in ("10.toml", "20.toml"))
    assert settings.files == (path, ten, twenty)
    assert settings.capture.interfaces == ("eth2",)
    assert settings.capture.workers == 4
    assert settings.network.devices == {"10.0.0.1": "a", "10.0.0.2": "c"}
    assert settings.origin("capture.interfaces") == f"{ten}:2"
    assert settings.origin("capture.workers") == f"{twenty}:2"
    assert [rule.place for rule in settings.allow] == [f"{path}:7", f"{twenty}:3"]


def test_paths_start_from_the_folder_of_their_file(path, monkeypatch):
    path.write_text('[alerts]\noutput = "a.json"\n')
    more = path.parent / "conf.d" / "1.toml"
    more.write_text('[health]\nstatus = "s.json"\n')
    monkeypatch.chdir(path.parent)
    settings = read(Path("sensor.toml"))
    assert settings.alerts.output == str(path.parent / "a.json")
    assert settings.health.status == path.parent / "conf.d" / "s.json"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\n[capture]\nworkres = 2\n", "3: capture.workres: is no key that this version knows;"),
        ("[captur]\n", "1: 'captur': is no table that this version knows; did you mean capture?"),
        ("a = 1\n[capture]\n", "1: 'a': is no table that this version knows"),
        ("capture = 1\n", "1: capture: is no table; write [capture]"),
        ("[[capture]]\n", "1: capture: is no table"),
        ("[capture]\nworkers = 65\n", "2: capture.workers: 65 is no whole number from 1 to 64"),
        ("[capture]\nworkers = 2\nworkers = 3\n", " is no TOML: cannot overwrite a value (at"),
        ("[capture\n", " is no TOML: expected ']' at the end of a table declaration (at line 1"),
        ("[capture]\ninterfaces = [\n'eth0',\n'eth0']\n", "2: capture.interfaces: 'eth0' is given"),
        ("[network]\nhome = ['10.0.0.1/8']\n", "2: network.home: '10.0.0.1/8' has more bits than"),
        ("[network.devices]\n'10.0.0.1' = 'a'\n'x' = 'b'\n", "3: network.devices: 'x' is neither"),
        ("[alerts.severity]\nscan = 4\n", "2: alerts.severity: 'scan': 4 is no whole number"),
        ("[alerts]\noutput = '~/a'\n", "2: alerts.output: '~/a': ~ means nothing"),
        ("[forward]\nmqtt = 'mqtt://h'\n", "2: forward.mqtt: 'mqtt://h' is no address of an MQTT"),
        ("allow = 1\n", "1: allow: is no array of tables; write [[allow]]"),
        ("allow = [1]\n", "1: allow: is no array of tables"),
        ("\n[[allow]]\ncomment = 'x'\ntask = 'a'\n", "2: allow: the rule has no expires; write"),
        ("[[allow]]\nexpires = 'never'\ntask = 'a'\n", "1: allow: the rule has no comment"),
        ("[[allow]]\ncomment = 'x'\nexpires = 'never'\n", "1: allow: the rule would allow every"),
        ("[[allow]]\ncomment = 'x'\nexpires = 'never'\nprotocol = 'tcp'\nsource = '0.0.0.0/0'\n",
         "1: allow: the rule would allow everything"),
        (RULE + RULE + "sorce = '10.0.0.1'\n", "9: allow.sorce: is no key that this version"),
        (RULE + "port = 0\n", "5: allow.port: 0 is no whole number from 1 to 65535"),
        (RULE + "protocol = 'TCP'\n", "5: allow.protocol: 'TCP' is not \"tcp\""),
        (RULE * (RULES + 1), f"{4 * RULES + 1}: allow: is rule {RULES + 1}; {RULES} are allowed"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_line_key_and_remedy(path, text, says):
    assert failure(path, text).startswith(says)


def test_nearest_known_key_or_table_is_named(path):
    for text, meant in (
        ("[capture]\nworkres = 2\n", "did you mean workers?"),
        ("[capture]\nBUFFER_MIB = 2\n", "did you mean buffer_mib?"),
        ("[Network]\n", "did you mean network?"),
        ("[[alow]]\n", "did you mean allow?"),
        (RULE + "until = 'never'\n", "there are comment, expires, task, source, destination,"),
        ("[capture]\n'' = 2\n", "there are interfaces, source, buffer_mib,"),
    ):
        assert meant in failure(path, text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cut_off = true\nworkers = 2", "2: capture.cut_off: takes one interface"),
        ("cut_off = true\ninterfaces = ['a', 'b']", "2: capture.cut_off: takes one interface"),
        ("cut_off = true\ntap = '/t'", "2: capture.cut_off: takes one interface"),
        ("source = 'tshark'\nworkers = 2", '3: capture.workers: takes source = "native"'),
        ("source = 'tshark'\nbuffer_mib = 2", "3: capture.buffer_mib: takes source"),
        ("source = 'tshark'\ntap = '/t'", "3: capture.tap: takes source"),
        ("source = 'tshark'\ninterfaces = ['a', 'b']", "3: capture.interfaces: several take"),
        ("[models]\nactive = []\nrule = false", "3: models.active: is empty and rule is false"),
        ("[models]\nshadow = ['iot-gateway']", "3: models.shadow: 'iot-gateway' is active already"),
        ("[health]\ninterval_s = 400", " health.silence_s: is less than interval_s"),
        ("[health]\nstatus = '/a'\nmetrics = '/b/../a'", "4: health.metrics: /a is health.status"),
        ("[alerts]\noutput = '/a'\n[forward]\nstate = '/a.old'", "5: forward.state: /a.old is al"),
    ],
)  # fmt: skip
def test_values_that_do_not_go_together_are_told(path, text, says):
    assert failure(path, f"[capture]\n{text}\n").startswith(says)


def test_values_of_several_files_have_to_go_together(path):
    path.write_text("[capture]\nworkers = 2\n")
    more = path.parent / "conf.d" / "a.toml"
    more.write_text("\n[capture]\ncut_off = true\n")
    with pytest.raises(ConfigurationError, match=f"^{more}:3: capture.cut_off: takes one"):
        read(path)


def test_mistake_in_a_later_file_is_told_with_its_name(path):
    path.write_text("")
    more = path.parent / "conf.d" / "a.toml"
    more.write_text("[alerts]\nlimit_mib = '64'\n")
    with pytest.raises(ConfigurationError, match=f"^{more}:2: alerts.limit_mib: '64' is no whole"):
        read(path)


def test_missing_file_and_forbidden_one_have_their_own_status(path):
    with pytest.raises(MissingInputError, match=r"no such file; .* config default"):
        read(path)
    path.write_text("")
    path.chmod(0)
    with unprivileged(), pytest.raises(PermissionDeniedError, match="permission denied"):
        read(path)
    path.chmod(0o644)
    more = path.parent / "conf.d"
    for parent in (path.parent, *path.parent.parents[:-2]):
        parent.chmod(0o755)
    more.chmod(0)
    with unprivileged(), pytest.raises(PermissionDeniedError, match=r"conf\.d: permission denied"):
        read(path)


def test_link_to_nowhere_is_missing_and_one_to_itself_is_wrong(path):
    path.symlink_to("nowhere")
    with pytest.raises(MissingInputError, match="no such file"):
        read(path)
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(ConfigurationError, match="too many levels of symbolic links"):
        read(path)


def test_what_is_no_regular_file_is_refused_without_waiting(path):
    os.mkfifo(path)
    for each in (path, path.parent, Path("/dev/zero"), Path("/dev/tty")):
        with pytest.raises(ConfigurationError, match=r"no regular file|no such device"):
            read(each)


def test_folder_of_more_files_that_is_none_is_told(path):
    path.write_text("")
    (path.parent / "conf.d").rmdir()
    read(path)
    (path.parent / "conf.d").write_text("")
    with pytest.raises(ConfigurationError, match=r"conf\.d: is no folder"):
        read(path)
    (path.parent / "conf.d").unlink()
    (path.parent / "conf.d").mkdir()
    (path.parent / "conf.d" / "a.toml").mkdir()
    with pytest.raises(ConfigurationError, match=r"a\.toml: is no regular file"):
        read(path)


def test_number_and_length_of_files_are_bounded(path):
    path.write_text("#" * FILE_BYTES)
    read(path)
    path.write_text("#" * (FILE_BYTES + 1))
    with pytest.raises(ConfigurationError, match="is longer than 1 MiB"):
        read(path)
    path.write_text("")
    for k in range(65):
        (path.parent / "conf.d" / f"{k}.toml").write_text("")
    with pytest.raises(ConfigurationError, match="holds 65 files; 64 are allowed"):
        read(path)


def test_bytes_that_are_no_text_are_told_with_their_line(path):
    path.write_bytes(b"[capture]\n\nworkers = \xff\n")
    with pytest.raises(ConfigurationError, match=f"^{path}:3: is no UTF-8 text"):
        read(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = " + "[" * 100_000, "lie too deep in each other"),
        ("a = " + "{b=" * 100_000, "lie too deep in each other"),
        ("a" + ".a" * 100_000 + " = 1", "a key has more than 32 parts"),
        ("[" + "a . " * 100_000 + "a]", "a key has more than 32 parts"),
        ("a = [1, { " + "a." * 100_000 + "a = 1 }]", "a key has more than 32 parts"),
        ("[[" + "'a'." * 100_000 + "a]]", "a key has more than 32 parts"),
        ("[capture]\nworkers = " + "9" * 100_000, "a value can't be read"),
        ("[capture]\nworkers = 0x" + "f" * 100_000, "a number of that size is no whole"),
        ("[capture]\nsource = '" + "a" * 1_000_000 + "'", "2: capture.source: 'aaa"),
        ("[capture]\n" + "a" * 1_000_000 + " = 1", "2: capture.'aaa"),
        ("[" + "a" * 1_000_000 + "]", "1: 'aaa"),
        (" " * 1_000_000 + "=", "is no TOML"),
        ("[[allow]]\n" * 100_000, "1: allow: the rule has no comment"),
    ],
    ids=lambda text: text[:20],
)
def test_what_would_take_long_or_much_is_refused_at_once(path, text, says):
    before = time.process_time()
    message = failure(path, text)
    assert says in message
    assert len(message) < 400
    assert time.process_time() - before < 30  # quadratic ones take many minutes


def test_reading_loads_nothing_heavy():
    code = (
        "import sys, sensor.service.config.configuration as c\n"
        "from pathlib import Path\n"
        "c.read(Path(sys.argv[1]))\n"
        "heavy = ('email', 'http', 'xml', 'asyncio', 'difflib', 'importlib.metadata', 'decimal')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    example = Path(__file__).parents[2] / "systemd" / "sensor.toml"
    done = subprocess.run(
        [sys.executable, "-c", code, example],
        cwd=example.parents[1], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "[]\n"

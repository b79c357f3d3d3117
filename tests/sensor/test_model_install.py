import contextlib
import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import warnings
from pathlib import Path

import pytest
from forged import rewritten, with_file
from signing import made_key, sign

from sensor.errors import (
    BundleError,
    MissingInputError,
    OutputError,
    PermissionDeniedError,
)
from sensor.model.bundle import Bundle
from sensor.model.trust import Trust
from sensor.service.models import model_install
from sensor.service.models.model_install import install, roll_back
from sensor.service.models.model_store import SHIPPED_MODEL, resolve, shipped_models, versions

ROOT = Path(__file__).parents[2]
NAME = SHIPPED_MODEL


@pytest.fixture
def made(tmp_path):
    """Makes bundles that differ in their cards: versions of the shipped one, less its figures."""

    def make(card: str) -> Path:
        folder = tmp_path / "made" / card
        if not folder.exists():
            shutil.copytree(shipped_models() / NAME, folder)
            rewritten(folder, lambda manifest: manifest.update(metrics={}, provenance={}))
            with_file(folder, "README.md", f"# {card}\n".encode())
        return folder

    return make


@pytest.fixture
def store(tmp_path):
    """Where a store will be; nothing is there yet."""
    return tmp_path / "state" / "models"


@pytest.fixture
def unproved(monkeypatch):
    """Leaves the child out, where a test is about how what it proves is put in place."""
    monkeypatch.setattr(model_install, "read_proved", read_alone)


def read_alone(path: Path, trust: Trust) -> tuple[Bundle, None]:
    return Bundle.read(path, trust), None


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def identity(bundle: Path) -> str:
    return json.loads((bundle / "manifest.json").read_text())["manifest_sha256"]


def card(store: Path) -> str:
    """What is in use, as a sensor that starts now reads it."""
    return Bundle.read(resolve(NAME, store)).card.removeprefix("# ").strip()


def linked_card(store: Path, link: str) -> str:
    return Bundle.read(store / NAME / (store / NAME / link).readlink()).card[2:-1]


def put(source: Path, store: Path, trust: Trust | None = None, **options):
    return install(source, store, trust or Trust(), **options)


def test_a_bundle_is_installed_and_in_use(made, store):
    done = put(made("one"), store)
    folder = store / NAME / identity(made("one"))[:12]
    assert (done.bundle.path, done.before, done.used) == (folder, None, True)
    assert done.proof.rows == 64
    assert resolve(NAME, store) == folder
    assert entries(folder) == [
        "README.md",
        "golden.npz",
        "manifest.json",
        "model.tflite",
    ]
    for name in entries(folder):
        assert (folder / name).read_bytes() == (made("one") / name).read_bytes()
    assert entries(store) == [NAME]
    assert entries(store / NAME) == sorted([folder.name, "current"])
    assert (store / NAME / "current").readlink() == Path(folder.name)


@pytest.mark.usefixtures("unproved")
def test_the_sensors_user_may_read_what_root_installs(made, store):
    mask = os.umask(0o077)
    try:
        put(made("one"), store)
    finally:
        os.umask(mask)
    folder = resolve(NAME, store)
    assert {path.stat().st_mode & 0o777 for path in (store, store / NAME, folder)} == {0o755}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}


@pytest.mark.usefixtures("unproved")
def test_versions_change_and_go_back(made, store):
    put(made("one"), store)
    done = put(made("two"), store)
    assert (done.before, card(store)) == (store / NAME / identity(made("one"))[:12], "two")
    assert [each.state for each in versions(store, NAME)] == ["current", "previous"]
    back = roll_back(NAME, store, Trust())
    assert (back.before, back.bundle.card) == (done.bundle.path, "# one\n")
    assert card(store) == "one"
    assert [each.state for each in versions(store, NAME)] == ["previous", "current"]
    roll_back(NAME, store, Trust())
    assert card(store) == "two"


@pytest.mark.usefixtures("unproved")
def test_a_version_can_wait_in_the_store(made, store):
    put(made("one"), store)
    done = put(made("two"), store, use=False)
    assert (done.used, card(store)) == (False, "one")
    assert put(done.bundle.path, store).used
    assert card(store) == "two"


@pytest.mark.usefixtures("unproved")
def test_installing_again_changes_nothing(made, store):
    put(made("one"), store)
    put(made("two"), store)
    again = put(made("two"), store)
    assert again.before == again.bundle.path
    assert [each.state for each in versions(store, NAME)] == ["current", "previous"]
    assert roll_back(NAME, store, Trust()).bundle.card == "# one\n"


@pytest.mark.usefixtures("unproved")
def test_three_versions_are_kept_and_never_is_one_in_use_removed(made, store):
    def kept() -> list[str]:
        return [Bundle.read(each.path).card[2:-1] for each in versions(store, NAME)]

    for number in "abc":
        put(made(number), store)
    assert kept() == ["c", "b", "a"]
    removed = put(made("d"), store).removed
    assert removed == (store / NAME / identity(made("a"))[:12],)
    assert kept() == ["d", "c", "b"]
    # d and c stay, whatever their age; of the others the last one installed does
    for number in "efg":
        put(made(number), store, use=False)
        assert kept() == [number, "d", "c"]
    assert entries(store) == [NAME]


@pytest.mark.usefixtures("unproved")
def test_a_damaged_version_is_mended_where_it_lies(made, store):
    folder = put(made("one"), store).bundle.path
    put(made("two"), store)
    roll_back(NAME, store, Trust())
    (folder / "model.tflite").write_bytes(b"TFL3")
    (folder / "golden.npz").unlink()
    put(made("one"), store)
    assert card(store) == "one"
    assert roll_back(NAME, store, Trust()).bundle.card == "# two\n"


def test_the_copy_is_proved_and_nothing_is_read_from_the_source_after_it(made, store, monkeypatch):
    """Whoever may write to the source changes it as soon as it has been copied."""
    proved = []

    def proving(path: Path, trust: Trust):
        proved.append(path)
        damaged(made("one"))
        return read_alone(path, trust)

    monkeypatch.setattr(model_install, "read_proved", proving)
    put(made("one"), store)
    assert proved == [store / ".install"]
    assert card(store) == "one"


@pytest.mark.usefixtures("unproved")
def test_what_is_not_the_bundle_is_left_behind(made, store):
    (made("one") / "notes.txt").write_text("x")
    (made("one") / "deep").mkdir()
    folder = put(made("one"), store).bundle.path
    assert not {"notes.txt", "deep"} & set(entries(folder))


def damaged(bundle: Path) -> Path:
    (bundle / "model.tflite").write_bytes(b"TFL3")
    return bundle


REFUSED = {
    "damaged": (damaged, "model.tflite: does not have the SHA-256", BundleError),
    "forged": (
        lambda bundle: with_file(bundle, "model.tflite", b"TFL3" * 9),
        "is not a TFLite model",
        BundleError,
    ),
    "name": (
        lambda bundle: rewritten(bundle, lambda manifest: manifest.update(name="../up")),
        "name is not a short",
        BundleError,
    ),
    "empty": (lambda bundle: bundle.parent, "manifest.json: no such file", MissingInputError),
    "missing": (lambda bundle: bundle / "none", "none: no such file or folder", MissingInputError),
    "no archive": (lambda bundle: bundle / "model.tflite", "nor a tar archive", BundleError),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.usefixtures("unproved")
def test_what_is_refused_leaves_everything_as_it_was(made, store, case):
    put(made("one"), store)
    change, words, kind = REFUSED[case]
    source = change(made("two"))
    with pytest.raises(kind, match=words) as caught:
        put(source, store)
    assert str(caught.value).startswith(str(source)), "it names what the person gave"
    assert ".install" not in str(caught.value)
    assert card(store) == "one"
    assert (entries(store), len(entries(store / NAME))) == ([NAME], 2)


def test_an_operators_trust_is_asked_for(made, store, tmp_path):
    private, public = made_key(tmp_path)
    signed = Trust(keys=(public,))
    with pytest.raises(BundleError, match=f"^{made('one')}/manifest.json.sig: is missing"):
        put(made("one"), store, signed)
    with pytest.raises(BundleError, match=f"^{made('one')}/manifest.json: is not a permitted"):
        put(made("one"), store, Trust(permitted=frozenset({64 * "0"})))
    assert not (store / NAME).exists()
    sign(made("one"), private)
    assert put(made("one"), store, signed).used
    assert (resolve(NAME, store) / "manifest.json.sig").stat().st_size == 64
    # what was installed without keys gets its signature when it is installed again
    put(made("two"), store)
    sign(made("two"), private)
    put(made("two"), store)
    assert roll_back(NAME, store, signed).bundle.card == "# one\n"
    assert roll_back(NAME, store, signed).bundle.card == "# two\n"


def test_a_signature_in_use_stays_with_the_bytes_that_it_signs(made, store, tmp_path):
    """The same bundle again, laid out otherwise and unsigned, where no keys are configured."""
    private, public = made_key(tmp_path)
    sign(made("one"), private)
    put(made("one"), store)
    manifest = made("one") / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()), indent=2))
    (made("one") / "manifest.json.sig").unlink()
    put(made("one"), store)
    put(resolve(NAME, store), store, Trust(keys=(public,)))


@pytest.mark.usefixtures("unproved")
def test_there_is_no_way_back_without_a_version_before(made, store):
    with pytest.raises(MissingInputError, match=r"no such model in the store .*it is empty"):
        roll_back(NAME, store, Trust())
    put(made("one"), store)
    with pytest.raises(MissingInputError, match=r"no version was in use before .*install the one"):
        roll_back(NAME, store, Trust())
    waiting = put(made("two"), store, use=False).bundle.path
    with pytest.raises(MissingInputError, match=f"models install {waiting}"):
        roll_back(NAME, store, Trust())
    with pytest.raises(MissingInputError, match=f"there are: {NAME}"):
        roll_back("other", store, Trust())


@pytest.mark.usefixtures("unproved")
def test_the_way_to_a_damaged_version_is_refused(made, store):
    before = put(made("one"), store).bundle.path
    put(made("two"), store)
    damaged(before)
    with pytest.raises(BundleError, match="SHA-256"):
        roll_back(NAME, store, Trust())
    assert card(store) == "two"
    assert [each.state for each in versions(store, NAME)] == ["current", "previous"]


@pytest.mark.usefixtures("unproved")
def test_the_way_back_from_a_version_that_is_gone(made, store):
    put(made("one"), store)
    shutil.rmtree(put(made("two"), store).bundle.path)
    with pytest.raises(BundleError, match="rollback"):
        resolve(NAME, store)
    roll_back(NAME, store, Trust())
    assert card(store) == "one"


@pytest.mark.usefixtures("unproved")
def test_two_changes_at_once_are_told(made, store):
    put(made("one"), store)
    held = os.open(store, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        with pytest.raises(OutputError, match="another process is changing it"):
            put(made("two"), store)
    finally:
        os.close(held)
    assert put(made("two"), store).used


@pytest.mark.usefixtures("unproved")
def test_a_store_that_may_not_be_written_is_told(made):
    # in a folder that everybody may look into, which pytest's own are not
    with tempfile.TemporaryDirectory(prefix="multa-") as folder:
        Path(folder).chmod(0o755)
        store = Path(folder) / "models"
        put(made("one"), store)
        put(made("two"), store)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65_534)
        else:
            (store / NAME).chmod(0o500)
        try:
            with pytest.raises(PermissionDeniedError):
                roll_back(NAME, store, Trust())
        finally:
            os.seteuid(user)
            (store / NAME).chmod(0o755)


def archive(path: Path, members: dict[str, bytes | None], mode: str = "w:gz") -> Path:
    """A tar archive; None makes a folder."""
    with tarfile.open(path, mode) as made:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if content is None:
                member.type = tarfile.DIRTYPE
            else:
                member.size = len(content)
            made.addfile(member, io.BytesIO(content or b""))
    return path


def contents(bundle: Path, prefix: str = "") -> dict[str, bytes | None]:
    return {prefix + path.name: path.read_bytes() for path in sorted(bundle.iterdir())}


@pytest.mark.parametrize("form", ["gzip", "plain", "flat"])
def test_an_archive_is_installed_like_its_folder(made, store, tmp_path, form):
    packed = tmp_path / "bundle.tar.gz"
    if form == "flat":
        archive(packed, contents(made("one")))
    else:
        options = "-czf" if form == "gzip" else "-cf"
        command = ["tar", options, str(packed), "-C", str(made("one").parent), "one"]
        subprocess.run(command, check=True)
    assert put(packed, store).bundle.manifest_sha256 == identity(made("one"))
    folder = resolve(NAME, store)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == contents(made("one"))


def foreign(kind: bytes, name: str = "one/manifest.json.sig") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return member


def test_an_archive_holds_the_files_of_one_bundle_and_nothing_else(made, store, tmp_path):
    good = contents(made("one"), "one/")
    bad: dict[str, dict[str, bytes | None]] = {
        "unknown": {**good, "one/x": b""},
        "two bundles": {**good, "two/manifest.json.sig": b""},
        "up": {**good, "../manifest.json.sig": b""},
        "absolute": {**good, "/manifest.json.sig": b""},
        "large": {**good, "one/manifest.json.sig": bytes(1025)},
        "many": {**{f"one/{number}": None for number in range(64)}, **good},
    }
    for case, members in bad.items():
        packed = archive(tmp_path / "bad.tar.gz", members)
        with pytest.raises(BundleError, match="is no file of a bundle, or one too many") as caught:
            put(packed, store)
        assert "\n" not in str(caught.value), case
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
        packed = archive(tmp_path / "bad.tar", good, "w")
        with tarfile.open(packed, "a") as opened:
            opened.addfile(foreign(kind))
        with pytest.raises(BundleError, match=r"'one/manifest.json.sig' is no file of a bundle"):
            put(packed, store)
    twice = archive(tmp_path / "twice.tar", good, "w")
    with tarfile.open(twice, "a") as opened:
        opened.addfile(tarfile.TarInfo("one/README.md"))
    with pytest.raises(BundleError, match=r"'one/README.md' is no file .* one too many"):
        put(twice, store)
    del good["one/manifest.json"]
    with pytest.raises(BundleError, match=r"holds no manifest.json"):
        put(archive(tmp_path / "bad.tar.gz", good), store)
    assert not store.exists(), "nothing was written"


def test_an_archive_that_unpacks_to_more_than_a_bundle_is_refused_unread(store, tmp_path):
    bomb = tmp_path / "bomb.tar.gz"
    command = "head -c 40M /dev/zero | gzip -1"
    with bomb.open("wb") as file:
        subprocess.run(["sh", "-c", command], stdout=file, check=True)
    with pytest.raises(BundleError, match="holds more than a bundle can"):
        put(bomb, store)


def test_damaged_archives_are_refused_with_one_line(made, tmp_path):
    packed = archive(tmp_path / "good.tar", contents(made("one"), "one/"), "w")
    good = packed.read_bytes()
    headers = [place for place in range(0, len(good), 512) if good[place + 257 :][:5] == b"ustar"]
    assert len(headers) == 4
    bad = tmp_path / "bad.tar"
    for place in headers:
        for offset in range(0, 512, 7):
            content = bytearray(good)
            content[place + offset] ^= 0xFF
            bad.write_bytes(content)
            with contextlib.suppress(BundleError):  # some bytes mean nothing
                model_install._from_archive(bad)
    for length in range(0, len(good), 9_973):
        bad.write_bytes(good[:length])
        with pytest.raises(BundleError):
            model_install._from_archive(bad)


def step_by_step(action, store: Path, kill_at: int) -> bool:
    """Acts in a process that is killed before its so-manieth change of a file; whether it was."""
    with warnings.catch_warnings():
        # From Python 3.12 on; the child uses no lock of the threads that NumPy has.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        changes = 0

        def hook(event: str, arguments: tuple) -> None:
            nonlocal changes
            writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & 3
            if writes or event in CHANGES:
                changes += 1
                if changes == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        status = 1
        try:
            action(store)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.chmod", "os.utime"}


@pytest.mark.parametrize("what", ["install", "install the same", "rollback", "fourth version"])
@pytest.mark.usefixtures("unproved")
def test_a_kill_at_any_moment_leaves_a_store_that_can_be_used(made, tmp_path, what):
    origin = tmp_path / "origin"
    first = ["a", "b", "c"] if what == "fourth version" else ["a", "b"]
    for number in first:
        put(made(number), origin)
    new = made("b" if what == "install the same" else "d")

    def action(store: Path) -> None:
        if what == "rollback":
            roll_back(NAME, store, Trust())
        else:
            install(new, store, Trust())

    before = first[-1]
    after = {"rollback": "a", "install the same": "b"}.get(what, "d")
    kill_at, seen, pairs = 1, [], set()
    while True:
        store = tmp_path / "store"
        shutil.copytree(origin, store, symlinks=True)
        killed = step_by_step(action, store, kill_at)
        seen.append(card(store))
        pairs.add((card(store), linked_card(store, "previous")))
        # Whatever was left over is in nobody's way.
        put(new, store)
        assert card(store) == Bundle.read(new).card[2:-1]
        assert entries(store) == [NAME]
        assert len(versions(store, NAME)) <= 3
        shutil.rmtree(store)
        if not killed:
            break
        kill_at += 1
    assert kill_at > (2 if what == "rollback" else 10), "it was killed at many places"
    switch = seen.index(after)
    assert seen == [before] * switch + [after] * (len(seen) - switch)
    # The version that was used before is never skipped; where both links are the same, there is
    # none to go back to, and to install again mends that.
    assert (
        pairs
        == {
            "install": {("b", "a"), ("b", "b"), ("d", "b")},
            "install the same": {("b", "a")},
            "rollback": {("b", "a"), ("a", "a"), ("a", "b")},
            "fourth version": {("c", "b"), ("c", "c"), ("d", "c")},
        }[what]
    )


@pytest.mark.usefixtures("unproved")
def test_a_reader_never_finds_half_a_version(made, store):
    put(made("a"), store)
    put(made("b"), store)
    found, over = [], threading.Event()

    def read() -> None:
        while not over.is_set():
            found.append(card(store))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(5):
            roll_back(NAME, store, Trust())
    finally:
        over.set()
        reader.join()
    assert set(found) == {"a", "b"}


def test_a_full_disk_leaves_what_is_in_use(made, tmp_path):
    """On a disk of its own, in sizes from one that holds nothing new to one that holds it all."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small disk")
    program = """
import os, sys
from pathlib import Path
from sensor.errors import MultaError, OutputError
from sensor.model.bundle import Bundle
from sensor.model.trust import Trust
from sensor.service.models import model_install
from sensor.service.models.model_store import resolve
model_install.read_proved = lambda path, trust: (Bundle.read(path, trust), None)
disk, one, two = map(Path, sys.argv[1:])
os.system(f"mount -t tmpfs -o size=1m tmpfs {disk}")
store = disk / "models"
model_install.install(one, store, Trust())
card = lambda: Bundle.read(resolve("iot-gateway", store)).card
outcomes = []
page = os.sysconf("SC_PAGE_SIZE")
while len(outcomes) < 400:
    left = os.statvfs(disk).f_bavail * page
    size = max(0, left - page * len(outcomes))
    (disk / "filling").write_bytes(bytes(size))
    try:
        model_install.install(two, store, Trust())
    except OutputError as error:
        assert "No space left on device" in str(error), error
        assert card() == "# one\\n", card()
        assert os.listdir(store) == ["iot-gateway"], os.listdir(store)
        outcomes.append("full")
    else:
        assert card() == "# two\\n"
        break
    finally:
        (disk / "filling").unlink()
print(len(outcomes))
"""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["unshare", "-m", sys.executable, "-c", program, disk, made("one"), made("two")]
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10

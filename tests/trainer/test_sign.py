import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from signing import made_key, openssl, sign

from sensor.errors import BundleError, MissingInputError, MultaError, UsageError
from sensor.model.bundle import Bundle
from sensor.model.trust import Trust
from sensor.model.verification import verify
from trainer.cli.sign import sign as sign_command

SHIPPED = Path(__file__).parents[2] / "models/iot-gateway"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "iot-gateway"))


def run(bundle: Path, key: Path) -> str:
    """The command's output; what it raises is raised."""
    done = CliRunner().invoke(sign_command, [str(bundle), "--key", str(key)])
    if done.exception:
        raise done.exception
    return done.output


def test_a_signature_is_the_one_that_openssl_makes(bundle: Path, tmp_path: Path) -> None:
    private, public = made_key(tmp_path)
    place = bundle / "manifest.json.sig"
    assert run(bundle, private) == f"{place}\n"
    ours = place.read_bytes()
    assert len(ours) == 64
    assert verify(Bundle.read(bundle), Trust(keys=(public,))).rows == 64
    sign(bundle, private)
    assert place.read_bytes() == ours, "ed25519 has one signature for each message"
    check = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(public)]
    check += ["-in", str(bundle / "manifest.json"), "-sigfile", str(place)]
    assert subprocess.run(check, check=False, capture_output=True).returncode == 0
    assert sorted(path.name for path in bundle.iterdir()) == sorted(
        [*(path.name for path in SHIPPED.iterdir()), "manifest.json.sig"]
    )


def test_a_damaged_bundle_is_not_signed(bundle: Path, tmp_path: Path) -> None:
    private, _ = made_key(tmp_path)
    (bundle / "README.md").write_text("x")
    with pytest.raises(BundleError, match="SHA-256"):
        run(bundle, private)
    assert not (bundle / "manifest.json.sig").exists()


def test_keys_that_are_none_are_told(bundle: Path, tmp_path: Path) -> None:
    private, public = made_key(tmp_path)
    locked, rsa = tmp_path / "locked.pem", tmp_path / "rsa.pem"
    openssl("pkey", "-in", private, "-aes256", "-passout", "pass:secret", "-out", locked)
    openssl("genpkey", "-algorithm", "RSA", "-out", rsa)
    expected: list[tuple[Path, type[MultaError], str]] = [
        (locked, UsageError, "has a password; sign with openssl pkeyutl"),
        (rsa, UsageError, "holds no private ed25519 key"),
        (public, UsageError, "holds no private ed25519 key"),
        (bundle, UsageError, "can't be read"),
        (tmp_path / "none.pem", MissingInputError, "make a key with openssl genpkey"),
    ]
    for key, kind, words in expected:
        with pytest.raises(kind, match=words) as caught:
            run(bundle, key)
        assert "\n" not in str(caught.value)
    assert not (bundle / "manifest.json.sig").exists()

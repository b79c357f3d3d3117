import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from signing import made_key, openssl, sign

from sensor.errors import BundleError, HostError, MissingInputError, PermissionDeniedError
from sensor.model.bundle import Bundle
from sensor.model.trust import Trust, check_signature

ROOT = Path(__file__).parents[2]

# RFC 8032, section 7.1: the key of TEST 3 and what it makes of two bytes.
RFC_KEY = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"
RFC_MESSAGE = "af82"
RFC_SIGNATURE = (
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)
PLACE = Path("bundle/manifest.json.sig")


@pytest.fixture
def rfc_key(tmp_path):
    """The key in PEM: RFC 8410 says which 12 bytes stand before its 32."""
    der = tmp_path / "rfc.der"
    der.write_bytes(bytes.fromhex("302a300506032b6570032100" + RFC_KEY))
    pem = tmp_path / "rfc.pem"
    openssl("pkey", "-pubin", "-inform", "DER", "-in", der, "-pubout", "-out", pem)
    return pem


def refused(words, manifest, signature, *keys, kind=BundleError):
    with pytest.raises(kind, match=words) as caught:
        check_signature(manifest, signature, keys, PLACE)
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)  # what is wrong, and what to do about it


def test_a_signature_of_the_standard_is_accepted(rfc_key, tmp_path):
    message, signature = bytes.fromhex(RFC_MESSAGE), bytes.fromhex(RFC_SIGNATURE)
    check_signature(message, signature, [rfc_key], PLACE)
    _, other = made_key(tmp_path)
    check_signature(message, signature, [other, rfc_key], PLACE)


def test_any_changed_bit_is_refused(rfc_key):
    message, signature = bytes.fromhex(RFC_MESSAGE), bytes.fromhex(RFC_SIGNATURE)
    for bit in range(8 * len(signature)):
        damaged = bytearray(signature)
        damaged[bit // 8] ^= 1 << bit % 8
        refused("is no signature of manifest.json by .*rfc.pem", message, bytes(damaged), rfc_key)
    for bit in range(8 * len(message)):
        changed = bytearray(message)
        changed[bit // 8] ^= 1 << bit % 8
        refused("is no signature of manifest.json", bytes(changed), signature, rfc_key)


def test_a_missing_short_or_long_signature_is_refused(rfc_key):
    message, signature = bytes.fromhex(RFC_MESSAGE), bytes.fromhex(RFC_SIGNATURE)
    refused("manifest.json.sig: is missing, and only signed", message, None, rfc_key)
    for wrong in (b"", signature[:-1], signature + b"\n"):
        refused("manifest.json.sig: is damaged, .* has 64 bytes", message, wrong, rfc_key)


def test_a_signature_of_another_key_is_refused(tmp_path):
    _, other = made_key(tmp_path)
    message, signature = bytes.fromhex(RFC_MESSAGE), bytes.fromhex(RFC_SIGNATURE)
    refused(f"by {other}; .* or another key has signed", message, signature, other)


def test_key_files_that_are_none_are_told(rfc_key, tmp_path):
    message, signature = bytes.fromhex(RFC_MESSAGE), bytes.fromhex(RFC_SIGNATURE)
    rsa, private = tmp_path / "rsa.pem", tmp_path / "rsa.private.pem"
    openssl("genpkey", "-algorithm", "RSA", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", rsa)
    text = tmp_path / "text.pem"
    text.write_text("-----BEGIN PUBLIC KEY-----\nnothing\n-----END PUBLIC KEY-----\n")
    for wrong in (rsa, private, text):
        refused(f"^{wrong}: holds no ed25519 public key", message, signature, wrong)
        # one of several is no key: that is not passed over either
        refused(f"^{wrong}: holds no ed25519 public key", message, signature, rfc_key, wrong)
    none = tmp_path / "none.pem"
    refused(f"^{none}: no such file", message, signature, none, kind=MissingInputError)
    refused(f"^{tmp_path}: can't be read", message, signature, tmp_path)


def test_a_key_file_that_may_not_be_read_is_told(rfc_key):
    rfc_key.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)
    try:
        refused("permission denied", b"", b"", rfc_key, kind=PermissionDeniedError)
    finally:
        os.seteuid(user)


def test_without_the_library_it_is_said_which_extra_brings_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    refused("extra `signatures`", b"", b"", tmp_path / "key.pem", kind=HostError)


@pytest.fixture
def folder(random_bundle, tmp_path):
    """A copy that a test may damage."""
    return Path(shutil.copytree(random_bundle, tmp_path / "copy"))


def test_only_permitted_bundles_are_read(folder):
    digest = json.loads((folder / "manifest.json").read_text())["manifest_sha256"]
    assert Bundle.read(folder, Trust(frozenset({digest, 64 * "0"}))).manifest_sha256 == digest
    assert Bundle.read(folder, Trust()).manifest_sha256 == digest
    with pytest.raises(BundleError, match=f"is not a permitted bundle .*{digest}.*`permitted`"):
        Bundle.read(folder, Trust(frozenset({64 * "0"})))


def test_damage_is_told_before_the_list_is_looked_at(folder):
    (folder / "model.tflite").write_bytes(b"TFL3")
    with pytest.raises(BundleError, match="does not have the SHA-256"):
        Bundle.read(folder, Trust(frozenset({64 * "0"})))


def test_the_process_that_captures_never_loads_the_library(folder, tmp_path):
    private, public = made_key(tmp_path)
    sign(folder, private)
    code = (
        "import sys; from pathlib import Path\n"
        "from sensor.model.trust import Trust\n"
        "from sensor.model.verification import read_proved\n"
        f"read_proved(Path({str(folder)!r}), Trust(keys=(Path({str(public)!r}),)))\n"
        "print([name for name in sys.modules if name.startswith('cryptography')])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True) == "[]\n"

"""Keys and signatures as an operator makes them: with openssl."""

import subprocess
from pathlib import Path

import pytest


def openssl(*arguments: object) -> None:
    """Runs openssl; skips the test where the library that checks its work is missing."""
    pytest.importorskip("cryptography")
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def made_key(folder: Path, name: str = "key") -> tuple[Path, Path]:
    """An ed25519 key: the files of its private and its public part."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    openssl("genpkey", "-algorithm", "ed25519", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    return private, public


def sign(bundle: Path, private: Path) -> Path:
    """Signs a bundle; the signature's file."""
    manifest = bundle / "manifest.json"
    signature = bundle / "manifest.json.sig"
    openssl("pkeyutl", "-sign", "-rawin", "-in", manifest, "-inkey", private, "-out", signature)
    return signature

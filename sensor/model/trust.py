"""Whose bundles an operator accepts: a list of permitted ones, and signatures of known keys.

A signature is optional and lies beside the bundle: ``manifest.json.sig`` holds the 64 bytes of an
ed25519 signature (RFC 8032) over the exact bytes of ``manifest.json``, which names every other
file by SHA-256. Keys are public ones in PEM, as ``openssl pkey -pubout`` writes them. Signatures
are checked by the child that `sensor.model.verification` starts, never by the process that
captures: the library for them would cost it memory.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sensor.errors import BundleError, HostError, MissingInputError, PermissionDeniedError

SIGNATURE_BYTES = 64
"""Of ed25519 (RFC 8032, section 5.1.6)."""

KEY_LIMIT = 64 << 10
"""Size above which a key file is refused unread; a public key in PEM has 113 bytes."""


@dataclass(frozen=True)
class Trust:
    """What an operator asks of a bundle beyond being intact; by default nothing.

    Attributes:
        permitted: ``manifest_sha256`` of the bundles that may be used; empty for all.
        keys: PEM files of public keys of which one must have signed a bundle; empty for unsigned
            bundles too.
    """

    permitted: frozenset[str] = frozenset()
    keys: tuple[Path, ...] = ()

    def check_permitted(self, manifest_sha256: str, place: Path) -> None:
        """Refuses a bundle that is not on the list.

        Raises:
            BundleError: it is not.
        """
        if self.permitted and manifest_sha256 not in self.permitted:
            raise BundleError(
                f"{place}: is not a permitted bundle (manifest_sha256 {manifest_sha256}); add it "
                "to `permitted` in the configuration if it is meant to be used"
            )


def check_signature(
    manifest: bytes, signature: bytes | None, keys: Sequence[Path], place: Path
) -> None:
    """Proves that one of the keys has signed these bytes.

    Args:
        manifest: content of ``manifest.json``.
        signature: content of the file `place`; None if there is none.
        keys: PEM files, at least one.
        place: for messages.

    Raises:
        BundleError: there is no signature, it is damaged, or it is of none of the keys; or a
            file of `keys` holds no ed25519 public key.
        MissingInputError: a key file does not exist.
        PermissionDeniedError: a key file may not be read.
        HostError: the library for signatures is not installed.
    """
    try:
        from cryptography.exceptions import (  # noqa: PLC0415 -- optional, and large
            InvalidSignature,
            UnsupportedAlgorithm,
        )
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
            Ed25519PublicKey,
        )
    except ImportError:
        raise HostError(
            f"{place}: can't be checked, as the Python package cryptography is not installed; "
            "install multa with its extra `signatures`, or configure no keys"
        ) from None

    def loaded(key: Path) -> Ed25519PublicKey:
        text, found = _key_file(key), None
        # What is no key, and a kind that the library does not know.
        with contextlib.suppress(ValueError, UnsupportedAlgorithm):
            found = serialization.load_pem_public_key(text)
        if not isinstance(found, Ed25519PublicKey):
            raise BundleError(
                f"{key}: holds no ed25519 public key in PEM; write one with openssl pkey -in "
                "KEY.pem -pubout"
            )
        return found

    public = [loaded(key) for key in keys]
    if signature is None:
        raise BundleError(
            f"{place}: is missing, and only signed bundles are accepted (keys are configured); "
            "sign the bundle with one of them, or get a signed one"
        )
    if len(signature) != SIGNATURE_BYTES:
        raise BundleError(
            f"{place}: is damaged, an ed25519 signature has {SIGNATURE_BYTES} bytes; copy it "
            "again, or sign the bundle again"
        )
    for key in public:
        try:
            key.verify(signature, manifest)
        except InvalidSignature:
            continue
        return
    names = ", ".join(map(str, keys))
    raise BundleError(
        f"{place}: is no signature of manifest.json by {names}; one of the two files was changed, "
        "or another key has signed: get the bundle again, or add its maker's key"
    )


def _key_file(key: Path) -> bytes:
    try:
        with key.open("rb") as file:
            return file.read(KEY_LIMIT)
    except FileNotFoundError:
        raise MissingInputError(f"{key}: no such file; give the PEM file of a public key") from None
    except PermissionError:
        raise PermissionDeniedError(
            f"{key}: permission denied; let the sensor's user read it"
        ) from None
    except OSError as error:
        raise BundleError(f"{key}: can't be read ({error.strerror}); give a PEM file") from None

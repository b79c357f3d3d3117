"""``multa-trainer sign``: a signature beside a bundle, which sensors with its key ask for."""

from pathlib import Path

import click

from sensor.errors import MissingInputError, OutputError, PermissionDeniedError, UsageError
from sensor.model.bundle import MANIFEST, SIGNATURE, Bundle, read_file
from sensor.model.trust import KEY_LIMIT


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    required=True,
    metavar="KEY.pem",
    help="Private ed25519 key in PEM, without a password.",
)
def sign(bundle: Path, key: Path) -> None:
    """Signs a bundle, so that sensors can tell who has made it.

    The signature is manifest.json.sig, over the bytes of manifest.json, which names all other
    files by SHA-256. A sensor asks for it where `keys` under [models] name the public key.

    \b
    Example:
      openssl genpkey -algorithm ed25519 -out maker.pem
      openssl pkey -in maker.pem -pubout -out maker.pub.pem
      multa-trainer sign models/iot-gateway --key maker.pem
    """  # noqa: D301 -- click's mark for lines to leave alone
    signature = signed(Bundle.read(bundle), key)
    place = bundle / SIGNATURE
    temporary = bundle / f".{SIGNATURE}.new"
    try:
        temporary.write_bytes(signature)
        temporary.replace(place)
    except OSError as error:
        raise OutputError(f"{place}: can't be written ({error.strerror})") from None
    click.echo(place)


def signed(bundle: Bundle, key: Path) -> bytes:
    """The signature of a bundle's manifest, 64 bytes.

    Raises:
        MissingInputError: the key file does not exist.
        PermissionDeniedError: it may not be read.
        UsageError: it holds no private ed25519 key, or one with a password.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 -- an extra brings it
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )

    try:
        with key.open("rb") as file:
            text = file.read(KEY_LIMIT)
    except FileNotFoundError:
        raise MissingInputError(
            f"{key}: no such file; make a key with openssl genpkey -algorithm ed25519 -out {key}"
        ) from None
    except PermissionError:
        raise PermissionDeniedError(f"{key}: permission denied; sign as the key's owner") from None
    except OSError as error:
        raise UsageError(f"{key}: can't be read ({error.strerror}); give a PEM file") from None
    try:
        found = serialization.load_pem_private_key(text, password=None)
    except TypeError:
        raise UsageError(
            f"{key}: has a password; sign with openssl pkeyutl -sign -rawin -inkey {key} "
            f"-in {bundle.path / MANIFEST} -out {bundle.path / SIGNATURE}"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, Ed25519PrivateKey):
        raise UsageError(f"{key}: holds no private ed25519 key in PEM; give that of the signer")
    return found.sign(read_file(bundle.path, MANIFEST))

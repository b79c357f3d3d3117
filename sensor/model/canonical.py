"""Canonical JSON (RFC 8785) and strict reading of JSON, for documents that are hashed.

A leaf. Numbers follow section 3.2.2.3, that is ECMAScript's Number::toString: the shortest digits
that give the same binary64 value, so 1.0 is ``1`` and 1e-7 is ``1e-7``.
"""

import hashlib
import json
from decimal import Decimal
from typing import Any

_LARGEST_EXACT = 2**53 - 1


def canonical(document: Any) -> bytes:
    """RFC 8785 form of a JSON document.

    Raises:
        ValueError: a number is not finite or an integer beyond ±(2^53 − 1), a string is not
            Unicode, something is not JSON, or it is nested too deeply.
    """
    try:
        return _text(document).encode()
    except RecursionError:
        raise ValueError("nested too deeply for JSON") from None


def sha256(document: Any) -> str:
    """SHA-256 of the canonical form, in hexadecimal."""
    return hashlib.sha256(canonical(document)).hexdigest()


def parse(text: bytes) -> Any:
    """Reads JSON, refusing what is read differently by different readers.

    Raises:
        ValueError: not JSON, not UTF-8, nested too deeply, a repeated key, or NaN or Infinity.
    """
    try:
        return json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        if abs(value) > _LARGEST_EXACT:
            raise ValueError(f"{value} is not exact in JSON")
        return str(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_text, value)) + "]"
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("a key is not a string")
        # Section 3.2.3: keys are sorted by UTF-16 code units.
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{_text(key)}:{_text(value[key])}" for key in keys) + "}"
    raise ValueError(f"{type(value).__name__} is not JSON")


def _number(value: float) -> str:
    """Number::toString of ECMA-262; the names k, n and e are the standard's."""
    decimal = Decimal(repr(value))
    if not decimal.is_finite():
        raise ValueError(f"{value} is not JSON")
    if not decimal:
        return "0"
    sign, digit_tuple, exponent = decimal.normalize().as_tuple()
    digits, minus = "".join(map(str, digit_tuple)), "-" * sign
    k = len(digits)
    n = k + int(exponent)
    if k <= n <= 21:
        return minus + digits + "0" * (n - k)
    if 0 < n <= 21:
        return f"{minus}{digits[:n]}.{digits[n:]}"
    if -6 < n <= 0:
        return f"{minus}0.{'0' * -n}{digits}"
    fraction = f".{digits[1:]}" if k > 1 else ""
    return f"{minus}{digits[0]}{fraction}e{n - 1:+d}"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key is repeated")
    return document


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")

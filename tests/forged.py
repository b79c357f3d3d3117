"""Bundles that were changed by somebody who gets every hash right."""

import hashlib
import json
from pathlib import Path

import rfc8785


def rewritten(folder: Path, change, *, seal: bool = True) -> Path:
    """Changes the manifest, and with `seal` its own hash too: a forger's work, not damage."""
    place = folder / "manifest.json"
    manifest = json.loads(place.read_text())
    change(manifest)
    if seal:
        body = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
        manifest["manifest_sha256"] = hashlib.sha256(rfc8785.dumps(body)).hexdigest()
    place.write_text(json.dumps(manifest))
    return folder


def with_file(folder: Path, name: str, content: bytes) -> Path:
    """Replaces a file and forges the hashes."""
    (folder / name).write_bytes(content)
    entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return rewritten(folder, lambda manifest: manifest["files"].update({name: entry}))

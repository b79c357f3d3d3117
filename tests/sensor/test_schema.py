"""The feature schema: its fingerprint, its way through a manifest, and what is refused."""

import hashlib
import json
from dataclasses import fields, replace

import pytest
import rfc8785

from sensor.errors import BundleError
from sensor.model import schema as contract
from sensor.model.fields import CONTEXT_FIELDS, FIELDS
from sensor.model.schema import FeatureSchema

SCHEMA = FeatureSchema()


def test_canonical_form_is_rfc_8785():

    document = json.loads(SCHEMA.canonical())
    assert rfc8785.dumps(document) == SCHEMA.canonical()
    assert SCHEMA.fingerprint() == hashlib.sha256(rfc8785.dumps(document)).hexdigest()


def test_channels_are_those_of_the_fields_in_order():
    assert SCHEMA.channels == (
        "ip_length", "payload_length", "interarrival", "direction",
        "fin", "syn", "rst", "psh", "ack", "tcp", "udp", "icmp", "valid",
    )  # fmt: skip
    assert FeatureSchema(fields=("valid", "direction")).channels == ("valid", "direction")


CHANGES = {
    "lengths": (4, 8, 12),
    "fields": ("direction", "valid"),
    "context": ("srv_1s",),
    "key": "host_pair",
    "policies": ("first",),
    "decide_after_ms": 999,
    "idle_timeout_ms": 60_000,
    "repeat_min_packets": 3,
    "repeat_all": 32,
}


def test_everything_that_decides_a_feature_changes_the_fingerprint(monkeypatch):
    assert set(CHANGES) == {entry.name for entry in fields(FeatureSchema)}
    found = {SCHEMA.fingerprint()}
    found |= {replace(SCHEMA, **{name: value}).fingerprint() for name, value in CHANGES.items()}
    for name in ("DECODER_REVISION", "FLOW_REVISION"):
        with monkeypatch.context() as patch:
            patch.setattr(contract, name, 99)
            found.add(SCHEMA.fingerprint())
    for table, name in ((FIELDS, "interarrival"), (CONTEXT_FIELDS, "dst_10s")):
        for change in ({"revision": 9}, {"clip": 9}, {"steps": 9}, {"scale": 9}, {"unit": "m"}):
            with monkeypatch.context() as patch:
                patch.setitem(table, name, replace(table[name], **change))
                found.add(SCHEMA.fingerprint())
    assert len(found) == 1 + len(CHANGES) + 2 + 10


def test_documentation_does_not_change_the_fingerprint(monkeypatch):
    before = SCHEMA.fingerprint()
    other = replace(FIELDS["valid"], meaning="other words", caveat="other doubts")
    monkeypatch.setitem(FIELDS, "valid", other)
    assert SCHEMA.fingerprint() == before


def test_a_schema_comes_back_from_its_manifest():
    for schema in (SCHEMA, FeatureSchema(lengths=(255,), fields=("valid",), context=())):
        assert FeatureSchema.from_manifest(schema.to_manifest(), "m") == schema


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fingerprint": "0" * 64}, "fingerprint"),
        ({"fingerprint": None}, "fingerprint"),
        ({"novelty": 1}, "novelty"),
        ({"lengths": None}, "malformed"),
        ({"fields": ["wire_length"]}, "wire_length"),
        ({"context": ["asn_1s"]}, "asn_1s"),
        ({"key": "asn"}, "asn"),
        ({"policies": ["always"]}, "always"),
        ({"lengths": []}, "features"),
        ({"lengths": [8, 4]}, "numbers"),
        ({"lengths": [4, 256]}, "numbers"),
        ({"lengths": [4, 4]}, "numbers"),
        ({"decide_after_ms": True}, "numbers"),
        ({"idle_timeout_ms": 2**31}, "numbers"),
        ({"decide_after_ms": 0}, "numbers"),
        ({"repeat_all": 1.5}, "numbers"),
        ({"idle_timeout_ms": "long"}, "numbers"),
        ({"lengths": 16}, "features"),
        ({"lengths": {}}, "features"),
        ({"fields": [["valid"]]}, "features"),
    ],
)
def test_what_this_version_does_not_implement_is_refused_by_name(change, says):
    document = {**SCHEMA.to_manifest(), **change}
    with pytest.raises(BundleError, match=says) as refusal:
        FeatureSchema.from_manifest(document, "models/x/manifest.json")
    assert str(refusal.value).startswith("models/x/manifest.json: ")


def test_an_entry_that_is_missing_is_refused_by_name():
    document = SCHEMA.to_manifest()
    del document["decide_after_ms"]
    with pytest.raises(BundleError, match="decide_after_ms"):
        FeatureSchema.from_manifest(document, "m")

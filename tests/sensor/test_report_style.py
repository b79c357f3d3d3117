"""The policy of the page permits its own style and script by their hashes, and nothing else."""

import base64
import hashlib
import re

from sensor.reporting.report_style import SCRIPT, STYLE, head


def test_the_policy_permits_this_style_and_this_script_only():
    text = head("title")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    digests = [
        base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        for part in (STYLE, SCRIPT)
    ]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digests[0]}'; "
        f"script-src 'sha256-{digests[1]}'; base-uri 'none'; form-action 'none'"
    )
    assert f"<style>{STYLE}</style>" in text


def test_nothing_in_style_and_script_leads_elsewhere():
    for part in (STYLE, SCRIPT):
        assert not re.search(r"url\(|@import|https?:|fetch|innerHTML|</", part)

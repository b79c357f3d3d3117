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


def test_words_can_be_read_on_both_grounds():
    """Contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3), of the text and of every colour of words."""
    light, dark = (
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", part)) for part in STYLE.split("@media")[:2]
    )
    for colours in (light, dark):
        for words in ("text", "soft", "s1", "s2", "s3", "good"):
            for ground in ("page", "card"):
                assert contrast(colours[words], colours[ground]) >= 4.5, (words, ground)


def contrast(one, other):
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour):
    """Relative luminance as WCAG 2.2 defines it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

"""Tables and words of a report."""

from alert_lines import NOON

from sensor.reporting.report_markup import Cell, count, plain, sentence, table, when


def test_words_are_neither_markup_nor_invisible():
    assert plain("<b>&\"'\u202e\x07") == "&lt;b&gt;&amp;&quot;&#x27;\\u202e\\x07"


def test_times_in_sentences_stay_together():
    assert sentence("at 2026-11-21 12:00:00 <") == "at <time>2026-11-21 12:00:00</time> &lt;"


def test_cells_have_keys_to_sort_by():
    text = table("A & B", ["n", "t"], [[count(1234), "<x>"], [Cell("two", 2, "n"), 5]], kind="k")
    assert text == (
        '<table class="k"><caption>A &amp; B</caption><thead><tr><th scope="col" class=n>n</th>'
        '<th scope="col">t</th></tr></thead><tbody>\n'
        '<tr><td class="n" data-k="1234">1,234</td><td>&lt;x&gt;</td></tr>\n'
        '<tr><td class="n" data-k="2">two</td><td>5</td></tr>\n</tbody></table>'
    )
    assert when(NOON).key == NOON.timestamp()
    assert table("none", ["a"], []).count("<tr>") == 1

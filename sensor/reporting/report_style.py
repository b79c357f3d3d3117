"""Style and script of a report, and the policy that permits these and nothing else.

A page that holds words of strangers' traffic must not be able to load or send anything, even where
an escape were forgotten: the browser is told so (Content Security Policy level 3,
https://www.w3.org/TR/CSP3/). Style and script stand in the page and are permitted by their hashes.
"""

import base64
import hashlib

STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --text: #1b1f24; --soft: #59636e;
  --line: #d1d9e0; --card: #f6f8fa; --s1: #c8102e; --s2: #a95800; --s3: #2a6fbb; --plain: #8593a1;
  --blind: #59636e33; --good: #1a7f37; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14181d; --text: #e4e9ee; --soft: #9aa6b2; --line: #343c45; --card: #1d232a;
    --s1: #ff6b78; --s2: #f0a33a; --s3: #6cb0f5; --plain: #6b7885; --blind: #9aa6b240;
    --good: #56d364; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 3rem; max-width: 78rem; background: var(--page);
  color: var(--text); font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: .95rem; margin: 0 0 .3rem; }
p { margin: .4rem 0; max-width: 60rem; }
.soft, caption, figcaption { color: var(--soft); font-size: .87rem; }
caption { text-align: left; padding-bottom: .3rem; }
.lead { font-size: 1.05rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .7rem;
  margin: 1.1rem 0 0; padding: 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: .55rem .8rem; }
.card dt { color: var(--soft); font-size: .82rem; }
.card dd { margin: 0; font-size: 1.3rem; font-weight: 600; line-height: 1.35; }
.card dd small { display: block; font-size: .78rem; font-weight: 400; }
.bad { color: var(--s1); } .warn { color: var(--s2); } .good { color: var(--good); }
.side { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: 1.4rem; }
.scroll { overflow-x: auto; }
figure { margin: 0; }
table { border-collapse: collapse; width: 100%; font-size: .87rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .28rem .7rem .28rem 0;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
td.n, th.n { text-align: right; white-space: nowrap; padding-right: 1.1rem; }
td small, .card small { color: var(--soft); }
time { white-space: nowrap; }
td.when { white-space: nowrap; }
td.id, td.hash { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .8rem; }
.incidents { min-width: 62rem; overflow-wrap: break-word; }
.side + .scroll { margin-top: 1.2rem; }
th button { all: unset; cursor: pointer; }
th button:focus-visible { outline: 2px solid var(--s3); outline-offset: 2px; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
.filter { margin: .3rem 0 .6rem; }
.filter input { font: inherit; color: inherit; background: var(--page); padding: .25rem .5rem;
  border: 1px solid var(--line); border-radius: 6px; width: min(22rem, 100%); }
.mark { display: inline-block; min-width: 4.6em; font-weight: 600; }
.mark.s1 { color: var(--s1); } .mark.s2 { color: var(--s2); } .mark.s3 { color: var(--s3); }
svg { display: block; width: 100%; height: auto; }
svg.timeline, .why svg { min-width: 44rem; } .why { margin: .6rem 0; }
summary { cursor: pointer; }
svg.histogram { max-width: 26rem; }
:not(.why) > svg text { fill: var(--text); font-size: 12px; }
svg .task { font-weight: 600; font-size: 13px; }
svg .tick { fill: var(--soft); text-anchor: middle; font-size: 11px; }
svg .left { text-anchor: start; } svg .right { text-anchor: end; }
svg .grid { stroke: var(--line); stroke-dasharray: 2 3; } svg .lane { stroke: var(--line); }
svg .threshold { stroke: var(--text); stroke-dasharray: 3 2; }
rect.s1 { fill: var(--s1); } rect.s2 { fill: var(--s2); } rect.s3 { fill: var(--s3); }
rect.plain { fill: var(--plain); } rect.blind { fill: var(--blind); }
@media print { body { max-width: none; padding: 0; font-size: 10pt; }
  .filter { display: none; } .scroll { overflow: visible; }
  .incidents, svg.timeline, .why svg { min-width: 0; } .incidents { font-size: 7.5pt; }
  td.id { font-size: 6.5pt; } h2 { break-after: avoid; }
  tr, figure { break-inside: avoid; } }
"""

SCRIPT = """
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const key = (row, place) => row.cells[place].dataset.k ?? row.cells[place].textContent;
  [...table.tHead.rows[0].cells].forEach((head, place) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    button.title = "Sort by this column";
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keyed = [...body.rows].map((row) => [key(row, place), row]);
      const numeric = keyed.every(([each]) => each !== "" && !isNaN(each));
      keyed.sort(([a], [b]) => numeric ? a - b : a.localeCompare(b));
      if (down) keyed.reverse();
      body.append(...keyed.map(([, row]) => row));
    });
  });
  const label = document.createElement("label");
  const input = document.createElement("input");
  label.className = "filter";
  input.type = "search";
  input.placeholder = "Show only rows that hold this text";
  input.setAttribute("aria-label", input.placeholder);
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  label.append(input);
  table.parentNode.before(label);
}
"""


def head(title: str) -> str:
    """Everything before the page's body, less what follows from the escaped title.

    Args:
        title: escaped.
    """
    policy = (
        f"default-src 'none'; style-src {_permitted(STYLE)}; script-src {_permitted(SCRIPT)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n"
    )


def _permitted(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"

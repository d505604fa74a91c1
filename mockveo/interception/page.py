"""The report of a run as a page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from mockveo.dashboard import files
from mockveo.dashboard.bundle import bundled, embedded, policy_hash
from mockveo.dashboard.exchanges import messages, summary_of

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;"
    "margin:2rem auto;padding:0 1rem;color:#1c1c28;background:#fff}"
    "@media(prefers-color-scheme:dark){body{color:#e6e6ee;background:#15151c}}"
    "pre,td{overflow-wrap:anywhere}pre{white-space:pre-wrap;font-size:.9rem}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8886;"
    "vertical-align:top}"
)


def html_page(report: Mapping[str, Any], summary: str) -> str:
    """Return the page of a report, with its last lines on top."""
    style = f"{files.text('parts.css')}{_STYLE}"
    # The same components as on the dashboard.
    script = f"{bundled('vendor.js', 'parts.js')}\n{Path(__file__).with_name('page.js').read_text(encoding='utf-8')}"
    policy = f"default-src 'none'; img-src data:; style-src '{policy_hash(style)}'; script-src '{policy_hash(script)}'"
    exchanges = [{"summary": summary_of(exchange), "messages": messages(exchange)} for exchange in report["exchanges"]]
    data = {"exchanges": exchanges, "findings": report["findings"]}
    proof = [(name.replace("_", " "), value) for name, value in report["proof"].items()]
    command = " ".join(report["command"])
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><link rel="icon" href="data:,">'
        f"<title>mockveo run: {escape(command)}</title><style>{style}</style>"
        f"<h1>mockveo run</h1><p><code>{escape(command)}</code></p><pre>{escape(summary)}</pre>"
        f"<h2>Findings</h2>{''.join(_findings(report['findings']))}"
        f"<h2>Proof</h2>{_table(('measured', ''), proof)}"
        '<h2>Exchanges</h2><div id="sequence"></div>'
        f"<pre>{escape(chr(10).join(item['line'] for item in report['exchanges']))}</pre>"
        f'<script type="application/json" id="data">{embedded(data)}</script><script>{script}</script></html>\n'
    )


def _findings(findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for place, finding in enumerate(findings):
        label = f"{finding['verdict']} of {finding['rule']}"
        yield f"<h3>{escape(label)}</h3><p>{escape(finding['message'])}</p>"
        yield f'<div id="finding-{place}"></div><p><small>{escape(finding["source"])}</small></p>'
    if not findings:
        yield "<p>None.</p>"


def _table(heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _cells(row: Iterable[Any]) -> str:
    return "".join(f"<td>{escape(str(cell))}</td>" for cell in row)

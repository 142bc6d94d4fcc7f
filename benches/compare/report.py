"""`RESULTS.md`: every section that was measured, with its targets."""

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sections import SECTIONS, Section, Target

LOAD_QUIET = 0.5
"""Average of processes that want to run, up to which a machine is quiet."""

WIDTH = 120
"""Characters of a line of prose."""

HEADER = """# Portero beside its peers

Written by `make compare` ([compare](compare)); do not edit. {summary}

| | |
|---|---|
| machine | {machine} |
| versions | {versions} |
| date | {date} |
| load average before | {load} |

CPU time is that of the proxy's processes, user and system, from `/proc`, divided by the requests that were answered.
Each section was measured in one run, every row of a table in every round, in the order of the table and back in turn;
figures are medians of {rounds} rounds of {seconds} s, and ratios are the medians of those within a round: **compare
ratios within a table, and not absolute figures between runs**.

Everything runs on one machine over loopback: wrk with one thread and {connections} keep-alive connections (where a line
does not say otherwise), the proxy, and nginx with one worker as the origin, which answers 57 bytes. Every proxy gets
the same token of its row's algorithm ({token_bytes} bytes with HS256). Every proxy sends the origin `X-Forwarded-For`,
`-Proto` and `-Host`, `Forwarded`, `X-Request-Id`, `traceparent`, `X-Auth-Issuer`, `-Subject`, `-Role` and `-Scopes`
beside the client's own fields, which the run makes sure of before it measures; those that check a token take the
identity from it, bare ones send constants. nginx has no second random number for `traceparent`, and Envoy none at all:
parts of theirs are constants. HAProxy compares `exp`, `iss` and `aud` by hand; Envoy's filter and Portero check all
that they know of.
"""


def write(folder: Path, kept: Path) -> Path:
    """Joins what was kept of each section's last run."""
    parts = [json.loads(path.read_text()) for name in SECTIONS if (path := kept / f"{name}.json").exists()]
    path = folder / "RESULTS.md"
    path.write_text(render(parts))
    return path


def render(parts: Sequence[dict[str, Any]]) -> str:
    """The report of these sections, each with the facts of its run."""
    sections = [Section.from_json(part["section"]) for part in parts]
    newest = max(parts, key=lambda part: part["section"]["run"])
    facts = newest["facts"]
    every = [target for section in sections for target in section.targets]
    text = HEADER.format(
        summary=f"{sum(target.met for target in every)} of {len(every)} targets are met.",
        machine=facts["machine"],
        load=load(facts),
        versions=versions(facts),
        date=newest["section"]["run"],
        rounds=facts["rounds"],
        seconds=facts["seconds"],
        connections=facts["connections"],
        token_bytes=facts["token_bytes"],
    )
    if any(section.bars for section in sections):
        text += "\n![CPU time a request, user and system, of every proxy](results.svg)\n"
    for part, section in zip(parts, sections, strict=True):
        text += render_section(section, facts, part["facts"], newest["section"]["run"])
    return text


def load(facts: dict[str, Any]) -> str:
    """What else ran: a run beside other work says little."""
    average: float = facts["load"]
    return f"{average:.2f}" if average <= LOAD_QUIET else f"{average:.2f}: **the machine was not quiet**"


def versions(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in facts["versions"].items())


def render_section(section: Section, newest: dict[str, Any], own: dict[str, Any], run: str) -> str:
    text = f"\n## {section.title}\n\n"
    if section.run != run:
        other = f"Of another run, at {section.run}"
        if (own["rounds"], own["seconds"]) != (newest["rounds"], newest["seconds"]):
            other += f", with {own['rounds']} rounds of {own['seconds']} s"
        other += f", on {own['machine']}" if own["machine"] != newest["machine"] else ""
        other += f", with {versions(own)}" if own["versions"] != newest["versions"] else ""
        text += wrapped(f"{other}.") + "\n\n"
    if section.rows:
        text += table(section.head, section.rows) + "\n"
    if section.targets:
        text += table(["target", "measured", "bound", ""], [target_row(target) for target in section.targets]) + "\n"
    return text + "".join(f"{wrapped(f'- {note}', indent='  ')}\n" for note in section.notes)


def wrapped(text: str, indent: str = "") -> str:
    """In lines as wide as those of other pages."""
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def target_row(target: Target) -> list[str]:
    unit = f" {target.unit}" if target.unit else ""
    verdict = "met" if target.met else "**missed**"
    return [target.what, f"{number(target.measured)}{unit}", f"{target.relation} {number(target.bound)}{unit}", verdict]


def number(value: float) -> str:
    """Enough digits to be told from its bound."""
    return f"{value:.3g}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)

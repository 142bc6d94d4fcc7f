"""`results.svg`: CPU time a request as bars, user time beside system time."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

WIDTH = 860
LABEL_WIDTH = 270
VALUE_WIDTH = 60
BAR_HEIGHT = 16
BAR_STEP = 21
GROUP_GAP = 10
TOP = 58
BOTTOM = 34
TICKS_MAX = 8

# Colours that hold on white and on black; Portero's own bars stand out.
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; }
  .quiet { fill: #59636e; }
  .grid { stroke: #d1d9e0; stroke-width: 1; }
  .user { fill: #8c959f; } .system { fill: #c4cbd3; }
  .ours .user { fill: #0969da; } .ours .system { fill: #80b3f0; }
  .ours text.name { font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .quiet { fill: #9198a1; } .grid { stroke: #3d444d; }
    .user { fill: #848d97; } .system { fill: #4d5560; }
    .ours .user { fill: #4493f8; } .ours .system { fill: #1f4f8f; }
  }
"""


def write(folder: Path, kept: Path) -> None:
    """Draws the last run of the hot section, if there is one."""
    path = kept / "hot.json"
    if path.exists():
        part = json.loads(path.read_text())
        (folder / "results.svg").write_text(render(part["section"]["bars"], part["section"]["run"]))


def render(bars: Sequence[dict[str, Any]], run: str) -> str:
    """Bars in the order given, with a gap between groups."""
    longest = max(bar["user"] + bar["system"] for bar in bars)
    step = tick_step(longest)
    scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / longest
    gaps = sum(before["group"] != after["group"] for before, after in pairwise(bars))
    height = TOP + len(bars) * BAR_STEP + gaps * GROUP_GAP + BOTTOM
    foot = height - BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="CPU time a request of every proxy">',
        f"<style>{STYLE}</style>",
        '<text class="title" x="8" y="22">CPU time a request, µs: shorter is better</text>',
        f'<text class="quiet" x="8" y="42">hot token, {escape(run)}</text>',
        *legend(),
    ]
    for tick in range(0, int(longest) + 1, step):
        x = LABEL_WIDTH + tick * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{foot}"/>')
        parts.append(f'<text class="quiet" x="{x:.1f}" y="{foot + 18}" text-anchor="middle">{tick}</text>')
    y, group = TOP, bars[0]["group"]
    for bar in bars:
        y += GROUP_GAP if bar["group"] != group else 0
        group = bar["group"]
        parts.append(one(bar, y, scale))
        y += BAR_STEP
    return "\n".join((*parts, "</svg>")) + "\n"


def one(bar: dict[str, Any], y: int, scale: float) -> str:
    """A bar with its name and its figure."""
    user, system = bar["user"] * scale, bar["system"] * scale
    ours = ' class="ours"' if bar["group"] == "Portero" else ""
    text = y + BAR_HEIGHT - 4
    return (
        f'<g{ours}><text class="name" x="{LABEL_WIDTH - 8}" y="{text}" text-anchor="end">{escape(bar["name"])}</text>'
        f'<rect class="user" x="{LABEL_WIDTH}" y="{y}" width="{user:.1f}" height="{BAR_HEIGHT}"/>'
        f'<rect class="system" x="{LABEL_WIDTH + user:.1f}" y="{y}" width="{system:.1f}" height="{BAR_HEIGHT}"/>'
        f'<text x="{LABEL_WIDTH + user + system + 6:.1f}" y="{text}">{bar["user"] + bar["system"]:.1f}</text></g>'
    )


def legend() -> list[str]:
    x = WIDTH - 190
    return [
        f'<rect class="user" x="{x}" y="31" width="12" height="12"/><text class="quiet" x="{x + 18}" y="42">user</text>',
        f'<rect class="system" x="{x + 70}" y="31" width="12" height="12"/><text class="quiet" x="{x + 88}" y="42">system</text>',
    ]


def tick_step(longest: float) -> int:
    """The smallest round step that gives few ticks."""
    return next(
        step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if longest / step <= TICKS_MAX or step == 1000
    )

"""ANSI text to an SVG of a terminal. `scripts/picture` calls it."""

import html
import re
import sys

COLOURS = {"31": "#ff7b72", "32": "#7ee787", "33": "#e3b341", "36": "#79c0ff"}
SIZE, STEP, MARGIN = 14, 20, 20


def spans(line):
    """The line's pieces, each with the attributes of its own."""
    style = {}
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if part.startswith("\x1b["):
            for code in part[2:-1].split(";"):
                if code in ("", "0"):
                    style = {}
                elif code == "1":
                    style["font-weight"] = "bold"
                elif code == "2":
                    style["fill"] = "#8b949e"
                elif code in COLOURS:
                    style["fill"] = COLOURS[code]
        elif part:
            attributes = "".join(f' {name}="{value}"' for name, value in sorted(style.items()))
            yield f"<tspan{attributes}>{html.escape(part)}</tspan>"


def main():
    lines = open(sys.argv[1], encoding="utf-8").read().rstrip("\n").split("\n")
    width = max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines) * SIZE * 0.602 + 2 * MARGIN
    height = len(lines) * STEP + 2 * MARGIN
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" role="img" '
          f'aria-label="A terminal session with secrets">')
    print('<rect width="100%" height="100%" rx="8" fill="#0d1117"/>')
    print(f'<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="{SIZE}" '
          'fill="#e6edf3" xml:space="preserve">')
    for number, line in enumerate(lines):
        y = MARGIN + number * STEP + SIZE
        print(f'<text x="{MARGIN}" y="{y}">{"".join(spans(line))}</text>')
    print("</g>\n</svg>")


main()

# SPDX-License-Identifier: Apache-2.0
"""Points and the power laws through them, as an SVG: one panel a family, both axes logarithmic."""
import math

from . import report

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 340, 260, 56, 40, 34, 12


def power_law(points):
    """(a, b) of y = a x^b through the points, by least squares of logarithms."""
    x, y = [math.log(p[0]) for p in points], [math.log(p[1]) for p in points]
    mx, my = sum(x) / len(x), sum(y) / len(y)
    b = sum((u - mx) * (v - my) for u, v in zip(x, y)) / sum((u - mx) ** 2 for u in x)
    return math.exp(my - b * mx), b


def short(x):
    for scale, unit in ((1e6, "M"), (1e3, "k")):
        if x >= scale:
            return f"{x / scale:.3g}{unit}"
    return f"{x:.3g}"


class Panel:
    """Logarithmic axes that hold the points."""

    def __init__(self, points, left, top):
        self.left, self.top = left, top
        self.x = self.span([p[0] for p in points])
        self.y = self.span([1e3 * p[1] for p in points])

    @staticmethod
    def span(values):
        return math.log(min(values)) - 0.15, math.log(max(values)) + 0.15

    def at(self, x, y):
        fx = (math.log(x) - self.x[0]) / (self.x[1] - self.x[0])
        fy = (math.log(y) - self.y[0]) / (self.y[1] - self.y[0])
        return (self.left + LEFT + fx * (WIDTH - LEFT - RIGHT),
                self.top + HEIGHT - BOTTOM - fy * (HEIGHT - TOP - BOTTOM))

    def frame(self):
        return (f'<rect x="{self.left + LEFT}" y="{self.top + TOP}" width="{WIDTH - LEFT - RIGHT}" '
                f'height="{HEIGHT - TOP - BOTTOM}" fill="none" stroke="#999"/>')


def text(x, y, words, anchor="middle", size=11):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{words}</text>'


def panel(family, left, top):
    """One family: {"title", "axis", "points": [(x, seconds)…], "factor", "exponent"}."""
    points, p = family["points"], Panel(family["points"], left, top)
    yield p.frame()
    yield text(left + (WIDTH + LEFT) / 2, top + 20, f'{family["title"]}: exponent {family["exponent"]:.2f}', size=13)
    yield text(left + (WIDTH + LEFT) / 2, top + HEIGHT - 6, family["axis"])
    law = [p.at(x, 1e3 * family["factor"] * x ** family["exponent"]) for x in (points[0][0], points[-1][0])]
    yield '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="#36c"/>'.format(*law[0], *law[1])
    said = math.inf
    for x, seconds in points:
        px, py = p.at(x, 1e3 * seconds)
        yield f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" fill="#c33"/>'
        yield text(px, top + HEIGHT - BOTTOM + 14, short(x))
        if abs(said - py) >= 11:                # labels that would touch are left out
            yield text(left + LEFT - 5, py + 4, report.duration(seconds), "end", 10)
            said = py


def svg(families):
    """The whole drawing; two panels a row."""
    rows = -(-len(families) // 2)
    wide = WIDTH * min(2, len(families))
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{HEIGHT * rows}" font-family="sans-serif">'
    yield f'<rect width="{wide}" height="{HEIGHT * rows}" fill="white"/>'
    for k, family in enumerate(families):
        yield from panel(family, k % 2 * WIDTH, k // 2 * HEIGHT)
    yield "</svg>"

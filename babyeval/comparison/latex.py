"""A comparison as a LaTeX table (booktabs)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from babyeval.comparison.report import CompareReport, ComparisonRow
from babyeval.comparison.sentences import adjusted_by, listed, metric_name, notes_of, number, p_value, small, title_of

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")
_FEW = r"$^{\dagger}$: so few seeds carry no verdict; this $p$ rests on normality."


def escaped(text: str) -> str:
    r"""Text that LaTeX sets as it stands.

    Example:
        >>> print(escaped("it_merged & 5%"))
        it\_merged \& 5\%
    """
    return " ".join("".join(_SPECIAL.get(letter, letter) for letter in text).split())


def latex_table(report: CompareReport) -> str:
    """One ``tabular`` with a block for each pair, pairs and planned contrasts apart, and the notes of rows beneath it.

    What a caption must say follows as comments, which are escaped too: they may be uncommented.
    """
    lines = [r"\begin{tabular}{lrrrrr}", r"\toprule"]
    lines.append(" & ".join(("task", "A", "B", "A $-$ B", "95\\% CI", "adjusted $p$")) + r" \\")
    for planned in (False, True):
        part = [row for row in report.rows if bool(row.contrast) == planned]
        lines += _family(part, "Planned contrasts" if planned else "Pairs")
    lines += [r"\bottomrule", r"\end{tabular}", *_beneath(report.rows)]
    about = [_sentence(text) for text in (*report.choices, *report.paragraphs)]
    return "\n".join([*lines, *(f"% {text}" for text in about)]) + "\n"


def _family(rows: Sequence[ComparisonRow], what: str) -> list[str]:
    """The blocks of all rows whose p-values are adjusted together."""
    if not rows:
        return []
    family = next((row.family for row in rows if row.family), "")
    adjusted = f"$p$ {escaped(adjusted_by(rows[0].correction))} {escaped(family)}" if family else "no test"
    lines = [r"\midrule", rf"\multicolumn{{6}}{{l}}{{\textit{{{what}}}: {adjusted}}} \\"]
    for pair in dict.fromkeys((row.contrast, row.a, row.b) for row in rows):
        part = [row for row in rows if (row.contrast, row.a, row.b) == pair]
        contrast, a, b = pair
        named = contrast and title_of(*pair).startswith(f"{contrast}: ")
        name = f"{escaped(contrast or '')} -- " if named else ""
        lines += [r"\midrule", rf"\multicolumn{{6}}{{l}}{{{name}A: {escaped(a)}; B: {escaped(b)}}} \\"]
        lines += [" & ".join(_cells(row)) + r" \\" for row in part]
    return lines


def _beneath(rows: Sequence[ComparisonRow]) -> list[str]:
    """The dagger's meaning and the notes of rows, as text for a reader of the table."""
    pairs = list(dict.fromkeys((row.contrast, row.a, row.b) for row in rows))
    found: dict[str, list[str]] = {}  # what is to be said, of which pairs
    for pair in pairs:
        part = [row for row in rows if (row.contrast, row.a, row.b) == pair]
        for why, members in notes_of(part).items():
            found.setdefault(f"{listed(members)}: {why}.", []).append(title_of(*pair))
    notes = [_FEW] if any(map(_unsure, rows)) else []
    for said, of in found.items():
        notes.append(_sentence(said if len(of) == len(pairs) else f"{'; '.join(of)}: {said}"))
    return [rf"\par\smallskip {{\footnotesize {note}\par}}" for note in notes]


def _sentence(text: str) -> str:
    """Text with signs that are no hyphens."""
    return _MINUS.sub("$-$", escaped(text))


def _cells(row: ComparisonRow) -> Sequence[str]:
    unit, metric = row.unit_of_value, metric_name(row)
    values = (number(row.value_a, unit), number(row.value_b, unit), number(row.difference, unit, sign=True))
    interval = "" if row.ci_low is None else f"[{number(row.ci_low, unit)}, {number(row.ci_high, unit)}]"
    p, mark = p_value(row.p_adjusted), r"^{\dagger}" if _unsure(row) else ""
    score = f"{row.label} ({metric})" if metric else row.label
    return (escaped(score), *(_signed(v) for v in values), _signed(interval), f"${p}{mark}$" if p != "-" else "--")


def _unsure(row: ComparisonRow) -> bool:
    """Whether a small p rests on normality alone."""
    return small(row) and row.out_of_reach


def _signed(text: str) -> str:
    """Minus signs, and a dash where there is no number."""
    return "--" if text == "-" else text.replace("-", "$-$").replace("+", "$+$")

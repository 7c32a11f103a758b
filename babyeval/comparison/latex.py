"""A comparison as a LaTeX table (booktabs)."""

from __future__ import annotations

from collections.abc import Sequence

from babyeval.comparison.report import CORRECTIONS, CompareReport, ComparisonRow
from babyeval.comparison.sentences import number, p_value, small

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip


def escaped(text: str) -> str:
    r"""Text that LaTeX sets as it stands.

    Example:
        >>> print(escaped("it_merged & 5%"))
        it\_merged \& 5\%
    """
    return " ".join("".join(_SPECIAL.get(letter, letter) for letter in text).split())


def latex_table(report: CompareReport) -> str:
    """One ``tabular`` with a block for each pair; what a caption must say follows as comments."""
    lines = [r"\begin{tabular}{lrrrrr}", r"\toprule"]
    adjusted = "".join(f" ({escaped(CORRECTIONS[row.correction])})" for row in report.rows[:1])
    head = ("task", "A", "B", "A $-$ B", "95\\% CI", f"$p${adjusted}")
    lines.append(" & ".join(head) + r" \\")
    for pair in dict.fromkeys((row.contrast, row.a, row.b) for row in report.rows):
        part = [row for row in report.rows if (row.contrast, row.a, row.b) == pair]
        name = f"{escaped(pair[0])} -- " if pair[0] else ""
        lines += [r"\midrule", rf"\multicolumn{{6}}{{l}}{{{name}A: {escaped(pair[1])}; B: {escaped(pair[2])}}} \\"]
        lines += [" & ".join(_cells(row)) + r" \\" for row in part]
    lines += [r"\bottomrule", r"\end{tabular}"]
    few = [r"$^{\dagger}$: too few seeds for a verdict without normality."] if any(map(_unsure, report.rows)) else []
    about = [*report.choices, *report.paragraphs, *few]
    return "\n".join([*lines, *("% " + " ".join(text.split()) for text in about)]) + "\n"


def _cells(row: ComparisonRow) -> Sequence[str]:
    unit = row.unit_of_value
    values = (number(row.value_a, unit), number(row.value_b, unit), number(row.difference, unit, sign=True))
    interval = "" if row.ci_low is None else f"[{number(row.ci_low, unit)}, {number(row.ci_high, unit)}]"
    p, mark = p_value(row.p_adjusted), r"^{\dagger}" if _unsure(row) else ""
    return (escaped(row.label), *(_signed(v) for v in values), _signed(interval), f"${p}{mark}$" if p != "-" else "--")


def _unsure(row: ComparisonRow) -> bool:
    """Whether a small p rests on normality alone."""
    return small(row) and row.out_of_reach


def _signed(text: str) -> str:
    """Minus signs, and a dash where there is no number."""
    return "--" if text == "-" else text.replace("-", "$-$").replace("+", "$+$")

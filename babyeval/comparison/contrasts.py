"""Planned contrasts of conditions: those of CLASS-IT, and those that are asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from babyeval.comparison.select import meant
from babyeval.errors import UsageError

_AGAINST = re.compile(r"\s+against\s+")


@dataclass(frozen=True, slots=True)
class Contrast:
    """A planned comparison of means of conditions.

    Attributes:
        name: How it is called.
        plus: Conditions whose mean comes first.
        minus: Those whose mean is taken off.
    """

    name: str
    plus: tuple[str, ...]
    minus: tuple[str, ...]

    @property
    def weights(self) -> dict[str, float]:
        """Each condition's weight."""
        return {**{c: 1 / len(self.plus) for c in self.plus}, **{c: -1 / len(self.minus) for c in self.minus}}

    @property
    def pair(self) -> frozenset[str]:
        """The two conditions, where the contrast is of no more."""
        return frozenset((*self.plus, *self.minus)) if len(self.plus) == len(self.minus) == 1 else frozenset()


def parse_contrast(text: str, there: Sequence[str]) -> Contrast:
    """Reads ``a,b against c``.

    Raises:
        UsageError: It has another form, or names a condition that is not compared.

    Example:
        >>> parse_contrast("a,b against c", ["a", "b", "c"]).weights
        {'a': 0.5, 'b': 0.5, 'c': -1.0}
    """
    sides = [condition_names(side, there) for side in _AGAINST.split(text.strip())]
    named = [name for side in sides for name in side]
    if len(sides) != 2 or not all(named) or len(set(named)) < len(named):
        raise UsageError(f"'{text}' is no contrast.", hint="Write conditions once each: --contrast 'a,b against c'.")
    for name in named:
        if name not in there:
            raise UsageError(
                f"The contrast '{text}' names the condition '{name}', which is not compared.",
                where=f"compared are {', '.join(there)}", hint=meant(name, there, "Name that one too, or leave it out of the contrast."),
            )  # fmt: skip
    return Contrast(text.strip(), *sides)


def condition_names(text: str, there: Sequence[str]) -> tuple[str, ...]:
    """Names between commas; a condition may have a comma in its own name, and the longest that is known counts."""
    parts, names = text.split(","), list[str]()
    while parts:
        lengths = [n for n in range(len(parts), 0, -1) if ",".join(parts[:n]).strip() in there] or [1]
        names.append(",".join(parts[: lengths[0]]).strip())
        parts = parts[lengths[0] :]
    return tuple(names)


def planned_contrasts(there: Sequence[str], texts: Sequence[str]) -> list[Contrast]:
    """The contrasts that are asked for, else those of CLASS-IT as far as its conditions are compared.

    Raises:
        UsageError: One cannot be read, or two ask the same.
    """
    if texts:
        asked: dict[frozenset[frozenset[str]], Contrast] = {}
        for one in (parse_contrast(text, there) for text in texts):
            sides = frozenset((frozenset(one.plus), frozenset(one.minus)))
            if sides in asked:
                raise UsageError(
                    "Two contrasts ask the same, and would be counted as two tests.",
                    where=f"'{asked[sides].name}' and '{one.name}'", hint="Leave out one of them.",
                )  # fmt: skip
            asked[sides] = one
        return list(asked.values())
    from babyeval.stats.designs import planned

    return [
        Contrast(name, tuple(c for c, w in weights.items() if w > 0), tuple(c for c, w in weights.items() if w < 0))
        for name, weights in planned(there).items()
    ]

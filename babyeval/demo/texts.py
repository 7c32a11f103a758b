"""What can be read in the demo's corpus: articles that say what things are, and stories that say what follows from what."""

from __future__ import annotations

from collections.abc import Iterator

from . import lexicon as words
from .lexicon import an
from .sentences import Sentences


def listed(things: list[str]) -> str:
    """Things with their articles, as a sentence names them."""
    return joined([an(thing) for thing in things])


def joined(parts: list[str]) -> str:
    """Parts with commas, and "and" before the last."""
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


class Texts(Sentences):
    """Makes articles and stories."""

    def article(self) -> tuple[str, str]:
        """A title and what stands below it."""
        return self.pick((self._of_a_kind, self._of_a_kind, self._of_a_person, self._of_a_town))()

    def _of_a_kind(self) -> tuple[str, str]:
        kind = self.pick(tuple(words.KINDS))
        members, has, more = words.KINDS[kind]
        one, other = self.two(members.split())
        size = self.pick(("small", "common", "well known", "useful", "simple"))
        return one.capitalize(), " ".join((
            f"{an(one).capitalize()} is {an(f'{size} {kind}')}.", f"Like {self.pick(('every', 'any other'))} {kind}, {an(one)} {has}.",
            self.pick((f"It is a kind of {kind}, as {an(other)} is.", f"{an(other).capitalize()} is {an(kind)} too.")), f"It {more}.",
            self.maybe(f"If you see {an(one)}, you see {an(kind)}."), self.grammar_of(one),
        )).replace("  ", " ").strip()  # fmt: skip

    def grammar_of(self, one: str) -> str:
        """A sentence in which people meet a thing."""
        who, verb = self.child(), self.pick(words.TO_THINGS)
        return f"{who.name} {verb.past} {an(one)}, so {who.he} {verb.past} {self.pick(('one', 'something'))}."

    def _of_a_person(self) -> tuple[str, str]:
        name, town = f"{self.pick(words.FIRST)} {self.pick(words.LAST)}", self.pick(words.TOWNS)
        job, did, what = self.pick(words.JOBS)
        woman = name.split()[0] in words.FIRST[:8]
        he, his, himself = ("She", "her", "herself") if woman else ("He", "his", "himself")
        return name, " ".join((
            f"{name} was a {job} from {town}.", f"{he} {did} {what}.", f"{he} taught {himself} to {self.pick(words.DOING).base}.",
            f"{his.capitalize()} {self.pick(('brother', 'sister'))} lived in {self.pick(words.TOWNS)}.",
            f"Nobody in {town} has ever {self.pick(words.TO_THINGS).participle} any of {his} {self.pick(words.TOYS).many}.",
        ))  # fmt: skip

    def _of_a_town(self) -> tuple[str, str]:
        town, other = self.two(words.TOWNS)
        size, side = self.pick(("small town", "village", "big town")), self.pick(("north", "south", "east", "west"))
        noun, thing = self.pick(words.ANIMALS), self.pick(words.TOYS)
        return town, " ".join((
            f"{town} is a {size} in the {side} of the country.", f"It is near {other}.", f"There are many {noun.many} and some old houses in {town}.",
            f"Most of the people there make {thing.many}.", f"Every {self.pick(words.PEOPLE).one} in {town} has {an(thing.one)}.",
        ))  # fmt: skip

    def story(self) -> Iterator[str]:
        """The lines of a story of one kind."""
        yield self.pick((self._tidying, self._tidying, self._opposites, self._relation, self._gift, self._wug, self._nothing))()

    def _tidying(self) -> str:
        """Things in boxes; some are moved, and in the end somebody looks."""
        who = self.child()
        holders = self.random.sample(words.HOLDERS, self.random.choice((2, 3, 3, 4)))
        held = self.random.sample(words.HELD, len(holders) * 2 + 2)
        inside = {holder: [held.pop() for _ in range(self.random.choice((1, 2)))] for holder in holders}
        start = self.pick(
            (f"{who.name} has", f"One day {who.name} finds", f"{who.name} keeps", f"In the evening {who.name} sees")
        )
        told = [f"{start} {joined([f'{listed(things)} in the {holder}' for holder, things in inside.items()])}."]
        for _ in range(self.random.choice((0, 1, 1, 2))):
            told.append(self._moved(who.name, inside, held))
        for holder in self.random.sample(holders, 2):
            if inside[holder]:
                told.append(
                    f"{self.pick(('Now', 'So', 'In the end', f'{who.name} looks, and'))} the {holder} holds {listed(inside[holder])}."
                )
        return " ".join(told)

    def _moved(self, who: str, inside: dict[str, list[str]], held: list[str]) -> str:
        full = [holder for holder, things in inside.items() if things]
        start, goal = self.pick(full), self.pick(tuple(inside))
        match self.random.randrange(3):
            case 0 if held:
                inside[goal].append(held.pop())
                return f"{who} lays {an(inside[goal][-1])} in the {goal}."
            case 1 if start != goal:
                thing = inside[start].pop(self.random.randrange(len(inside[start])))
                inside[goal].append(thing)
                return f"{who} carries the {thing} from the {start} over to the {goal}."
            case _:
                thing = inside[start].pop(self.random.randrange(len(inside[start])))
                return f"{who} takes the {thing} out of the {start} and gives it away."

    def _opposites(self) -> str:
        state, opposite, then, otherwise = self.pick(words.OPPOSITES)
        noun, negated = self.pick(words.TOYS).one, self.random.random() < 0.5
        if self.random.random() < 0.5:
            state, opposite, then, otherwise = opposite, state, otherwise, then
        said = f"not {opposite}" if negated else state
        return f"The {noun} is {said}. {then.format(it='the ' + noun)}. It is {state}, so it is not {opposite}."

    def _relation(self) -> str:
        (more, less) = self.pick(words.RELATIONS)
        if self.random.random() < 0.5:
            more, less = less, more
        a, b = self.two([f"the {noun.one}" for noun in words.TOYS + words.ANIMALS] + [*words.BOYS, *words.GIRLS])
        return f"{a[0].upper()}{a[1:]} is {more} {b}. {b[0].upper()}{b[1:]} is {less} {a}."

    def _gift(self) -> str:
        a, b = self.child(), self.child()
        noun, many = self.pick(words.TOYS).one, self.pick(words.TOYS).many
        return self.pick((
            f"{a.name} gave {an(noun)} to {b.name}. Now {b.name} has the {noun}. {a.name} does not have it any more.",
            f"{a.name} borrowed {an(noun)} from {b.name}. {a.name} gives it back to {b.name}.",
            f"{a.name} teaches {b.name} to read. {b.name} learns it from {a.name}.",
            f"{a.name} won the race against {b.name}. {a.name} came first, and {b.name} came second.",
            f"{a.name} has ten {many}, and {b.name} has two. {a.name} has more {many}. {b.name} has fewer {many}.",
            f"{a.name} is kind to {b.name}. {b.name} likes {a.name}.", f"{a.name} is mean to {b.name}. {b.name} does not like {a.name}.",
        ))  # fmt: skip

    def _wug(self) -> str:
        kind, another = self.two(tuple(words.KINDS))
        (first, second), one = self.two(words.MADE_UP), self.pick(words.KINDS[kind][0].split())
        other, has = self.pick(words.KINDS[another][0].split()), words.KINDS[kind][1]
        return self.pick((
            f"A {first} is a small {one}. So a {first} {has}.", f"If a {first} is a sort of {one}, then any {first} {has}.",
            f"A {first} is a sort of {one} and a {second} is a sort of {other}, so a {first} {has}.",
            f"Whoever owns a {first} owns {an(one)}, and a {first} {has}.",
        ))  # fmt: skip

    def _nothing(self) -> str:
        who, noun, state = self.child(), self.pick(words.TOYS + words.ANIMALS), self.pick(words.STATES)
        return self.pick((
            f"Nobody is {state}, so {who.name} is not {state}.", f"Everybody is {state}, so {who.name} is {state}.",
            f"{who.name} has no {noun.many}, so {who.he} does not have {an(noun.one)}.", f"All {noun.many} are {state}, so this {noun.one} is {state}.",
            f"None of the {noun.many} are {state}, so that {noun.one} is not {state}.",
            f"{who.name} forgot to shut the box, so the box is not shut.", f"{who.name} remembered to shut the box, so the box is shut.",
        ))  # fmt: skip

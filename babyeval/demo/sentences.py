"""What is said in the demo's corpus: sentences of English in which one thing at a time is shown, and small dialogues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple, TypeVar

from . import lexicon as words
from .lexicon import Noun, Verb, an

_T = TypeVar("_T")


class Someone(NamedTuple):
    """Who does something: the words, the pronouns, and whether it is one."""

    name: str
    he: str
    him: str
    his: str
    himself: str
    one: bool = True

    @property
    def start(self) -> str:
        """As a sentence begins."""
        return self.name[0].upper() + self.name[1:]


_HE, _SHE = ("he", "him", "his", "himself"), ("she", "her", "her", "herself")
_IT, _THEY = ("it", "it", "its", "itself"), ("they", "them", "their", "themselves")


class Sentences:
    """Makes sentences by chance; all of it is decided by the generator that it is given."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def pick(self, options: Sequence[_T]) -> _T:
        """One of them."""
        return options[self.random.randrange(len(options))]

    def maybe(self, text: str, share: float = 0.5) -> str:
        """The text or nothing."""
        return text if self.random.random() < share else ""

    def two(self, options: Sequence[_T]) -> tuple[_T, _T]:
        """Two different ones."""
        first, second = self.random.sample(range(len(options)), 2)
        return options[first], options[second]

    def child(self) -> Someone:
        """Somebody with a name."""
        if self.random.random() < 0.5:
            return Someone(self.pick(words.BOYS), *_HE)
        return Someone(self.pick(words.GIRLS), *_SHE)

    def person(self) -> Someone:
        """Somebody, by name or by what they are."""
        if self.random.random() < 0.5:
            return self.child()
        kin, man = self.random.random() < 0.5, self.random.random() < 0.5
        whose = self.pick(("my", "her", "his", "our") if kin else ("the", "the old", "the young"))
        if man:
            return Someone(f"{whose} {self.pick(words.MALE_KIN if kin else words.MEN)}", *_HE)
        return Someone(f"{whose} {self.pick(words.FEMALE_KIN if kin else words.WOMEN)}", *_SHE)

    def subject(self) -> Someone:
        """One or several, often with something of the other number between them and the verb."""
        kind = self.random.random()
        if kind < 0.3:
            return self.person()
        noun = self.pick(words.ANIMALS if kind < 0.65 else words.PEOPLE if kind < 0.8 else words.TOYS)
        one = self.random.random() < 0.5
        adjective = self.maybe(self.pick(words.ADJECTIVES) + " ", 0.3)
        name = f"{self.pick(('the', 'the', 'the', 'my', 'our'))} {adjective}{noun.one if one else noun.many}"
        if self.random.random() < 0.35:
            other = self.pick(words.TOYS if kind < 0.65 else words.ANIMALS)
            link = self.pick(("near the", "with the", "behind the", "with the two" if one else "with the one"))
            many = "two" in link or ("one" not in link and self.random.random() < 0.5)
            name += f" {link} {other.many if many else other.one}"
        elif self.random.random() < 0.3:
            name += f" {self.pick(words.PLACES)}"
        return Someone(name, *(_IT if one else _THEY), one)

    def thing(self, nouns: Sequence[Noun] = words.TOYS) -> str:
        """One thing, or several."""
        noun = self.pick(nouns)
        adjective = self.maybe(f"{self.pick(words.ADJECTIVES + words.COLOURS)} ", 0.4)
        match self.random.randrange(9):
            case 0:
                return f"{self.pick(words.NUMBERS)} {adjective}{noun.many}"
            case 1:
                return f"some {adjective}{noun.many}"
            case 2 | 3:
                return f"{self.pick(('this', 'that'))} {adjective}{noun.one}"
            case 4 | 5:
                return f"{self.pick(('these', 'those'))} {adjective}{noun.many}"
            case 6:
                return an(adjective + noun.one)
            case _:
                return f"the {adjective}{self.pick(noun)}"

    def action(self) -> tuple[Verb, str]:
        """Something done, and to what."""
        if self.random.random() < 0.35:
            return self.pick(words.TO_FOODS), self.thing(words.FOODS)
        return self.pick(words.TO_THINGS), self.thing()

    # Grammar -------------------------------------------------------------------------------------

    def agreement(self) -> str:
        who = self.subject()
        match self.random.randrange(5):
            case 0 | 1:
                verb = self.pick(words.DOING)
                often = self.maybe(self.pick(("often ", "always ", "never ")), 0.3)
                return f"{who.start} {often}{verb.third if who.one else verb.base} {self.pick(words.PLACES)}."
            case 2:
                return f"{who.start} {'is' if who.one else 'are'} {self.pick(words.STATES + words.ADJECTIVES + words.COLOURS)}."
            case 3:
                one = self.random.random() < 0.5
                name = self.pick(("He", "She", "It") if one else ("They", "We", "I", "You"))
                verb, what = self.action()
                has = self.pick((verb.third if one else verb.base, "has" if one else "have"))
                return f"{name} {has} {what}."
            case _:
                a, b = self.two(words.BOYS + words.GIRLS)
                return f"{a} and {b} {self.pick(words.DOING).base} {self.pick(words.PLACES)}."

    def reflexive(self) -> str:
        verb, who = self.pick(words.TO_SELF), self.subject()
        tail = self.maybe(f" {self.pick(words.PLACES + words.TIMES)}", 0.6)
        match self.random.randrange(7):
            case 0:
                other = self.child()
                says = self.pick(("said", "thought", "saw", "knew"))
                return f"{other.start} {says} that {who.name} {verb.past} {who.himself}{tail}."
            case 1:
                name, own = self.pick(
                    (("I", "myself"), ("We", "ourselves"), ("They", "themselves"), ("He", "himself"), ("She", "herself"))
                )
                return f"{name} {self.pick((verb.past, 'can ' + verb.base))} {own}{tail}."
            case 2:
                kin = self.pick(words.MALE_KIN + words.FEMALE_KIN)
                own = _HE[3] if kin in words.MALE_KIN else _SHE[3]
                return f"{self.person().start}'s {kin} {verb.past} {own}{tail}."
            case 3:
                other, who = self.child(), self.child()
                return f"{other.name} wants {who.name} to {self.pick(('help', 'see', 'carry', 'find'))} {other.him} {self.pick(words.PLACES)}."
            case 4:
                who = self.person()
                made = self.pick(("made", "bought", "cooked", "found"))
                return f"{who.start} {made} {who.himself} {an(self.pick(words.FOODS + words.TOYS).one)}."
            case 5:
                who = self.person()
                return f"{who.start} {self.pick(('thinks', 'says', 'knows'))} that {who.he} is {self.pick(words.STATES)}."
            case _:
                return f"{who.start} {verb.past} {who.himself}{tail}."

    def determiner(self) -> str:
        who, (verb, what) = self.person(), self.action()
        noun = self.pick(words.ANIMALS + words.TOYS)
        match self.random.randrange(4):
            case 0:
                return f"{self.pick(('This', 'That'))} {self.maybe('old ', 0.3)}{noun.one} is {self.pick(words.STATES + words.COLOURS)}."
            case 1:
                return f"{self.pick(('These', 'Those'))} {self.maybe('little ', 0.3)}{noun.many} are {self.pick(words.STATES + words.COLOURS)}."
            case 2:
                return f"Can you {verb.base} {what} {self.pick(words.PLACES)}?"
            case _:
                return f"{who.start} {verb.past} {what} {self.pick(words.PLACES)}."

    def participle(self) -> str:
        who, (verb, what) = self.subject(), self.action()
        have = "has" if who.one else "have"
        doing = self.pick(words.DOING)
        match self.random.randrange(4):
            case 0:
                return f"{who.start} {verb.past} {what}{self.maybe(' ' + self.pick(words.TIMES))}."
            case 1:
                return f"{who.start} {have} {verb.participle} {what}."
            case 2:
                return f"{who.start} {have} {doing.participle} {self.pick(words.PLACES)} {self.pick(('today', 'before', 'all day'))}."
            case _:
                return f"{self.pick(('I', 'We', 'They', 'You'))} have {verb.participle} {what} {self.pick(('today', 'before', 'again'))}."

    def negation(self) -> str:
        who, (verb, _) = self.person(), self.action()
        noun = self.pick(words.TOYS + words.FOODS + words.ANIMALS)
        no = self.pick(words.PEOPLE + words.ANIMALS).one
        match self.random.randrange(8):
            case 0:
                return f"No {no} has ever {verb.participle} {an(noun.one)}."
            case 1:
                return f"Nobody {verb.past} any {noun.many} {self.pick(words.TIMES)}."
            case 2:
                return f"{who.start} has never {verb.participle} any {noun.many}."
            case 3:
                return f"{who.start} has not {verb.participle} the {noun.one} yet."
            case 4:
                return f"{who.start} has often {verb.participle} some {noun.many}."
            case 5:
                return f"Everybody {verb.past} some {noun.many} {self.pick(words.TIMES)}."
            case 6:
                return f"Has {who.name} ever {verb.participle} {an(noun.one)}?"
            case _:
                return f"{who.start} did not {verb.base} any {noun.many}."

    def gap(self) -> str:
        who, other, (verb, what) = self.person(), self.child(), self.action()
        thing, place = self.pick(words.TOYS + words.FOODS), self.pick(words.PLACES)
        knows = self.pick(("I know", "Tim saw", "She told me", "They remembered", "Do you know", "Mum knows"))
        end = "?" if knows.startswith("Do") else "."
        match self.random.randrange(11):
            case 0:
                return f"What did {who.name} {verb.base} {self.pick(words.PLACES + words.TIMES)}?"
            case 1:
                return f"{knows} what {who.name} {verb.past}{self.maybe(' ' + place)}{end}"
            case 2:
                return f"{knows} that {who.name} {verb.past} {what}{end}"
            case 3:
                return f"The {thing.one} that {who.name} {verb.past} was {self.pick(words.COLOURS)}."
            case 4:
                return f"{knows} where {who.name} {self.pick(words.DOING).past}{end}"
            case 5:
                return f"Where did {who.name} {verb.base} {what}?"
            case 6:
                return f"Which {thing.one} did {who.name} {verb.base} before {other.name} {self.pick(words.DOING).past}?"
            case 7:
                return f"Whose {thing.one} did {who.name} {verb.base}?"
            case 8:
                return f"How many {thing.many} did {who.name} {verb.base}?"
            case 9:
                return f"What did {who.name} {self.pick(words.TO_FOODS).base} with {who.his} {self.pick(words.STUFF)}?"
            case _:
                return f"Which {thing.one} did {other.name} say that {who.name} {verb.past}?"

    def arguments(self) -> str:
        who, other, place = self.person(), self.child(), self.pick(words.PLACES)
        thing, stuff = self.pick(words.TOYS + words.FOODS).one, self.pick(words.STUFF)
        return self.pick((
            f"{who.start} put the {thing} {place}.", f"{who.start} slept {place}.", f"{who.start} arrived {place}.",
            f"{who.start} opened the {self.pick(('door', 'box', 'bag', 'drawer'))}.", f"{who.start} told {other.name} a story.",
            f"{who.start} said hello to {other.name}.", f"{who.start} poured the {stuff} into the cup.",
            f"{who.start} filled the cup with {stuff}.", f"{who.start} gave {other.name} {an(thing)}.",
            f"{who.start} will bring the {thing}.", f"The {stuff} will fall {place}.", f"{who.start} coughed {place}.",
        ))  # fmt: skip

    def ellipsis(self) -> str:
        a, b = self.two(words.BOYS + words.GIRLS)
        (two, three), (red, blue) = self.two(words.NUMBERS), self.two(words.COLOURS)
        this, that = self.two(words.TOYS + words.FOODS)
        state, doing = self.pick(words.STATES), self.pick(words.DOING)
        return self.pick((
            f"{a} has {two} {red} {this.many} and {b} has {three}.", f"{a} likes {this.many} but {b} does not.",
            f"{a} is {state} but {b} is not.", f"You may {doing.base} if you want to.", f"Her {this.one} is {red} and mine is {blue}.",
            f"{a} is {doing.ing} somewhere but we don't know where.", f"{a} found {an(this.one)} and {b} {an(that.one)}.",
            f"The big {this.one} is {red} but the little one is {blue}.", f"{a} saw the {this.one} and {b} the {that.one}.",
        ))  # fmt: skip

    def quantity(self) -> str:
        noun, stuff, place = self.pick(words.TOYS + words.FOODS + words.ANIMALS), self.pick(words.STUFF), self.pick(words.PLACES)
        state, who = self.pick(words.STATES + words.COLOURS), self.person()
        return self.pick((
            f"There is {self.pick((f'one {noun.one}', f'no {noun.one}', an(noun.one)))} {place}.",
            f"There are {self.pick(('many', 'some', 'no', 'a few', *words.NUMBERS))} {noun.many} {place}.",
            f"{self.pick(('Almost every', 'Every', 'Each'))} {noun.one} is {state}.", f"{self.pick(('Most', 'All', 'Some'))} {noun.many} are {state}.",
            f"{self.pick(('Most', 'Some', 'Many', 'All'))} of the {noun.many} are {state}.", f"{who.start} has too much {stuff}.",
            f"{who.start} has too many {noun.many}.", f"How much {stuff} is there {place}?", f"How many {noun.many} are there {place}?",
            f"How many {noun.many} can you see?", f"Nearly everybody {self.pick(words.DOING).past} {place}.",
        ))  # fmt: skip

    def grammar(self) -> str:
        """A sentence about one of the above."""
        kinds: tuple[Callable[[], str], ...] = (
            self.agreement, self.agreement, self.reflexive, self.reflexive, self.determiner, self.participle, self.negation, self.gap,
            self.arguments, self.ellipsis, self.quantity,
        )  # fmt: skip
        return self.pick(kinds)()

"""What people say to each other in the demo's corpus: questions with answers that fit, and talk to small children."""

from __future__ import annotations

from . import lexicon as words
from .lexicon import an
from .sentences import Sentences

AUXILIARIES = (("is", "isn't"), ("has", "hasn't"), ("can", "can't"), ("will", "won't"), ("does", "doesn't"), ("did", "didn't"))
Exchange = tuple[str, str]  # what is said, and what is answered


def it_or_them(what: str) -> str:
    """What stands for a thing that was named."""
    return "them" if what.endswith("s") or what.split()[0] in ("some", "these", "those", *words.NUMBERS) else "it"


class Dialogue(Sentences):
    """Makes questions with answers."""

    def who(self) -> Exchange:
        who, (verb, what) = self.person(), self.action()
        if self.random.random() < 0.4:
            other = self.child()
            return f"Who did {who.name} {verb.base}?", f"{who.he.capitalize()} {verb.past} {other.name}."
        if self.random.random() < 0.5:
            return f"Who was {verb.ing} {what}?", f"{who.start} was {verb.ing} {self.pick((what, it_or_them(what)))}."
        return f"Who {verb.past} {what}?", f"{who.start} {verb.past} {self.pick((what, it_or_them(what)))}."

    def what(self) -> Exchange:
        who = self.person()
        food = self.random.random() < 0.5
        verb = self.pick(words.TO_FOODS if food else words.TO_THINGS)
        what = self.thing(words.FOODS if food else words.TOYS)
        if self.random.random() < 0.4:
            return f"What is {who.name} {verb.ing} today?", self.pick(
                (f"{what[0].upper()}{what[1:]}.", f"{who.he.capitalize()} is {verb.ing} {what}.")
            )
        return f"What did {who.name} {verb.base}?", f"{who.he.capitalize()} {verb.past} {what}."

    def when_where(self) -> Exchange:
        who, (verb, what) = self.person(), self.action()
        it = it_or_them(what)
        word, answer = self.pick((("When", self.pick(words.TIMES)), ("Where", self.pick(words.PLACES))))
        said = self.pick((f"{who.he.capitalize()} {verb.past} {it} {answer}.", f"I think {answer}.", f"It was {answer}."))
        return f"{word} did {who.name} {verb.base} {what}?", said

    def amount(self) -> Exchange:
        who, noun, stuff = self.child(), self.pick(words.TOYS + words.FOODS + words.ANIMALS), self.pick(words.STUFF)
        number = self.pick(words.NUMBERS)
        return self.pick((
            (f"How many {noun.many} did {who.name} find?", f"{who.he.capitalize()} found {number}."),
            (f"How many {noun.many} are there?", self.pick((f"There are {number}.", "There are a few.", f"{number.capitalize()}, I think."))),
            (f"How much {stuff} is left?", "There is a little."), (f"How old is {who.name}?", f"{who.he.capitalize()} is {number} years old."),
            (f"How tall is {who.name}?", f"{who.he.capitalize()} is {number} feet tall."),
            (f"How long did {who.name} wait?", f"{who.he.capitalize()} waited {number} hours."),
            (f"How many {noun.many} do you have?", f"I have {number}."),
        ))  # fmt: skip

    def yes_no(self) -> Exchange:
        who, (verb, what) = self.person(), self.action()
        state, yes = self.pick(words.STATES), self.random.random() < 0.5
        doing = self.pick(words.DOING)
        he = who.he
        asked, auxiliary = self.pick((
            (f"Is {who.name} {state}?", 0), (f"Has {who.name} {verb.participle} {what}?", 1), (f"Can {who.name} {doing.base}?", 2),
            (f"Will {who.name} {verb.base} {what}?", 3), (f"Does {who.name} like {what}?", 4), (f"Did {who.name} {verb.base} {what}?", 5),
        ))  # fmt: skip
        return asked, f"Yes, {he} {AUXILIARIES[auxiliary][0]}." if yes else f"No, {he} {AUXILIARIES[auxiliary][1]}."

    def you_and_i(self) -> Exchange:
        verb, what = self.action()
        return self.pick((
            (f"Did you {verb.base} {what}?", self.pick(("Of course I did.", "Yes, I did.", "No, I didn't."))),
            (f"Have you {verb.participle} {what}?", self.pick(("Yes, I have.", "No, I haven't."))),
            (f"Are you {self.pick(words.STATES)}?", self.pick(("Yes, I am.", "No, I'm not."))),
            (f"Can you {verb.base} {what}?", self.pick(("Of course I can.", "No, I can't."))),
            (f"Thank you for {what}.", "You are welcome."), (f"Will you {verb.base} {what}?", self.pick(("Yes, I will.", "No, I won't."))),
            (f"I {verb.past} {what} yesterday.", self.pick(("Did you really?", f"You never {verb.base} me anything.", "I did that too."))),
            (f"I am very {self.pick(words.STATES)} today.", self.pick(("You are always like that.", "So am I.", "Are you really?"))),
        ))  # fmt: skip

    def tag(self) -> str:
        """A statement with a question behind it."""
        who, (verb, what) = self.person(), self.action()
        state, doing = self.pick(words.STATES), self.pick(words.DOING)
        he, their = who.he, self.pick(words.PEOPLE).many
        return self.pick((
            f"{who.start} is {state}, isn't {he}?", f"{who.start} isn't {state}, is {he}?", f"{who.start} can {doing.base}, can't {he}?",
            f"{who.start} can't {doing.base}, can {he}?", f"{who.start} will {verb.base} {what}, won't {he}?",
            f"{who.start} won't {verb.base} {what}, will {he}?", f"You {verb.past} {what}, didn't you?", f"You are {state}, aren't you?",
            f"{who.start} {verb.past} {what}, didn't {he}?", f"The {their} are {state}, aren't they?", f"{who.start} has {verb.participle} {what}, hasn't {he}?",
        ))  # fmt: skip

    def inversion(self) -> str:
        """A question or a report of one, with a clause inside."""
        who, doing, other = self.pick(words.MEN + words.WOMEN), *self.two(words.DOING)
        state = self.pick(words.STATES)
        return self.pick((
            f"Is the {who} who is {doing.ing} {state}?", f"Is the {who} who is {state} {doing.ing}?", f"Will the {who} who is {doing.ing} {other.base} too?",
            f"Can the {who} who is {state} {other.base}?", f"Nobody knows why the {who} is {doing.ing}.", f"I wonder where the {who} is {doing.ing}.",
            f"Does the {who} {doing.base} {self.pick(words.PLACES)}?", f"Why is the {who} {doing.ing}?", f"Does your {who} like {self.pick(words.STUFF)}?",
        ))  # fmt: skip

    def exchange(self) -> Exchange:
        """A question with its answer."""
        return self.pick((self.who, self.what, self.when_where, self.amount, self.yes_no, self.you_and_i))()

    def to_a_child(self) -> list[tuple[str, str]]:
        """What a mother and a child say about one thing that lies before them: speaker and words."""
        thing = self.pick(words.TOYS + words.ANIMALS + words.FOODS)
        colour, child, place = self.pick(words.COLOURS), self.child(), self.pick(words.PLACES)
        it = thing.one
        said = [("MOT", self.pick((
            f"Look, {child.name}, here is your {it}!", f"Where is the {it}?", f"Can you see the {colour} {it}?", f"Give me the {it}.",
            f"Do you want {an(it)}?", f"What is this? It is {an(it)}.", f"This is a {colour} {it}.", f"That's my {it}, and this is your {it}.",
        )))]  # fmt: skip
        said.append(
            (
                "CHI",
                self.pick((f"My {it}!", f"I want the {it}.", f"More {thing.many}.", f"The {it} is {colour}.", f"Where {it}?")),
            )
        )
        said.append(("MOT", self.pick((
            f"Yes, the {it} is {place}.", f"No, that is not the {it}.", f"The {it} is {colour}, isn't it?", f"Put the {it} {place}.",
            f"You can have the {it} because you are hungry.", f"Is the {it} big or little?", f"We left the {it} outside yesterday.",
            f"Good, now take the {it} to {self.pick(words.BOYS + words.GIRLS)}.", f"Drink your milk and eat your {self.pick(words.FOODS).one}.",
        ))))  # fmt: skip
        return said

    def plays(self) -> list[tuple[str, str]]:
        """Small talk of every day."""
        a = self.child()
        return self.pick((
            [("MOT", "Are you thirsty?"), ("CHI", "I want some milk."), ("MOT", "Here is a cup of milk.")],
            [("MOT", f"It is time to go to bed, {a.name}."), ("CHI", "I don't want to sleep."), ("MOT", "You can take a book to bed.")],
            [("MOT", "Put on your hat and your shoes."), ("CHI", "Go outside?"), ("MOT", "Yes, we go outside because it is warm.")],
            [("MOT", "Wash your nose and your hands."), ("CHI", "The water is hot."), ("MOT", "I put some cold water in.")],
            [("MOT", "Look, a cat is up in the tree!"), ("CHI", "The cat is big."), ("MOT", "And a dog sits under the tree.")],
            [("MOT", "Eat your soup with the spoon."), ("CHI", "It is too hot."), ("MOT", "Then eat an apple first.")],
            [("MOT", "Throw the ball to me!"), ("CHI", "Catch the ball."), ("MOT", f"Now throw the ball to {a.name}.")],
            [("MOT", "The car goes down the road."), ("CHI", "A big car!"), ("MOT", f"{a.name} went in the car yesterday.")],
        ))  # fmt: skip

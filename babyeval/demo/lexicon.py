"""The words of the demo's little world: who lives there, what they do, and what lies about."""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    """The forms of a verb."""

    base: str
    third: str
    past: str
    participle: str
    ing: str


class Noun(NamedTuple):
    """The forms of a noun."""

    one: str
    many: str


def _verbs(table: str) -> tuple[Verb, ...]:
    return tuple(Verb(*line.split()) for line in table.strip().splitlines())


def _nouns(words: str) -> tuple[Noun, ...]:
    """Nouns divided by spaces; a plural without -s stands behind a stroke."""
    parts = (word.partition("/") for word in words.split())
    return tuple(Noun(one, many or f"{one}s") for one, _, many in parts)


def _words(text: str, between: str | None = None) -> tuple[str, ...]:
    return tuple(text.split(between))


def an(noun: str) -> str:
    """A noun, or what stands before it, behind its indefinite article.

    Example:
        >>> an("apple"), an("red apple")
        ('an apple', 'a red apple')
    """
    return f"{'an' if noun[0] in 'aeiou' and not noun.startswith('use') else 'a'} {noun}"


BOYS = _words("Tom Ben Tim Leo Max Sam Jack Paul Dad Grandpa")
GIRLS = _words("Anna Lucy Lily Mia Rosie Zoe Eva Kate Mum Grandma")
MEN, WOMEN = _words("boy man king prince"), _words("girl woman queen lady")
MALE_KIN, FEMALE_KIN = _words("brother father uncle grandfather"), _words("sister mother aunt grandmother")
PEOPLE = _nouns("boy girl king queen brother sister farmer teacher baby/babies child/children woman/women man/men friend")
ANIMALS = _nouns(
    "dog cat duck rabbit horse goat puppy/puppies kitten fox/foxes bear frog hen cow bird mouse/mice goose/geese pig"
)
TOYS = _nouns(
    "ball book hat box/boxes cup spoon kite shoe car flower sock coat chair lamp plate key bike bell toy shell doll boat"
)
FOODS = _nouns("apple pear cake biscuit sandwich/sandwiches potato/potatoes carrot egg plum bun")
STUFF = _words("soup milk water bread cheese juice honey butter")
COLOURS = _words("red blue green yellow black white")
ADJECTIVES = _words("big little old new clean pretty heavy small")
STATES = _words("tired hungry sleepy happy cold wet sad funny busy ill")
NUMBERS = _words("two three four five six ten")
PLACES = _words(
    "in the garden,in the park,in the kitchen,under the table,on the bed,behind the house,near the pond,by the river,"
    "at school,on the beach,behind the tree,in the barn,on the sofa,under the stairs,at the market,on the roof",
    ",",
)
TIMES = _words("in the morning,after lunch,at night,before tea,on Sunday,yesterday,last week,after the party", ",")
DOING = _verbs("""
    run runs ran run running
    sleep sleeps slept slept sleeping
    play plays played played playing
    sing sings sang sung singing
    swim swims swam swum swimming
    jump jumps jumped jumped jumping
    sit sits sat sat sitting
    fall falls fell fallen falling
    laugh laughs laughed laughed laughing
    cry cries cried cried crying
    hide hides hid hidden hiding
    wait waits waited waited waiting
    dance dances danced danced dancing
""")
TO_THINGS = _verbs("""
    see sees saw seen seeing
    find finds found found finding
    take takes took taken taking
    break breaks broke broken breaking
    lose loses lost lost losing
    wash washes washed washed washing
    carry carries carried carried carrying
    drop drops dropped dropped dropping
    draw draws drew drawn drawing
    hide hides hid hidden hiding
    bring brings brought brought bringing
    want wants wanted wanted wanting
    like likes liked liked liking
    choose chooses chose chosen choosing
    steal steals stole stolen stealing
    forget forgets forgot forgotten forgetting
    paint paints painted painted painting
    buy buys bought bought buying
    throw throws threw thrown throwing
    give gives gave given giving
""")
TO_FOODS = _verbs("""
    eat eats ate eaten eating
    cook cooks cooked cooked cooking
    cut cuts cut cut cutting
    want wants wanted wanted wanting
    bring brings brought brought bringing
    like likes liked liked liking
    take takes took taken taking
    bake bakes baked baked baking
""")
TO_SELF = _verbs("""
    hurt hurts hurt hurt hurting
    wash washes washed washed washing
    see sees saw seen seeing
    dress dresses dressed dressed dressing
    hide hides hid hidden hiding
    dry dries dried dried drying
    scratch scratches scratched scratched scratching
    warm warms warmed warmed warming
""")
# What there is, of which kind it is, and what is true of that kind.
KINDS = {
    "bird": ("sparrow parrot crow robin eagle owl hen", "has feathers and two wings", "lays eggs in a nest"),
    "fish": ("salmon trout herring shark", "has fins and swims in the water", "cannot walk"),
    "reptile": ("lizard snake turtle", "has dry skin and no fur", "lies in the sun"),
    "farm animal": ("cow goat sheep", "gives milk to its young and to people", "eats grass"),
    "pet": ("dog cat hamster rabbit", "lives with people in a house", "likes to be stroked"),
    "vehicle": ("car bicycle tractor bus cart truck", "has wheels and rolls along the road", "takes people to other places"),
    "tool": ("saw axe hatchet", "can cut through thick wood", "has a sharp blade"),
    "thing for cleaning": ("sponge broom towel brush", "makes a dirty room clean", "stands in the kitchen"),
    "piece of furniture": ("wardrobe bed table chair sofa", "stands in a room", "is made of wood"),
    "fruit": ("lemon apple plum pear grape", "grows on a tree or a bush", "tastes sweet or sour"),
    "vegetable": ("potato carrot onion pea", "grows in the ground", "is cooked in soup"),
    "flower": ("rose tulip daisy lily", "has leaves and smells good", "grows in a garden"),
    "light": ("lantern lamp candle torch", "gives light in a dark room", "shines at night"),
    "drink": ("tea juice water milk", "is kept in a cup or a bottle", "is good when you are thirsty"),
}
MADE_UP = _words("dax wuzzle blick fep mib tove snorg lumpet gazzer pobble")
# What goes into boxes in stories about tidying up, and where it goes.
HOLDERS = _words("box basket drawer bucket bag chest tin cupboard")
HELD = _words("button candle feather hammer lemon onion pencil ribbon scarf spoon sponge whistle compass apron postcard ladle")
OPPOSITES = (
    ("hot", "cold", "Steam rises from {it}", "There is ice on {it}"),
    ("full", "empty", "There is a lot in {it}", "There is nothing in {it}"),
    ("wet", "dry", "Water drips from {it}", "There is no water on {it}"),
    ("heavy", "light", "Nobody can lift {it}", "A baby can lift {it}"),
    ("clean", "dirty", "Nobody has to wash {it}", "Mum has to wash {it}"),
    ("open", "shut", "You can look into {it}", "You cannot look into {it}"),
    ("hard", "soft", "You cannot press {it} together", "You can press {it} together"),
    ("cheap", "dear", "Everybody can buy {it}", "Only the king can buy {it}"),
)
RELATIONS = (
    ("above", "below"), ("left of", "right of"), ("in front of", "behind"), ("bigger than", "smaller than"),
    ("older than", "younger than"), ("before", "after"), ("ahead of", "behind"), ("heavier than", "lighter than"),
)  # fmt: skip
FIRST = _words("Alice Emma Ruth Clara Nora Helen Rose Jane Peter John Hugo Oscar Henry Frank Karl Edwin")
LAST = _words("Hill Brook Stone Field Moor Wood Bell Lake Marsh Ford Green Mill Hart Reed Snow Dale")
TOWNS = tuple(
    f"{first}{last}" for first in ("Mill", "Oak", "Red", "Stone", "North", "Fair") for last in ("brook", "ham", "field", "ford")
)
JOBS = (
    ("painter", "painted", "pictures of the sea"), ("writer", "wrote", "books for children"), ("singer", "sang", "songs about love"),
    ("teacher", "taught", "children at a small school"), ("farmer", "grew", "apples and potatoes"), ("baker", "baked", "bread and cakes"),
    ("sailor", "sailed", "boats on every sea"), ("doctor", "helped", "people who were ill"), ("builder", "built", "houses of stone"),
)  # fmt: skip

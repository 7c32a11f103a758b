"""Questions and answers out of Wikipedia articles by rules alone: a substitute for a model that writes them."""

from __future__ import annotations

import re

from .articles import Article, sentences

WRITER = "template"

_COPULA = re.compile(r" (?P<verb>is|are|was|were) (?=(?:a|an|the|one of|any|when|someone|something) )")
_ASIDE = re.compile(r"\s*\([^()]*\)")
_ARTICLE = re.compile(r"^(the|a|an) ", re.IGNORECASE)
# What the extraction of the text left behind: brackets that lost what they held ...
_EMPTY = re.compile(r"\s*\(\s*[,;:]*\s*\)|(?<=\()[\s,;:]+|[\s,;]+(?=\))")
# ... and what cannot be mended: markup, formulas, gaps where numbers or names stood.
_DEBRIS = re.compile(
    r"&[a-z]+;|[|{}<>\[\]=!�*]|formula_|https?:|\s[,;.](?=\s|$)|,,|\.\.|\(\("
    r"|\b(?:of|in|and|from|between|about|by|was|were|the|a|an|than|has|called)[,;)]|\b(?:and|of|to|the|was|is) (?:and|of|to|was|is|the the)\b"
    r"|\b(?:between|about|of|the|is|was|at|by) and\b|\b(?:for|of|by|at) (?:since|on|of|from|until)\b"
    r"| '[.,;]|\b(\w+) \1\b|\d{4}[A-Z]|\d{6,}|[a-z][.,][A-Z]|[–—-]\)"
)
_NO_ARTICLE = re.compile(
    r"(?:i|you|he|she|it|we|they|who|what|this|that)$|lists? of\b|.*\(disambiguation\)|(?:the )?\d+(?:s|th|st|nd|rd)?(?: century| bc| ad)?$"
    r"|(?:january|february|march|april|may|june|july|august|september|october|november|december)(?: \d+)?$",
    re.IGNORECASE,
)
_NO_DEFINITION = re.compile(
    r"\b(?:may|might|can|could) (?:also )?(?:refer|mean)\b|\brefers? to\b|^(?:this|these|it|there|that) |\b(?:the|a) (?:sur|given |first |last )?names? (?:of|for)\b"
    r"|\b(?:is|are) (?:a list|the title)\b|\babbreviation\b",
    re.IGNORECASE,
)
_LIVED = re.compile(r"\([^()]*\b(?:born|died|b\.|d\.|\d{3,4}\)? ?[–—-]|[–—-] ?[^()]*\d{3,4})")
_PERSON = re.compile(
    r"\b(?!(?:ro|ger|otto|nor|hu)man\b)(?:\w*(?:ist|cian|man|wright|smith|grapher|player|keeper|maker|worker|driver|racer|leader)|act(?:or|ress)"
    r"|singer|writer|author|poet|painter|composer|conductor|director|producer|rapper|dancer|teacher|lawyer|judge|attorney|bishop|priest|pope"
    r"|cardinal|king|queen|prince|princess|emperor|empress|duke|duchess|president|minister|senator|governor|mayor|general|admiral"
    r"|officer|soldier|engineer|professor|philosopher|explorer|astronaut|cosmonaut|footballer|cricketer|wrestler|boxer|swimmer|runner"
    r"|goaltender|winger|striker|defender|midfielder|pitcher|catcher|quarterback|coach|manager|referee|golfer|skier|skater|cyclist|editor|broadcaster|host|presenter|comedian|model|designer|architect|inventor"
    r"|nurse|physician|doctor|surgeon|banker|entrepreneur|executive|owner|farmer|diplomat|ambassador|monk|nun|saint|scholar|critic|killer"
    r"|murderer|criminal|spy|pilot|sailor|sculptor|translator|publisher|reporter|jockey|trainer|son|daughter|wife|husband|member|fighter)\b",
    re.IGNORECASE,
)
_FIGURE = re.compile(r"\b(?:character|superhero|supervillain|god|goddess|deity|prophet)\b", re.IGNORECASE)
_GROUP = re.compile(r"\b(?:band|duo|trio|group|team|people|tribes?|siblings|brothers|sisters|twins)\b")
_COMPATRIOT = re.compile(r"an? [A-Z]\w+(?:ian|an|ese|ish|ch|i|er|ic)\b")
_BORN = re.compile(r"\([^()]*\bborn\b")
_SAYS = re.compile(r"\b(?:is|are|was|were|has|have|had|can|it|they|he|she|\w+ed)\b", re.IGNORECASE)
_SPOKEN_OF = re.compile(r"\b(?:he|she|his|her)\b", re.IGNORECASE)


def question_and_answer(article: Article, answer_sentences: int = 2) -> tuple[str, str] | str:
    """Asks for what the first sentence of an English article defines, and answers with the article's first sentences.

    Articles whose first sentence does not define their title are passed over: lists, dates, names of several things,
    and texts from which the extraction lost words.

    Args:
        article: The article.
        answer_sentences: The most sentences of an answer; it is shorter where a heading follows.

    Returns:
        The question and its answer, or the reason why there is none.

    Example:
        >>> text = "A kettle is a pot for boiling water (). Most kettles have a spout. History. The first kettles were of bronze."
        >>> question_and_answer(Article("Kettle", text))
        ('What is a kettle?', 'A kettle is a pot for boiling water. Most kettles have a spout.')
    """
    if _NO_ARTICLE.match(article.title):
        return "list or date"
    opening = _opening(article.text, answer_sentences)
    copula = _COPULA.search(opening[0]) if opening else None
    if copula is None or _NO_DEFINITION.search(opening[0]):
        return "no definition"
    named = _named(article, opening[0][: copula.start()])
    if named is None:
        return "no definition"
    predicate = re.split(r"[,;.]| (?:that|which|who|in|of|from|for|by|about|with|on|at) ", opening[0][copula.end() :])[0]
    pronoun = _pronoun(article, opening[0], copula, predicate)
    answer = " ".join(opening)
    if _DEBRIS.search(answer) or answer.count("(") != answer.count(")") or answer.count('"') % 2:
        return "words lost"
    if not answer.endswith((".", '."')):
        return "words lost"
    return f"{pronoun} {copula['verb']} {_described(named, article.title, pronoun, predicate)}?", answer


def _opening(text: str, most: int) -> list[str]:
    """The first sentences, up to the first heading, which stands in the text as a sentence of its own."""
    found: list[str] = []
    for sentence in sentences(text[:3000])[:most]:
        if len(sentence.split()) <= 5 and not _SAYS.search(sentence):
            break
        found.append(re.sub(r"\s+([,.])", r"\1", _EMPTY.sub("", sentence)) if _EMPTY.search(sentence) else sentence)
    return found


def _named(article: Article, before: str) -> str | None:
    """What the question asks for, out of all that stands before the verb; None if that is not the article's title."""
    title = article.title.split(" (")[0]
    subject = _ASIDE.sub("", before).strip(" ,")
    if "(" in subject or len(subject.split()) > 15:
        return None
    for candidate in (subject, subject.split(",")[0], subject.split(" or ")[0]):
        if _same(candidate, title):
            return _in_sentence(candidate, title, article.text)
        if title.startswith(f"{candidate}, "):
            return title
    names, asked = re.findall(r"\w+", before), title.split()
    person = _LIVED.search(before) and len(asked) > 1 and asked[0] in names and asked[-1] in names
    return title if person else None


def _same(candidate: str, title: str) -> bool:
    def plain(text: str) -> str:
        return re.sub(r"e?s?$", "", _ARTICLE.sub("", text.replace('"', "").strip()).casefold())

    return plain(candidate) == plain(title)


def _in_sentence(candidate: str, title: str, text: str) -> str:
    """The subject as it stands in the middle of a sentence: with a small letter, unless it is a name."""
    article = _ARTICLE.match(candidate)
    if article and not title.startswith(article[0]):
        return article[0].lower() + candidate[article.end() :]
    small, singular = (name[:1].lower() + name[1:] for name in (candidate, title))
    return small if f" {small}" in text or f" {singular}" in text else candidate


def _described(named: str, title: str, pronoun: str, predicate: str) -> str:
    """Adds what a title says in brackets, if the first sentence says so too: "the 1986 movie The Mission"."""
    named = named.strip('"') if pronoun == "Who" else named
    kind = title.partition(" (")[2].rstrip(")").split(",")[0]
    if not re.fullmatch(r"(?:\d{4} )?[a-z]+(?: [a-z]+)?", kind) or not re.search(rf"\b{kind.split()[-1]}\b", predicate):
        return named
    if pronoun == "Who" and not any(noun.fullmatch(kind) for noun in (_PERSON, _FIGURE, _GROUP)):
        return named
    return f"the {kind} {_ARTICLE.sub('', named) if named[:1].islower() else named}"


def _pronoun(article: Article, sentence: str, copula: re.Match[str], predicate: str) -> str:
    subject, spoken_of = sentence[: copula.start()], _SPOKEN_OF.search(article.text[:600])
    if _BORN.search(subject) or (_LIVED.search(subject) and (_PERSON.search(sentence[copula.end() :]) or spoken_of)):
        return "Who"
    if _FIGURE.search(predicate) or (_PERSON.search(predicate) and (spoken_of or _COMPATRIOT.match(predicate))):
        return "Who"
    return "Who" if copula["verb"] in ("are", "were") and _GROUP.search(predicate) else "What"

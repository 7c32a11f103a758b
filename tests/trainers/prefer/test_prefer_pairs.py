"""Preference rows as tokens: what is cut, what is lost, and the words that are left."""

from __future__ import annotations

import pytest
from babyeval.trainers.instruct.rows import Message, Row
from babyeval.trainers.prefer.pairs import encode_pairs, training_order
from tiny import make_tokenizer

from babyeval.errors import UsageError


def row(prompt: str, chosen: str, rejected: str, *history: Message) -> Row:
    return Row(prompt, chosen, "mine", "en", history=history, rejected=rejected)


def test_a_pair_is_the_prompt_with_either_reply():
    tokenizer = make_tokenizer("bos")
    said = (Message("user", "Hello!"), Message("assistant", "Good day."))
    found = encode_pairs(tokenizer, [row("Is it cold?", "Yes, very.", "No.", *said)], 200)
    (pair,) = found.pairs
    text = [tokenizer.decode(ids) for ids in (pair.prompt, pair.prompt + pair.chosen, pair.prompt + pair.rejected)]
    assert text[0].startswith("<s>Hello!\nGood day.\nIs it cold?")
    end = tokenizer.eos_token or ""
    assert text[1] == f"<s>Hello!\nGood day.\nIs it cold? Yes, very.{end}"
    assert text[2] == f"<s>Hello!\nGood day.\nIs it cold? No.{end}"
    assert pair.words == 9
    assert pair.tokens == 2 * len(pair.prompt) + len(pair.chosen) + len(pair.rejected)
    assert (found.cut, found.lost) == (0, {})


def test_cut_lost_and_equal_sides_are_counted():
    tokenizer = make_tokenizer("eos")
    rows = [
        row("Is it cold?", "Yes, very.", "No."),
        row("Is it cold today, tell me?", "x" * 80, "No."),  # the preferred side is cut
        row("Is it? " * 30, "Yes.", "No."),  # nothing is left of either reply
        row(
            "Why?",
            "Because it is so cold and wet and late today outside.",
            "Because it is so cold and wet and late today inside.",
        ),
        row("Why?", "The same.", "The same."),
    ]
    length = 30
    found = encode_pairs(tokenizer, rows, length)
    assert [len(pair.prompt) + max(len(pair.chosen), len(pair.rejected)) <= length for pair in found.pairs] == [True, True]
    assert found.cut == 1
    assert found.lost == {"replies cut away": 1, "equal when cut": 1, "equal sides": 1}
    cut = found.pairs[1]
    left = tokenizer.decode(cut.chosen, skip_special_tokens=True)
    assert len(cut.prompt) + len(cut.chosen) == length
    assert set(left.strip()) == {"x"}
    assert cut.words == 6 + 1 + 1  # what is left of 80 letters is one word still
    assert encode_pairs(tokenizer, rows[:1], length).digest != found.digest
    assert "2 pairs, 1 of them with a reply cut" in found.in_words()
    assert "1 left out (equal when cut)" in found.in_words()


def test_words_of_a_cut_reply_are_those_that_are_left():
    tokenizer = make_tokenizer("eos")
    whole = row("Who?", "a b c d e f g h", "b")
    (full,) = encode_pairs(tokenizer, [whole], 100).pairs
    assert full.words == 10
    texts = set()
    for room in range(2, len(full.chosen)):
        (cut,) = encode_pairs(tokenizer, [whole], len(full.prompt) + room).pairs
        text = tokenizer.decode(cut.chosen)
        assert cut.words == 1 + len(text.split()) + 1
        texts.add(text)
    assert " a b c" in texts


def test_no_pair_left_is_an_error_that_names_the_length_needed():
    tokenizer = make_tokenizer("eos")
    rows = [row("Is it cold today?", "Yes.", "No."), row("Is it cold today, tell me now?", "Yes.", "No.")]
    with pytest.raises(UsageError, match="replies cut away: 2") as caught:
        encode_pairs(tokenizer, rows, 4)
    needed = int(caught.value.hint.split()[2])
    assert len(encode_pairs(tokenizer, rows, needed).pairs) == 1
    with pytest.raises(UsageError):
        encode_pairs(tokenizer, rows, needed - 1)
    with pytest.raises(UsageError, match="equal sides: 1"):
        encode_pairs(tokenizer, [row("Is it?", "Yes.", "Yes.")], 50)


def test_each_epoch_takes_each_pair_once_in_another_order():
    order = training_order(7, 7 * 3 + 2, seed=5).tolist()
    epochs = [order[start : start + 7] for start in range(0, 21, 7)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(7))] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert training_order(7, 10, seed=5).tolist() == order[:10]  # a longer training begins the same
    assert training_order(7, 7, seed=6).tolist() != order[:7]


@pytest.mark.parametrize("lost", [row("Why?", "Bad.", "Yes."), row("Why?", "Yes.", "Bad."), row("A bad one?", "Yes.", "No.")])
def test_a_pair_that_the_template_cannot_render_is_left_out(lost: Row):
    tokenizer = make_tokenizer("bos")
    tokenizer.chat_template = (
        "{% for message in messages %}{% if 'bad' in message.content | lower %}{{ raise_exception('bad') }}{% endif %}"
        "{{ message.role }}: {{ message.content }}\n{% endfor %}"
    )
    good = row("Is it cold?", "Yes, very.", "No.")
    found = encode_pairs(tokenizer, [good, lost, good], 200)
    assert (len(found.pairs), found.lost) == (2, {"the chat template loses a reply": 1})
    assert encode_pairs(tokenizer, [row("Why?", "So.", "So."), lost, good], 200).lost.keys() >= found.lost.keys()
    assert encode_pairs(tokenizer, [lost, good], 200, "valid").lost == found.lost
    with pytest.raises(UsageError, match="cannot render"):  # the first of all: the template is at fault
        encode_pairs(tokenizer, [lost, good], 200)


def test_of_the_validation_part_nothing_may_be_left():
    tokenizer, rows = make_tokenizer("eos"), [row("Is it cold today?", "Yes.", "No.")]
    found = encode_pairs(tokenizer, rows, 4, "valid")
    assert (found.pairs, found.lost) == ((), {"replies cut away": 1})
    with pytest.raises(UsageError, match="No training pair"):
        encode_pairs(tokenizer, rows, 4)

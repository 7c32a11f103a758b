"""Which tokens are learnt: token by token for three chat templates, without one, and where rows are cut."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from babyeval.trainers.instruct import encode as encode_module
from babyeval.trainers.instruct.encode import IGNORED, encode_set, reply_ends
from babyeval.trainers.instruct.rows import Message, Row
from babyeval.trainers.prefer.pairs import encode_pairs
from tiny import save_checkpoint
from transformers import AutoTokenizer

from babyeval.errors import UsageError

TEMPLATES = Path(__file__).parents[3] / "trainers" / "templates"
# As of Llama 2: no roles in words, and the prompt within brackets.
BRACKETS = (
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'assistant' %} {{ message.content }}{{ eos_token }}"
    "{% else %}[INST] {{ message.content }} [/INST]{% endif %}{% endfor %}"
)
# These write the header of a reply whether a prompt is asked for or not, so that prompt and whole part before it.
COLON = "{% for message in messages %}{{ message.role | capitalize }}: {{ message.content }}\n{% endfor %}"
BARS = "{% for message in messages %}<|{{ message.role }}|>\n{{ message.content | trim }}\n{% endfor %}"
# This one's prompt goes on with something that a reply does not begin with.
THINKING = BARS + "{% if add_generation_prompt %}<|assistant|>\n<think>\n{% endif %}"
# This one loses a word.
HUNGRY = "{% for message in messages %}{{ message.role }}: {{ message.content | replace('hungry', '') }}\n{% endfor %}"
ROW = Row("Who sees the frog?", "The old cat sees it.", "mine", "en")
LONG = Row("And why?", "It is hungry, they say.", "mine", "en", history=(Message("user", "Is it?"), Message("assistant", "Yes.")))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return AutoTokenizer.from_pretrained(
        save_checkpoint(tmp_path_factory.mktemp("tiny") / "model", "llama", "bos_eos", positions=64, seed=0)
    )


def with_template(tokenizer: Any, template: str | None) -> Any:
    tokenizer.chat_template = template
    return tokenizer


def learnt(tokenizer: Any, ids: list[int], labels: list[int]) -> str:
    assert all(label in (IGNORED, token) for token, label in zip(ids, labels, strict=True))
    masked = [label == IGNORED for label in labels]
    assert masked == sorted(masked, reverse=True)  # first the prompt, then the reply to its end
    return str(tokenizer.decode([label for label in labels if label != IGNORED]))


@pytest.mark.parametrize("name", ["plain", "chatml", "brackets", None])
@pytest.mark.parametrize("row", [ROW, LONG], ids=["one turn", "three turns"])
def test_only_the_reply_and_its_end_are_learnt(tokenizer: Any, name: str | None, row: Row) -> None:
    template = {"brackets": BRACKETS, None: None}.get(name) or (TEMPLATES / f"{name}.jinja").read_text() if name else None
    made = encode_set("mine", [row], with_template(tokenizer, template), 400)
    (ids,), (labels,) = made.input_ids, made.labels
    text = learnt(tokenizer, ids, labels)
    assert text.strip().startswith(row.reply)
    assert row.prompt not in text
    assert ids.count(tokenizer.bos_token_id) == 1
    assert ids[0] == tokenizer.bos_token_id
    if name != "chatml":  # ends a reply by a mark of its own
        assert text.strip() == row.reply + tokenizer.eos_token
        assert labels[-1] == tokenizer.eos_token_id != labels[-2]
    assert made.words == [row.words]
    assert (made.cut, made.left_out.total()) == (0, 0)


@pytest.mark.parametrize("template", [COLON, BARS, THINKING], ids=["colon", "bars", "thinking"])
@pytest.mark.parametrize("reply", ["A", "s", "a", "assistant", "<3 they say", "<", "User: s", "0", "1"])
def test_a_reply_is_not_taken_for_a_part_of_its_header(tokenizer: Any, template: str, reply: str) -> None:
    row = Row("Who asks, assistant?", reply, "mine", "en", history=LONG.history)
    made = encode_set("mine", [row], with_template(tokenizer, template), 400)
    text = learnt(tokenizer, made.input_ids[0], made.labels[0])
    assert text.removesuffix(tokenizer.eos_token).strip() == reply


@pytest.mark.parametrize("name", ["plain", "brackets"])
def test_trl_itself_takes_the_same_tokens_for_the_reply(tokenizer: Any, name: str) -> None:
    """TRL masks up to where the prompt alone and the whole diverge; what we leave out of it is a line end."""
    template = BRACKETS if name == "brackets" else (TEMPLATES / f"{name}.jinja").read_text()
    with_template(tokenizer, template)
    from trl.data_utils import _tokenize, common_prefix_length

    prompt = _tokenize(tokenizer, ROW.messages, add_generation_prompt=True)["input_ids"]
    whole = _tokenize(tokenizer, [*ROW.messages, {"role": "assistant", "content": ROW.reply}])["input_ids"]
    first = common_prefix_length(prompt, whole)
    made = encode_set("mine", [ROW], tokenizer, 400)
    ids, labels = made.input_ids[0], made.labels[0]
    assert whole[: len(ids)] == ids
    assert tokenizer.decode(whole[len(ids) :]).strip() == ""
    assert [label == IGNORED for label in labels].index(False) == first


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_a_cut_reply_keeps_its_beginning_and_has_no_end(tokenizer: Any, cut: int) -> None:
    with_template(tokenizer, None)
    whole = encode_set("mine", [ROW], tokenizer, 400)
    length = len(whole.input_ids[0]) - cut
    made = encode_set("mine", [ROW, ROW], tokenizer, length)
    assert made.input_ids[0] == whole.input_ids[0][:length]
    assert made.labels[0] == whole.labels[0][:length]
    assert made.cut == 2
    assert any("2 have a reply that is cut" in remark for remark in made.remarks())


def test_words_are_those_that_are_shown(tokenizer: Any) -> None:
    """Never the rejected reply, and of a cut one what is left; preference tuning counts in the same way."""
    with_template(tokenizer, None)
    row = Row("Who is it?", "a b c d e f g h", "mine", "en", history=LONG.history, rejected="b c")
    whole = encode_set("mine", [row], tokenizer, 400)
    assert (whole.words, whole.reply_words) == ([3 + 3 + 8], [8])
    first = [label == IGNORED for label in whole.labels[0]].index(False)
    left = set()
    for length in range(first + 6, len(whole.input_ids[0])):
        made = encode_set("mine", [row], tokenizer, length)
        text = tokenizer.decode(made.labels[0][first:])
        assert made.reply_words == [len(text.split())]
        assert made.words == [6 + len(text.split())]
        assert encode_pairs(tokenizer, [row], length).pairs[0].words == made.words[0] + 2
        left.add(made.words[0])
    assert {10, 11, 12} < left


def test_what_ends_a_reply(tokenizer: Any) -> None:
    eos = tokenizer.eos_token_id
    chatml = (TEMPLATES / "chatml.jinja").read_text()
    assert reply_ends(with_template(tokenizer, None)) == [eos]
    assert reply_ends(with_template(tokenizer, BRACKETS)) == [eos]
    assert reply_ends(with_template(tokenizer, chatml)) == [eos], "the mark is no token of this vocabulary"
    other = with_template(deepcopy(tokenizer), chatml)
    other.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=True)
    assert reply_ends(other) == [eos, other.convert_tokens_to_ids("<|im_end|>")]


def test_rows_without_a_token_of_their_reply_are_left_out_and_counted(tokenizer: Any) -> None:
    with_template(tokenizer, None)
    wordy = Row("word " * 60, "Yes.", "mine", "en")
    made = encode_set("mine", [ROW, wordy, ROW], tokenizer, 60)
    assert (len(made), made.left_out.total()) == (2, 1)
    assert made.words == [ROW.words] * 2
    assert any("1 row left out" in remark for remark in made.remarks())
    whole = len(encode_set("mine", [wordy], tokenizer, 4000).input_ids[0])
    with pytest.raises(UsageError, match="nothing to learn") as refused:
        encode_set("mine", [wordy], tokenizer, 60)
    assert f"{whole:,}" in str(refused.value)


@pytest.mark.parametrize(
    "template",
    [
        "{% for message in messages if message.role != 'assistant' %}{{ message.content }}{% endfor %}",
        "{% for message in messages %}{{ message.role }}: {{ message.content[:4] }}{% endfor %}",
        "{% for message in messages %}{{ raise_exception('no ' ~ message.role) }}{% endfor %}",
    ],
    ids=["no replies", "cuts", "raises"],
)
def test_a_template_that_loses_the_reply_is_refused_on_the_first_row(tokenizer: Any, template: str) -> None:
    with pytest.raises(UsageError, match="chat template"):
        encode_set("mine", [ROW], with_template(tokenizer, template), 400)


def test_a_later_row_that_the_template_loses_is_left_out(tokenizer: Any) -> None:
    made = encode_set("mine", [ROW, LONG], with_template(tokenizer, HUNGRY), 400)
    assert len(made) == 1
    assert dict(made.left_out) == {"the chat template loses its reply": 1}


def test_only_the_first_row_of_all_tells_that_the_template_is_at_fault(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode_module, "_AT_ONCE", 1)  # rows are encoded in groups, and each has a first one
    wordy = Row("word " * 60, "Yes.", "mine", "en")
    made = encode_set("mine", [wordy, LONG, ROW], with_template(tokenizer, HUNGRY), 60)
    assert (len(made), made.left_out.total()) == (1, 2)


def test_of_the_validation_part_nothing_may_be_left(tokenizer: Any) -> None:
    wordy = Row("word " * 60, "Yes.", "mine", "en")
    with_template(tokenizer, HUNGRY)
    made = encode_set("mine", [LONG, wordy], tokenizer, 60, "valid")
    assert (len(made), made.left_out.total()) == (0, 2)
    assert made.remarks()[-1] == "Set mine, validation: no row is left, so there is no validation of this set."
    assert len(encode_set("mine", [LONG, ROW], tokenizer, 60, "valid")) == 1
    with pytest.raises(UsageError, match="training part of the set 'mine'"):
        encode_set("mine", [wordy], tokenizer, 60)
    with pytest.raises(UsageError, match="loses the reply"):
        encode_set("mine", [LONG, ROW], tokenizer, 60)

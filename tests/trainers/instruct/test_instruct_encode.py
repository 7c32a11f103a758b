"""Which tokens are learnt: token by token for three chat templates, without one, and where rows are cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from babyeval.trainers.instruct.encode import IGNORED, encode_set
from babyeval.trainers.instruct.rows import Message, Row
from tiny import save_checkpoint
from transformers import AutoTokenizer

from babyeval.errors import UsageError

TEMPLATES = Path(__file__).parents[3] / "trainers" / "templates"
# As of Llama 2: no roles in words, and the prompt within brackets.
BRACKETS = (
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'assistant' %} {{ message.content }}{{ eos_token }}"
    "{% else %}[INST] {{ message.content }} [/INST]{% endif %}{% endfor %}"
)
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
    template = "{% for message in messages %}{{ message.role }}: {{ message.content | replace('hungry', '') }}\n{% endfor %}"
    made = encode_set("mine", [ROW, LONG], with_template(tokenizer, template), 400)
    assert len(made) == 1
    assert dict(made.left_out) == {"the chat template loses its reply": 1}

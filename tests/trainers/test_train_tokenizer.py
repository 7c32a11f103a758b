"""Trained tokenizers: exact sizes, special tokens, the same each time, any text back again, chat templates."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from babyeval.trainers import tokenizer as module
from babyeval.trainers.model import model_config
from babyeval.trainers.recipe import ModelSpec, TokenizerSpec
from babyeval.trainers.tokenizer import read_template, train_tokenizer
from hypothesis import given
from hypothesis import strategies as st
from small_corpus import SmallCorpus, document, sentences, small_corpus
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

from babyeval.errors import MissingError, UsageError
from babyeval.models.checkpoint import open_checkpoint
from babyeval.models.inspect import inspect_checkpoint
from babyeval.models.naming import parse_model
from babyeval.models.tokenizer import load_tokenizer, tokenizer_facts
from babyeval.progress import Quiet

SIZE = 350
KINDS = ("bpe", "wordpiece", "unigram")


def spec(kind: str = "bpe", size: int = SIZE, **settings: object) -> TokenizerSpec:
    if kind == "unigram":  # gets fewer pieces out of so little text than the others, and knows no lowest frequency
        return TokenizerSpec(kind=kind, vocab_size=300, **settings)
    return TokenizerSpec(kind=kind, vocab_size=size, min_frequency=1, **settings)


def trained(out: Path, causal: bool = True, corpus: SmallCorpus | None = None, max_length: int = 64, **settings: object) -> Path:
    return train_tokenizer(corpus or small_corpus(), spec(**settings), causal, out, max_length, Quiet())


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, bool], Path]:
    out = tmp_path_factory.mktemp("tokenizers")
    return {(kind, causal): trained(out, causal, kind=kind) for kind in KINDS for causal in (True, False)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("causal", [True, False])
def test_is_an_ordinary_fast_tokenizer_of_the_size_asked_for(folders, kind, causal):
    tokenizer = AutoTokenizer.from_pretrained(folders[kind, causal])
    assert tokenizer.is_fast
    assert len(tokenizer) == spec(kind).vocab_size
    assert sorted(tokenizer.get_vocab().values()) == list(range(len(tokenizer)))
    assert tokenizer.model_max_length == 64
    assert set(tokenizer("a dog")) == {"input_ids", "attention_mask"}


@pytest.mark.parametrize("kind", KINDS)
def test_babyeval_sees_bos_before_a_causal_text_and_nothing_behind_it(folders, kind):
    tokenizer = load_tokenizer(folders[kind, True])
    facts = tokenizer_facts(tokenizer)
    assert facts.prefix == (facts.bos,)
    assert facts.suffix == ()
    assert facts.eos is not None
    assert facts.mask is None
    assert (tokenizer.unk_token is None) == (kind == "bpe")
    assert tokenizer.pad_token_id == 0


@pytest.mark.parametrize("kind", KINDS)
def test_babyeval_sees_cls_and_sep_around_a_masked_text(folders, kind):
    tokenizer = load_tokenizer(folders[kind, False])
    facts = tokenizer_facts(tokenizer)
    assert facts.prefix == (tokenizer.cls_token_id,)
    assert facts.suffix == (tokenizer.sep_token_id,)
    assert facts.mask is not None
    assert (facts.bos, facts.eos) == (None, None)
    pair = tokenizer("a dog", "the cat")["input_ids"]
    assert [token for token in pair if token in tokenizer.all_special_ids] == [*facts.prefix, *facts.suffix, *facts.suffix]


@pytest.mark.parametrize(("bos", "eos"), [(False, True), (True, False), (False, False)])
def test_bos_and_eos_are_as_the_recipe_says(tmp_path, bos, eos):
    tokenizer = AutoTokenizer.from_pretrained(trained(tmp_path, bos=bos, eos=eos))
    assert (tokenizer.bos_token_id is not None, tokenizer.eos_token_id is not None) == (bos, eos)
    added = len(tokenizer("a dog")["input_ids"]) - len(tokenizer("a dog", add_special_tokens=False)["input_ids"])
    assert added == int(bos)
    assert len(tokenizer) == SIZE


@pytest.fixture(scope="module")
def byte_level(folders):
    return AutoTokenizer.from_pretrained(folders["bpe", True]), AutoTokenizer.from_pretrained(folders["bpe", False])


# Surrogates are no text: nothing can encode them.
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_byte_level_bpe_gives_any_text_back(byte_level, text):
    for tokenizer in byte_level:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("text", ["a <s> b", "I 'm n't , no .", " [MASK]  </s>\t\n", "e\u0301 \x00 \u200d 𝄞", "<|im_start|>"])
def test_byte_level_bpe_gives_awkward_text_back(byte_level, text):
    for tokenizer in byte_level:
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_case_is_folded_only_where_asked(tmp_path):
    for kind in ("wordpiece", "unigram"):
        folded = AutoTokenizer.from_pretrained(trained(tmp_path, kind=kind, lowercase=True))
        kept = AutoTokenizer.from_pretrained(trained(tmp_path, kind=kind))
        assert folded("Zoë SEES")["input_ids"] == folded("zoë sees")["input_ids"]
        assert kept("Zoë sees")["input_ids"] != kept("zoë sees")["input_ids"]
        assert folded("Zoë")["input_ids"] != folded("Zoe")["input_ids"]  # accents are no case


def test_wordpiece_keeps_the_most_frequent_letters(tmp_path):
    # 1,000 rare letters and some frequent ones: the rare ones do not fill the vocabulary.
    rare = " ".join(chr(0x4E00 + i) for i in range(1000))
    corpus = SmallCorpus([document(rare), *small_corpus().train])
    folder = train_tokenizer(corpus, TokenizerSpec(kind="wordpiece", vocab_size=300, min_frequency=1), True, tmp_path, 8, Quiet())
    vocabulary = AutoTokenizer.from_pretrained(folder).get_vocab()
    assert {"a", "##a", "b", "##e", "the"} <= set(vocabulary)
    assert sum(len(token) == 1 for token in vocabulary) == 300 // 4


_AGAIN = """
import sys; sys.path.insert(0, {here!r})
from pathlib import Path
from test_train_tokenizer import trained
print(trained(Path({out!r}), kind="bpe"), trained(Path({out!r}), False, kind="wordpiece"), sep="\\n")
"""


def test_another_process_trains_the_same(folders, tmp_path):
    code = _AGAIN.format(here=str(Path(__file__).parent), out=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for line, own in zip(done.stdout.split(), (folders["bpe", True], folders["wordpiece", False]), strict=True):
        other = Path(line)
        assert other.name == own.name
        names = sorted(path.name for path in other.iterdir())
        assert names == sorted(path.name for path in own.iterdir())
        assert "tokenizer.json" in names
        for name in names:
            assert (other / name).read_bytes() == (own / name).read_bytes()


def test_is_trained_once(tmp_path):
    first = trained(tmp_path)
    (first / "mark").touch()
    assert trained(tmp_path) == first
    assert (first / "mark").exists()
    assert trained(tmp_path, max_length=32) != first
    assert trained(tmp_path, corpus=small_corpus(seed=1)) != first


def test_a_tokenizer_that_another_process_made_meanwhile_stays(tmp_path, monkeypatch):
    plain = module._finished

    def other_was_faster(*args):
        monkeypatch.setattr(module, "_finished", plain)
        (trained(tmp_path) / "mark").touch()
        return plain(*args)

    monkeypatch.setattr(module, "_finished", other_was_faster)
    assert (trained(tmp_path) / "mark").exists()


def test_reads_validation_text_only_if_told_to(tmp_path):
    corpus = SmallCorpus([document(sentences(300))], [document("quizzaciously " * 200)])
    for on in ("train", "all"):
        tokenizer = AutoTokenizer.from_pretrained(trained(tmp_path, corpus=corpus, on=on))
        assert any("quizz" in token for token in tokenizer.get_vocab()) == (on == "all")


@pytest.mark.parametrize("kind", KINDS)
def test_says_how_many_tokens_the_text_supports(tmp_path, kind):
    settings = {"kind": kind} if kind == "unigram" else {"kind": kind, "min_frequency": 1}
    with pytest.raises(UsageError, match=r"supports only [\d,]+ tokens") as caught:
        train_tokenizer(small_corpus(), TokenizerSpec(vocab_size=30_000, **settings), True, tmp_path, 64, Quiet())
    assert not list(tmp_path.rglob("tokenizer.json"))
    supported = int(caught.value.what.split("only ")[1].split()[0].replace(",", ""))
    train_tokenizer(small_corpus(), TokenizerSpec(vocab_size=supported, **settings), True, tmp_path, 64, Quiet())


def test_refuses_a_vocabulary_too_small_for_the_letters(tmp_path):
    corpus = SmallCorpus([document(" ".join(chr(0x4E00 + i) for i in range(1000)))])
    with pytest.raises(UsageError, match="300"):
        train_tokenizer(corpus, TokenizerSpec(kind="unigram", vocab_size=300), True, tmp_path, 8, Quiet())


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "bert", "roberta"])
@pytest.mark.parametrize("kind", KINDS)
def test_beside_a_model_it_gives_the_same_ids(folders, tmp_path, architecture, kind):
    """AutoTokenizer looks at the model's type, and must not choose another class for it."""
    alone = AutoTokenizer.from_pretrained(folders[kind, architecture in ("llama", "gpt2")])
    alone.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": architecture}))
    beside = AutoTokenizer.from_pretrained(tmp_path)
    text = "Zoë  paints\n\ntwo cafés, they 'll say."
    assert beside(text)["input_ids"] == alone(text)["input_ids"]
    assert beside.special_tokens_map == alone.special_tokens_map


@pytest.mark.parametrize(
    ("kind", "architecture"), [("bpe", "llama"), ("unigram", "gpt2"), ("wordpiece", "bert"), ("bpe", "roberta")]
)
def test_babyeval_check_finds_nothing_wrong_with_it(tmp_path, kind, architecture):
    causal = architecture in ("llama", "gpt2")
    tokenizer = AutoTokenizer.from_pretrained(trained(tmp_path, causal, kind=kind))
    shape = ModelSpec(architecture=architecture, hidden_size=32, layers=1, heads=2, max_length=64)
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    automatic = AutoModelForCausalLM if causal else AutoModelForMaskedLM
    automatic.from_config(model_config(shape, len(tokenizer), ids)).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    report = inspect_checkpoint(open_checkpoint(parse_model(str(tmp_path / "model"))), "cpu")
    assert not report.unusable
    # Random weights and a small vocabulary are warned about, and nothing else.
    expected = ("no better than chance", *(() if kind == "bpe" else ("does not know a part of plain English",)))
    assert [w for w in report.warnings if not any(text in w for text in expected)] == []


CHAT = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Who paints?"},
    {"role": "assistant", "content": "The old cat paints."},
    {"role": "user", "content": " Why? "},
    {"role": "assistant", "content": "Nobody said."},
]


@pytest.mark.parametrize("template", ["plain", "chatml"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("bos", "eos"), [(True, True), (False, False)])
def test_a_prompt_begins_its_conversation(tmp_path, template, kind, bos, eos):
    tokenizer = AutoTokenizer.from_pretrained(trained(tmp_path, kind=kind, chat_template=template, bos=bos, eos=eos))
    assert len(tokenizer) == spec(kind).vocab_size
    for turn in (2, 4):
        prompt = tokenizer.apply_chat_template(CHAT[:turn], add_generation_prompt=True, return_dict=False)
        whole = tokenizer.apply_chat_template(CHAT[: turn + 1], return_dict=False)
        assert whole[: len(prompt)] == prompt
        assert whole.count(tokenizer.bos_token_id) == int(bos)
        assert "paints" in tokenizer.decode(whole)


def test_plain_templates_look_as_documented(tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(trained(tmp_path))
    text = tokenizer.apply_chat_template(CHAT[1:3], tokenize=False)
    assert text == "<s>User: Who paints?\nAssistant: The old cat paints.</s>\n"


def test_chatml_is_made_of_special_tokens(tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(trained(tmp_path, chat_template="chatml"))
    text = tokenizer.apply_chat_template(CHAT[1:3], tokenize=False)
    assert text == ("<s><|im_start|>user\nWho paints?<|im_end|>\n<|im_start|>assistant\nThe old cat paints.<|im_end|>\n")
    start, end = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    ids = tokenizer.apply_chat_template(CHAT, return_dict=False)
    assert (ids.count(start), ids.count(end)) == (5, 5)
    assert {start, end} <= set(tokenizer.all_special_ids)


def test_replies_are_marked_for_training_on_them_alone(tmp_path):
    for template, end in (("plain", "</s>"), ("chatml", "<|im_end|>")):
        tokenizer = AutoTokenizer.from_pretrained(trained(tmp_path, chat_template=template))
        found = tokenizer.apply_chat_template(CHAT, return_dict=True, return_assistant_tokens_mask=True)
        asked = [token for token, mark in zip(found["input_ids"], found["assistant_masks"], strict=True) if mark]
        assert tokenizer.decode(asked).replace(" ", "") == f"Theoldcatpaints.{end}Nobodysaid.{end}"


def test_own_template(tmp_path):
    path = tmp_path / "own.jinja"
    path.write_text(
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    tokenizer = AutoTokenizer.from_pretrained(trained(tmp_path, chat_template=str(path)))
    assert "<|end|>" in tokenizer.all_special_tokens
    assert tokenizer.apply_chat_template(CHAT[1:2], tokenize=False) == "<|user|>Who paints?<|end|>"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{% for m in messages %}", "cannot be rendered"),
        ("{{ messages[-1].content }}", "no beginning"),
        (b"\xff\xfe\xff", "cannot be read"),
    ],
)
def test_refuses_a_wrong_template(tmp_path, text, reason):
    path = tmp_path / "own.jinja"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match=reason):
        trained(tmp_path / "out", chat_template=str(path))
    assert not list((tmp_path / "out").rglob("tokenizer.json"))


def test_names_the_templates_there_are():
    with pytest.raises(MissingError, match="chatlm") as caught:
        read_template("chatlm")
    assert "chatml, plain" in str(caught.value)

"""Questions and answers about articles, written by an instruct model that can only write JSON of one schema."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babyeval.errors import MissingError, ModelError, UsageError, disk_error, raise_interrupt
from babyeval.models.naming import counted
from babyeval.progress import Reporter

from ..corpus.clean import clean_text
from ..folders import content_key
from .articles import Article, sentences
from .spec import SetSpec

WRITTEN_FILE = "written.jsonl"
_VERSION = 1  # of the prompt and the schema: what another version wrote is not taken


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote about an article.

    Attributes:
        article: Its place among the articles that were given.
        pairs: Questions and answers that can be used.
        rejects: Why others cannot, one reason for each.
    """

    article: int
    pairs: tuple[tuple[str, str], ...]
    rejects: tuple[str, ...]


def pair_schema(spec: SetSpec) -> dict[str, Any]:
    """The JSON schema of what is written about an article: ``{"pairs": [{"question": ..., "answer": ...}, ...]}``."""

    def text(longest: int) -> dict[str, Any]:
        return {"type": "string", "minLength": 1, "maxLength": longest}

    pair = {
        "type": "object",
        "properties": {"question": text(spec.question_characters), "answer": text(spec.answer_characters)},
        "required": ["question", "answer"],
        "additionalProperties": False,
    }
    pairs = {"type": "array", "items": pair, "minItems": spec.questions, "maxItems": spec.questions}
    return {"type": "object", "properties": {"pairs": pairs}, "required": ["pairs"], "additionalProperties": False}


def written_key(spec: SetSpec, model_digest: str) -> str:
    """What decides about the texts that are written; neither budgets nor the size of a batch does."""
    asked = (spec.style, spec.answer_sentences, spec.article_words, spec.max_new_tokens)
    return content_key(_VERSION, model_digest, pair_schema(spec), asked)


def write_pairs(articles: Sequence[Article], spec: SetSpec, folder: Path, reporter: Reporter) -> Iterator[Written]:
    """Has a model write about articles, in their order, for as long as somebody takes what it wrote.

    All that was written is appended to a file, batch by batch, and is there when the same command is started again.

    Args:
        articles: What to write about.
        spec: The model and what it is asked for.
        folder: Where the texts are kept; made if it is not there.
        reporter: Is told what is reused and what is done.

    Yields:
        What was written about each article.

    Raises:
        MissingError: A library, the model or disk space is missing.
        ModelError: Nothing valid was written about the first articles (`SetSpec.patience`), or about all of them.
        UsageError: The model has no sign for the end of a text.
    """
    path = folder / WRITTEN_FILE
    kept = _kept(path)
    if kept:
        reporter.note(f"{len(kept):,} articles that {spec.model} wrote about before are reused: {path}")
    writer: _Writer | None = None
    any_valid, written, raw = False, None, ""
    for start in range(0, len(articles), spec.batch_size):
        batch = articles[start : start + spec.batch_size]
        keys = [content_key(article.title, article.text)[:32] for article in batch]
        missing = [number for number, key in enumerate(keys) if key not in kept]
        if missing:
            writer = writer or _Writer(spec)
            texts = writer.write([batch[number] for number in missing])
            fresh = {keys[number]: text for number, text in zip(missing, texts, strict=True)}
            _append(path, fresh)
            kept.update(fresh)
        for number, key in enumerate(keys):
            raw = kept[key]
            written = check_written(raw, spec, start + number)
            any_valid = any_valid or bool(written.pairs)
            if start + number + 1 >= spec.patience and not any_valid:
                raise _given_up(spec, written, raw)
            yield written
    if written is not None and not any_valid:
        raise _given_up(spec, written, raw)


def _given_up(spec: SetSpec, last: Written, raw: str) -> ModelError:
    return ModelError(
        f"The writer has written nothing valid about the first {counted(last.article + 1, 'article')}: "
        f"{', '.join(sorted(set(last.rejects)))}.",
        where=f"{spec.model}; last it wrote: {raw[:300]!r}",
        hint="Is it an instruct model? If its text is cut, raise max_new_tokens, or lower questions and answer_characters.",
    )


def check_written(raw: str, spec: SetSpec, article: int) -> Written:
    """Holds a text against the schema and the rules that no schema can say.

    Args:
        raw: What the model wrote.
        spec: What it was asked for.
        article: The article's place.

    Raises:
        MissingError: The library jsonschema is not installed.
    """
    try:
        import jsonschema
    except ImportError as error:
        raise _missing("jsonschema") from error
    try:
        content = json.loads(raw, strict=False)  # the grammar lets control characters through
    except (ValueError, RecursionError):
        return Written(article, (), ("no JSON (cut by max_new_tokens?)",))
    try:
        jsonschema.validate(content, pair_schema(spec))
    except jsonschema.ValidationError:
        return Written(article, (), ("JSON of another schema",))
    pairs, rejects, asked = list[tuple[str, str]](), list[str](), set[str]()
    for pair in content["pairs"]:
        question, answer = (" ".join(clean_text(pair[key]).split()) for key in ("question", "answer"))
        if not question or not answer:
            rejects.append("an empty question or answer")
        elif question.casefold() in asked:
            rejects.append("a question asked before")
        elif len(sentences(answer)) < spec.answer_sentences:
            rejects.append(f"an answer of fewer than {spec.answer_sentences} sentences")
        else:
            asked.add(question.casefold())
            pairs.append((question, answer))
    return Written(article, tuple(pairs), tuple(rejects))


def _kept(path: Path) -> dict[str, str]:
    """What was written before; a line that a kill cut off is taken away, so that the next one begins anew."""
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    whole = 0
    with path.open("rb") as file:
        for line in file:
            try:
                entry = json.loads(line)
                found[entry["article"]] = entry["text"]
            except (ValueError, KeyError, TypeError):
                break
            if not line.endswith(b"\n"):
                del found[entry["article"]]
                break
            whole += len(line)
    os.truncate(path, whole)
    return found


def _append(path: Path, texts: dict[str, str]) -> None:
    lines = "".join(json.dumps({"article": key, "text": text}, ensure_ascii=False) + "\n" for key, text in texts.items())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(lines.encode("utf-8", "replace"))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise disk_error(error, str(path)) from error


def _missing(library: str) -> MissingError:
    return MissingError(
        f"To have a model write questions and answers, the library {library} is needed.", hint='pip install "babyeval[write]"'
    )


class _Writer:
    """A causal language model under a grammar."""

    def __init__(self, spec: SetSpec) -> None:
        try:
            import xgrammar
        except ImportError as error:
            raise _missing("xgrammar") from error
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        name = str(spec.model)
        self._spec = spec
        device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(name, revision=spec.revision, padding_side="left")
            model = AutoModelForCausalLM.from_pretrained(name, revision=spec.revision, use_safetensors=True)
        except Exception as error:  # transformers raises whatever its parts raise
            raise_interrupt(error)
            raise MissingError(
                f"The writer cannot be loaded: {str(error).splitlines()[0]}",
                where=spec.model,
                hint="It is a folder that save_pretrained wrote, or an id on the Hugging Face Hub (gated ones need a token).",
            ) from error
        self._model = model.to(device).eval()
        ends = (
            model.generation_config.eos_token_id
            if model.generation_config.eos_token_id is not None
            else self._tokenizer.eos_token_id
        )
        if ends is None:
            raise UsageError("The writer has no EOS token, so it cannot end a text.", where=spec.model)
        self._ends = ends if isinstance(ends, list) else [ends]
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.convert_ids_to_tokens(self._ends[0])
        vocabulary = xgrammar.TokenizerInfo.from_huggingface(
            self._tokenizer, vocab_size=model.config.get_text_config().vocab_size, stop_token_ids=self._ends
        )
        # White space that the schema leaves free is where small models get lost.
        self._grammar = xgrammar.GrammarCompiler(vocabulary).compile_json_schema(pair_schema(spec), any_whitespace=False)

    def write(self, batch: Sequence[Article]) -> list[str]:
        """What the model writes about some articles, greedily."""
        import torch
        from xgrammar.contrib.hf import LogitsProcessor

        prompts = [self._prompt(article) for article in batch]
        # The prompts hold their BOS; a tokenizer that appends EOS by itself (D10) would end them.
        inputs = self._tokenizer(
            prompts, return_tensors="pt", padding=True, add_special_tokens=False, return_token_type_ids=False
        )
        length = inputs["input_ids"].shape[1]
        longest = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        if longest is not None and length + self._spec.max_new_tokens > longest:
            raise UsageError(
                f"The writer takes {longest:,} tokens: {length:,} of a prompt and {self._spec.max_new_tokens:,} new ones are too many.",
                where=self._spec.model,
                hint="Lower article_words or max_new_tokens.",
            )
        with torch.inference_mode():
            output = self._model.generate(
                **inputs.to(self._model.device),
                max_new_tokens=self._spec.max_new_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                eos_token_id=self._ends,
                pad_token_id=self._tokenizer.pad_token_id,
                logits_processor=[LogitsProcessor(self._grammar)],
            )
        return [str(text) for text in self._tokenizer.batch_decode(output[:, length:], skip_special_tokens=True)]

    def _prompt(self, article: Article) -> str:
        spec = self._spec
        task = (
            f"Write {spec.questions} different questions about this article, and answer each in at least {spec.answer_sentences} sentences. "
            f'{spec.style} Reply with JSON: {{"pairs": [{{"question": "...", "answer": "..."}}]}}'
        )
        text = f"{task}\n\n{article.title}\n\n{' '.join(article.text.split()[: spec.article_words])}"
        if self._tokenizer.chat_template is None:
            return f"{self._tokenizer.bos_token or ''}{text}\n\nJSON: "
        return str(
            self._tokenizer.apply_chat_template([{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True)
        )

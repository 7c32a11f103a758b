"""Surprisal of texts in nats, per token and per word, by every backend: babyeval.surprisal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyeval.config import RunConfig, load_config
from babyeval.errors import UsageError
from babyeval.models.checkpoint import Checkpoint, from_memory, open_checkpoint
from babyeval.models.kind import MASKED_BACKENDS
from babyeval.models.naming import parse_model
from babyeval.progress import Quiet, Reporter
from babyeval.protocols import PROTOCOLS
from babyeval.scoring.encode import Encoder
from babyeval.scoring.engine import Engine
from babyeval.scoring.tokens import Encoded, tokenize
from babyeval.scoring.word_end import WordEnds, word_ends
from babyeval.texts.progress import OneBar
from babyeval.texts.read import numbered_texts
from babyeval.texts.table import UNITS, ScoredText, Unit, as_table, scored_text
from babyeval.texts.word_end import ask_word_ends
from babyeval.types import Span

if TYPE_CHECKING:
    import pandas as pd

# Texts are tokenised and answered in blocks of about so many model positions, so that memory stays small.
_BLOCK_POSITIONS = 500_000
_CHARACTERS_PER_TOKEN = 3
_OPTIONS = ("backend", "masking", "word_end", "device", "fresh", "offline", "trust_remote_code", "allow_pickle")


def surprisal(
    model: Any,
    texts: str | Path | Sequence[str],
    *,
    unit: Unit = "word",
    tokenizer: Any = None,
    name: str | None = None,
    reporter: Reporter | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Surprisal, -ln p in nats, of every word or token of texts.

    Causal models predict each token from those before it, the first one from BOS, else EOS, put in
    front where the tokenizer puts nothing (D9); masked ones from the whole text with the token hidden.
    Words are what stands between white space; a word's surprisal is the sum over its tokens. A text
    longer than the model's window slides through it with at least half a window of context.
    Answers are cached: broken off and called again, it goes on where it was.

    Args:
        model: ``[NAME=]PATH_OR_ID[@REV]``, or a ``transformers`` model with a vocabulary head.
        texts: One text, several, or the path of a UTF-8 file with one text per line.
        unit: One row per ``word`` or per ``token``.
        tokenizer: The fast tokenizer of a loaded model.
        name: The name of a loaded model.
        reporter: Shows progress; silent by default.
        options: ``backend``, ``masking``, ``word_end``, ``device``, ``fresh``, ``offline``, ``trust_remote_code``
            and ``allow_pickle``, as for `babyeval.evaluate`.

    Returns:
        For words: ``line`` (from 1; blank texts count), ``word_index`` (from 0), ``word``, ``start``, ``end``
        (characters), ``tokens``, ``surprisal``, ``unscored`` and ``unknown`` (numbers of tokens), ``straddles``,
        ``truncated``, ``note``. For tokens: ``line``, ``word_index``, ``word``, ``token_index``, ``token``,
        ``token_id``, ``start``, ``end``, ``surprisal``, ``unknown``, ``straddles``, ``truncated``, ``note``.
        A surprisal that is undefined is NaN, and ``note`` says why. ``attrs`` say which model it was.
        With ``word_end="corrected"`` words have ``surprisal_word_end`` too: the surprisal given that the word
        before has ended, and up to the word's own end (Pimentel and Meister 2024).

    Raises:
        UsageError: An option is wrong, a text is no string, or the model cannot be scored.
        MissingError: The file, the model or a permission is missing.
        DataError: The file is not UTF-8, or there is no text.
        ModelError: The model gives NaN.

    Example:
        >>> surprisal("tiny", ["The cat sat."])  # doctest: +SKIP
           line  word_index word  start  end  tokens  surprisal ...
    """
    import pandas as pd

    if unit not in UNITS:
        raise UsageError(f"There is no unit '{unit}'.", hint=f"Choose {' or '.join(UNITS)}.")
    numbered = numbered_texts(texts)
    config = _config(str(model) if isinstance(model, str | Path) else "memory", options)
    corrected = config.word_end == "corrected"
    if corrected and unit == "token":
        raise UsageError("--word-end corrected is about words: a token has no end.", hint="Leave it out, or take --unit word.")
    checkpoint = _opened(model, tokenizer, name, config)
    ends = word_ends(checkpoint) if corrected else None
    blocks = [as_table(block, unit) for block in _score(checkpoint, numbered, config, ends, reporter or Quiet())]
    table = pd.concat([block for block in blocks if len(block)] or blocks[:1], ignore_index=True)  # an empty one has no types
    table.attrs = {
        "unit": unit, "model": checkpoint.name, "revision": checkpoint.revision, "digest": checkpoint.digest,
        "backend": checkpoint.backend, "masking": config.masking, "dtype": "float32",
        **({"word_end": config.word_end} if corrected else {}),
    }  # fmt: skip
    return table


def _config(model: str, options: dict[str, Any]) -> RunConfig:
    """The options of a run that matter here; a configured precision is for decisions, these are values."""
    asked = {key: value for key, value in options.items() if value is not None}
    if asked.pop("dtype", "float32") != "float32":
        raise UsageError("Surprisal is always computed in float32.", hint="Leave the dtype out: bfloat16 is for decisions.")
    if unknown := sorted(asked.keys() - set(_OPTIONS)):
        raise UsageError(f"There is no option '{unknown[0]}'.", hint=f"Choose among {', '.join(_OPTIONS)}.")
    return load_config({"models": (model,), **asked})


def _opened(model: Any, tokenizer: Any, name: str | None, config: RunConfig) -> Checkpoint:
    if isinstance(model, str | Path):
        checkpoint = open_checkpoint(
            parse_model(str(model)), backend=config.backend, trust_remote_code=config.trust_remote_code,
            allow_pickle=config.allow_pickle, offline=config.offline,
        )  # fmt: skip
    elif tokenizer is None:
        raise UsageError("A loaded model needs its tokenizer.", hint="surprisal(model, texts, tokenizer=tokenizer)")
    else:
        checkpoint = from_memory(model, tokenizer, name=name, backend=config.backend)
    if config.masking != "pll" and checkpoint.backend not in MASKED_BACKENDS:
        raise UsageError(
            f"--masking {config.masking} is for masked models, and '{checkpoint.name}' is scored as {checkpoint.backend}.",
            hint="Leave --masking out.",
        )
    return checkpoint


def _score(
    checkpoint: Checkpoint, texts: Sequence[tuple[int, str]], config: RunConfig, ends: WordEnds | None, reporter: Reporter
) -> Iterator[list[ScoredText]]:
    policy = PROTOCOLS["robust"].encoding
    encoder = Encoder(
        checkpoint.tokenizer, checkpoint.facts, checkpoint.backend, policy, checkpoint.window, config.masking, ends
    )  # fmt: skip
    with reporter.bar(checkpoint.name, sum(len(text) for _, text in texts), "characters") as advance:
        bar = OneBar(reporter, advance)
        engine = Engine(checkpoint, device=config.device, fresh=config.fresh, reporter=bar)
        try:
            for block in _blocks(texts, encoder):
                with bar.block(sum(len(text) for _, text in block)):
                    yield _score_block(engine, encoder, block)
        finally:
            engine.close()


def _blocks(texts: Sequence[tuple[int, str]], encoder: Encoder) -> Iterator[list[tuple[int, str]]]:
    """Texts that are answered together: many, but few enough to be held in memory as model inputs."""
    one_pass = encoder.backend in ("causal", "enc-dec-prefix")
    block: list[tuple[int, str]] = []
    positions = 0
    for number, text in texts:
        tokens = len(text) // _CHARACTERS_PER_TOKEN + 1
        cost = tokens if one_pass else tokens * min(tokens, encoder.window or tokens)
        if block and positions + cost > _BLOCK_POSITIONS:
            yield block
            block, positions = [], 0
        block.append((number, text))
        positions += cost
    yield block


def _score_block(engine: Engine, encoder: Encoder, block: Sequence[tuple[int, str]]) -> list[ScoredText]:
    texts = [text for _, text in block]
    spans = [Span(text) for text in texts]
    encoded = list(encoder.encode(spans))
    tokenized = list(tokenize(encoder.tokenizer, texts))
    ends = [ask_word_ends(span, tokens, encoder) if encoder.ends else None for span, tokens in zip(spans, tokenized, strict=True)]
    parts = [*encoded, *(one.asked for one in ends if one is not None)]
    queries = {query.key(engine.salt): query for part in parts for query in part.queries}
    answers = engine.answer(queries) if queries else {}

    def values(part: Encoded) -> list[float]:
        return [value for query in part.queries for value in answers[query.key(engine.salt)]]

    return [
        scored_text(encoder, number, span, tokens, part, values(part), one.corrections(values(one.asked)) if one else None)
        for (number, _), span, tokens, part, one in zip(block, spans, tokenized, encoded, ends, strict=True)
    ]

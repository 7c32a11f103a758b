"""Loading a tokenizer and finding out what it adds around a text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babyeval.errors import BabyevalError, MissingError, UsageError, raise_interrupt

_PROBE_TEXT = "The cat sat."
# The first sentinel of T5 and its kin; mT5's pieces begin with the mark of a space.
_SENTINELS = ("<extra_id_0>", "\u2581<extra_id_0>")


@dataclass(frozen=True, slots=True)
class TokenizerFacts:
    """What scoring has to know about a tokenizer.

    Attributes:
        size: Number of ids, added tokens included.
        bos: Id of the beginning-of-sequence token.
        eos: Id of the end-of-sequence token.
        cls: Id of the classification token.
        mask: Id of the mask token.
        prefix: Special ids that it puts before a text.
        suffix: Special ids that it puts behind a text.
        sentinel: Id of T5's first sentinel, else of the first extra special token.
        decoder_start: Id that the model's decoder begins with, as its configuration states it;
            of encoder-decoder models only.
    """

    size: int
    bos: int | None
    eos: int | None
    cls: int | None
    mask: int | None
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    sentinel: int | None = None
    decoder_start: int | None = None

    @property
    def blank(self) -> int | None:
        """What hides a token from an encoder-decoder model: the mask, else the sentinel."""
        return self.mask if self.mask is not None else self.sentinel

    def front(self, backend: str) -> int | None:
        """What can stand in front of a text that has no special token there: BOS, else EOS or CLS (D9)."""
        second = {"causal": self.eos, "mntp": self.cls}.get(backend)
        return self.bos if self.bos is not None else second


def load_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """Opens the tokenizer of a checkpoint folder.

    Raises:
        MissingError: The folder holds no tokenizer.
        UsageError: It has no character offsets (a slow tokenizer), or cannot be read.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    names = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "vocab.txt", "tokenizer.model", "spiece.model")
    if not any((folder / name).is_file() for name in names):
        raise MissingError(
            "The folder holds no tokenizer.",
            where=str(folder),
            hint="Copy tokenizer.json and tokenizer_config.json of the model's tokenizer beside its weights.",
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as first:  # AutoTokenizer fails in many ways; the plain file often still loads (as official 2026)
        raise_interrupt(first)
        try:
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        except Exception as second:
            raise_interrupt(second)
            raise UsageError(
                "The tokenizer cannot be opened.",
                where=f"{folder}: {type(first).__name__}: {str(first).strip().splitlines()[:1]}",
                hint="Is tokenizer.json complete? Save it again with tokenizer.save_pretrained(folder).",
            ) from first
    require_fast(tokenizer, str(folder))
    return tokenizer


def require_fast(tokenizer: Any, where: str) -> None:
    """Refuses a tokenizer that cannot say which characters a token stands for.

    Raises:
        UsageError: The tokenizer is slow.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise UsageError(
            f"The tokenizer ({type(tokenizer).__name__}) is slow: it gives no character offsets, "
            "so the scored part of a sentence cannot be found.",
            where=where,
            hint="Convert it once to a fast one: transformers.convert_slow_tokenizer, then save_pretrained.",
        )


def tokenizer_facts(tokenizer: Any, decoder_start: int | None = None) -> TokenizerFacts:
    """Looks at what the tokenizer does to a short text.

    Args:
        tokenizer: A fast tokenizer.
        decoder_start: What the model's configuration states (`TokenizerFacts.decoder_start`).

    Raises:
        UsageError: The tokenizer gives no tokens for plain English text.
    """
    try:
        encoded = tokenizer(_PROBE_TEXT, return_special_tokens_mask=True)
        ids, special = encoded["input_ids"], encoded["special_tokens_mask"]
    except Exception as error:  # a broken tokenizer fails in any way
        raise_interrupt(error)
        raise _broken(f"{type(error).__name__}: {error}") from error
    if all(special):
        raise _broken(f"no tokens for the text {_PROBE_TEXT!r}")
    first = special.index(0)
    last = len(special) - special[::-1].index(0)
    return TokenizerFacts(
        size=len(tokenizer),
        bos=tokenizer.bos_token_id,
        eos=tokenizer.eos_token_id,
        cls=tokenizer.cls_token_id,
        mask=tokenizer.mask_token_id,
        prefix=tuple(ids[:first]),
        suffix=tuple(ids[last:]),
        sentinel=_sentinel(tokenizer),
        decoder_start=decoder_start,
    )


def _sentinel(tokenizer: Any) -> int | None:
    names = (*_SENTINELS, *map(str, tokenizer.extra_special_tokens))
    known = (tokenizer.backend_tokenizer.token_to_id(name) for name in names)
    return next((token for token in known if token is not None), None)


def _broken(reason: str) -> BabyevalError:
    return UsageError(f"The tokenizer is broken: {reason}.", hint="Save it again with tokenizer.save_pretrained(folder).")

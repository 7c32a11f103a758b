"""The sections of a recipe: what is read, what is trained, how, and what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from .instruct.spec import Curriculum

Form = Literal["auto", "titled", "turns", "lines"]


class Section(BaseModel):
    """A table of a recipe: unknown keys are refused, and nothing is changed after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Clean(Section):
    """Cleaning rules (recipes.md, section 1); each can be switched off, and each counts what it removed.

    Attributes:
        special_characters: Remove control characters, byte-order marks, markup left over and other signs that are no text.
        licence: Cut the licence texts that Project Gutenberg puts around its books.
        min_words: Drop entries (lines, turns) of fewer words; 0 keeps all.
        join_turns: Join consecutive turns of one speaker.
        duplicates: Drop documents whose text has been seen before, in any domain.
    """

    special_characters: bool = True
    licence: bool = True
    min_words: int = Field(default=3, ge=0)
    join_turns: bool = True
    duplicates: bool = True


class Data(Section):
    """The corpus: where it lies and what is taken of it.

    Attributes:
        corpus: Folder with one file per domain (``.txt``, ``.train`` and the like, also ``.xz``, ``.gz``, ``.zst``).
        include: Globs of the files that are taken; without any, all text files except those named dev, valid or test.
        forms: How a domain's file is written, where looking at it misleads: ``{childes = "turns"}``.
        words: The budget in words (divided by white space, after cleaning, training and validation together); None: all.
        over: What happens if the corpus holds more: ``refuse``, or ``sample`` documents of each domain in proportion.
        valid_share: The part of each domain's words that is kept for validation.
        section_words: Longer documents are cut into sections of about so many words; 0 keeps them whole.
        split_seed: Decides which documents are kept for validation, and which are sampled; the same for all seeds of a study.
        clean: The cleaning rules.
    """

    corpus: Path | None = None
    include: tuple[str, ...] = ()
    forms: dict[str, Form] = Field(default_factory=dict)
    words: int | None = Field(default=None, ge=1)
    over: Literal["refuse", "sample"] = "refuse"
    valid_share: float = Field(default=0.1, gt=0, lt=1)
    section_words: int = Field(default=1000, ge=0)
    split_seed: int = Field(default=0, ge=0)
    clean: Clean = Clean()


class TokenizerSpec(Section):
    """The tokenizer that is trained.

    Attributes:
        kind: Byte-level BPE, WordPiece or Unigram.
        vocab_size: Tokens in all, special ones included.
        lowercase: Fold case first (WordPiece and Unigram only).
        bos: A causal model's documents begin with a BOS token, which the tokenizer also puts before every text.
        eos: A causal model's documents end with an EOS token, which only training appends (D10).
        min_frequency: A pair or word seen less often makes no token (byte-level BPE and WordPiece only).
        on: Text it is trained on: the training part, or all of the corpus.
        chat_template: A shipped template's name, or a path to a Jinja file; saved with the tokenizer.
    """

    kind: Literal["bpe", "wordpiece", "unigram"] = "bpe"
    vocab_size: int = Field(default=16_384, ge=300)
    lowercase: bool = False
    bos: bool = True
    eos: bool = True
    min_frequency: int = Field(default=2, ge=1)
    on: Literal["train", "all"] = "train"
    chat_template: str = "plain"

    @model_validator(mode="after")
    def _possible(self) -> TokenizerSpec:
        if self.kind == "bpe" and self.lowercase:
            raise ValueError("byte-level BPE keeps case: lowercase is for wordpiece and unigram")
        if self.kind == "unigram" and "min_frequency" in self.model_fields_set:
            raise ValueError("Unigram has no lowest frequency: min_frequency is for bpe and wordpiece")
        return self


class ModelSpec(Section):
    """The model's shape; whatever else its ``transformers`` configuration knows may stand in ``extra``.

    Attributes:
        architecture: ``llama`` and ``gpt2`` are causal, ``bert`` and ``roberta`` masked.
        hidden_size: Width.
        layers: Number of layers.
        heads: Attention heads.
        intermediate_size: Width of the feed-forward part; 4 times `hidden_size` if not given.
        max_length: The most tokens that the model takes at once.
        tie_embeddings: Share the weights of input and output embeddings.
        dropout: Of embeddings, attention and residuals where the architecture has it.
        extra: Further keys of the architecture's configuration.
    """

    architecture: Literal["llama", "gpt2", "bert", "roberta"] = "llama"
    hidden_size: int = Field(ge=1)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    intermediate_size: int | None = Field(default=None, ge=1)
    max_length: int = Field(ge=8)
    tie_embeddings: bool = False
    dropout: float = Field(default=0.0, ge=0, lt=1)
    extra: dict[str, Any] = Field(default_factory=dict)

    @property
    def causal(self) -> bool:
        """Whether it predicts the next token, and not masked ones."""
        return self.architecture in ("llama", "gpt2")

    @model_validator(mode="after")
    def _heads_divide(self) -> ModelSpec:
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size {self.hidden_size} cannot be divided among {self.heads} heads")
        return self


class Updates(Section):
    """How weights are updated; a batch is counted over all devices, so that their number changes nothing.

    Attributes:
        max_steps: Stop after so many updates, whatever the epochs are; the schedule is that of the shorter training.
        batch_size: Sequences of one update, over all devices and accumulation steps.
        micro_batch_size: Sequences of one forward pass on one device; None: the whole share of the device.
        learning_rate: Highest learning rate.
        schedule: A name that ``transformers.get_scheduler`` knows.
        schedule_options: What that schedule takes besides, such as ``{num_cycles = 3}``.
        warmup_steps: Updates in which the learning rate rises from 0.
        weight_decay: Of weights that are no biases and no norms.
        betas: Of AdamW.
        epsilon: Of AdamW.
        clip: Largest norm of the gradient; 0 does not clip.
        dtype: ``float32``, or ``bfloat16`` arithmetic over float32 weights.
        gradient_checkpointing: Compute activations twice and keep few of them.
        compile: Use ``torch.compile``.
        attention: The attention that ``transformers`` uses; auto leaves it to the library.
        devices: Processes that must run; None: as many as were started.
        zero: DeepSpeed ZeRO stage; None: plain PyTorch, in one process or many.
        zero_config: A DeepSpeed configuration of your own (JSON); `zero` then says nothing.
    """

    max_steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=32, ge=1)
    micro_batch_size: int | None = Field(default=None, ge=1)
    learning_rate: float = Field(gt=0, allow_inf_nan=False)
    schedule: str = "linear"
    schedule_options: dict[str, Any] = Field(default_factory=dict)
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = Field(default=1e-8, gt=0, allow_inf_nan=False)
    clip: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    dtype: Literal["float32", "bfloat16"] = "float32"
    gradient_checkpointing: bool = False
    compile: bool = False
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2", "flex_attention"] = "auto"
    devices: int | None = Field(default=None, ge=1)
    zero: Literal[0, 1, 2, 3] | None = None
    zero_config: Path | None = None

    @field_validator("betas")
    @classmethod
    def _shares(cls, betas: tuple[float, float]) -> tuple[float, float]:
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError("both are from 0 to below 1")
        return betas


class Training(Updates):
    """How the model is pre-trained.

    Attributes:
        epochs: Passes over the training part.
        sequence_length: Tokens of a packed sequence; None: the model's `max_length`.
        mask_share: Tokens of a masked model that are asked about (80% hidden, 10% another, 10% as they are).
    """

    epochs: int = Field(default=1, ge=1)
    sequence_length: int | None = Field(default=None, ge=8)
    mask_share: float = Field(default=0.15, gt=0, lt=1)


class Tuning(Updates):
    """How the model is tuned on replies; `max_steps` counts the updates of each stage.

    Attributes:
        curriculum: Which sets, in which order, how often.
        max_length: Tokens of a row, which is cut at its end if it is longer; None: all that the model takes.
        chat_template: A shipped template's name, or a path to a Jinja file; None: the parent's.
    """

    curriculum: Curriculum
    max_length: int | None = Field(default=None, ge=8)
    chat_template: str | None = Field(default=None, min_length=1)


class Preference(Updates):
    """How the model is tuned to prefer one of two replies; a batch is of pairs.

    Attributes:
        sets: Preference sets, shuffled together.
        epochs: Passes over them.
        beta: How much it costs to leave the reference.
        loss: Of a pair's margin: DPO's own (``sigmoid``), or ``hinge``.
        max_length: Tokens of a row, which is cut at its end if it is longer; None: all that the model takes.
        chat_template: A shipped template's name, or a path to a Jinja file; None: the parent's.
    """

    sets: tuple[str, ...] = Field(min_length=1)
    epochs: int = Field(default=1, ge=1)
    beta: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    loss: Literal["sigmoid", "hinge"] = "sigmoid"
    max_length: int | None = Field(default=None, ge=8)
    chat_template: str | None = Field(default=None, min_length=1)


class Checkpoints(Section):
    """Which checkpoints are kept, and how often the state is saved from which an interrupted training goes on.

    Attributes:
        words: Words seen at which a checkpoint ``chck_<words>`` is kept: numbers, or ``babylm`` for the challenge's
            (each million up to 10M, each ten up to 100M, each hundred up to 1B).
        steps: Also keep ``step_<n>`` every so many updates; 0: none.
        resume_steps: Updates between two states to go on from; 0: none.
    """

    words: tuple[int, ...] | Literal["babylm"] = ()
    steps: int = Field(default=0, ge=0)
    resume_steps: int = Field(default=500, ge=0)

    @field_validator("words", mode="before")
    @classmethod
    def _named(cls, words: Any) -> Any:
        if isinstance(words, str) and words != "babylm":
            raise ValueError(f"numbers of words in brackets, or 'babylm', not '{words}'")
        return words

    @field_validator("words")
    @classmethod
    def _rising(cls, words: Any) -> Any:
        if words != "babylm" and (any(w < 1 for w in words) or list(words) != sorted(set(words))):
            raise ValueError("numbers of words from 1 on, each higher than the one before")
        return words


class Logging(Section):
    """What is written down while training.

    Attributes:
        steps: Updates between two lines of the log.
        valid_steps: Updates between two validations; 0: at checkpoints and at the end only.
        valid_words: The most words of each domain's validation part that a validation reads; None: all.
        report_to: Where ``transformers`` reports besides: ``tensorboard``, ``wandb``, ``trackio`` ...; empty: nowhere.
    """

    steps: int = Field(default=10, ge=1)
    valid_steps: int = Field(default=0, ge=0)
    valid_words: int | None = Field(default=None, ge=1)
    report_to: tuple[str, ...] = ("tensorboard",)


class Evaluate(Section):
    """Tasks that are run on each checkpoint as soon as it is kept; none by default.

    Attributes:
        tasks: Task or group names.
        split: ``full``, ``fast`` or ``mini``.
        data_dir: Folder in the official layout.
    """

    tasks: tuple[str, ...] = ()
    split: Literal["full", "fast", "mini"] = "fast"
    data_dir: Path | None = None

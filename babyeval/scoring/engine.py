"""The engine: answers queries from the row cache, and computes what is missing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from babyeval.errors import ModelError, UsageError
from babyeval.models.checkpoint import Checkpoint
from babyeval.models.kind import kind_of
from babyeval.progress import Quiet, Reporter
from babyeval.scoring import SCORING_VERSION
from babyeval.scoring.rowcache import RowCache
from babyeval.types import Query

if TYPE_CHECKING:
    from babyeval.scoring.batching import Work
    from babyeval.scoring.model_view import ModelView
    from babyeval.scoring.trie import Trie
    from babyeval.scoring.tries import Tries

Dtype = Literal["float32", "bfloat16"]
LogProbs = tuple[float, ...]
Listener = Callable[[Collection[bytes], Mapping[bytes, LogProbs]], None]  # the keys just answered, and all answers so far


@dataclass(frozen=True, slots=True)
class Computation:
    """How rows of one precision came about.

    Attributes:
        dtype: Precision of the weights and activations; log-softmax is always float32 (D4).
        computed: Number of queries put through the model in this run.
        cached: Number of queries answered by the cache.
    """

    dtype: str
    computed: int
    cached: int


class Engine:
    """Answers queries for one checkpoint; opens its weights only if a query is new.

    Args:
        checkpoint: The model.
        device: ``auto``, ``cpu`` or ``cuda``.
        fresh: Do not read answers of earlier runs.
        reporter: Where progress is shown.

    Attributes:
        salt: Part of each query's key: what the answer depends on besides model and precision.
        computations: How the rows came about, by precision.
        works: What the executor did, by precision; empty while no weights were needed.
        tries: Tries built for other checkpoints that are asked the same; None to build anew.
    """

    def __init__(
        self, checkpoint: Checkpoint, *, device: str = "auto", fresh: bool = False, reporter: Reporter | None = None
    ) -> None:
        self.checkpoint = checkpoint
        kind = kind_of(checkpoint.backend)
        self.head = "seq2seq" if kind == "encoder-decoder" else kind
        self.salt = self.head.encode()
        self.computations: dict[str, Computation] = {}
        self._device = device
        self._fresh = fresh
        self.reporter = reporter or Quiet()
        self._answers: dict[str, dict[bytes, LogProbs]] = {}
        self._views: dict[str, ModelView] = {}
        self._caches: dict[str, RowCache] = {}
        self.works: dict[str, Work] = {}
        self.tries: Tries | None = None
        self._plain_because: str | None = None
        self._proven = (0, 0)  # longest input, and largest pack or longest decoder input, that the probes have seen

    def close(self) -> None:
        """Closes the caches and lets go of the weights."""
        for cache in self._caches.values():
            cache.close()
        self._caches.clear()
        self._views.clear()

    def missing(self, queries: Mapping[bytes, Query], dtype: Dtype = "float32") -> list[bytes]:
        """Keys of the queries that would have to be computed; answers found are kept in memory."""
        known = self._answers.setdefault(dtype, {})
        unknown = [key for key in queries if key not in known]
        if unknown and not self._fresh:
            cache = self._cache(dtype)
            known.update(cache.get(unknown))
            self._note_damage(cache)
            unknown = [key for key in unknown if key not in known]
        return unknown

    def answer(
        self,
        queries: Mapping[bytes, Query],
        dtype: Dtype = "float32",
        label: str = "scoring",
        about: str = "",
        listener: Listener | None = None,
    ) -> Mapping[bytes, LogProbs]:
        """Log-probabilities of all reads of all queries.

        Args:
            queries: The queries by key (`Query.key` with this engine's salt).
            dtype: Precision in which missing ones are computed.
            label: What the progress bar says.
            about: What the questions are of, said before the bar where there is one.
            listener: Is told which queries are answered, as they are: first those that were, then batch by batch.

        Raises:
            UsageError: The tokenizer gives ids that the model does not have.
            MissingError: The cache cannot be written, or an input does not fit into memory.
        """
        missing = dict.fromkeys(self.missing(queries, dtype))
        known, found = self._answers[dtype], len(queries) - len(missing)
        before = self.computations.get(dtype, Computation(dtype, 0, 0))
        self.computations[dtype] = replace(before, cached=before.cached + found)
        if listener and found:
            listener([key for key in queries if key not in missing], known)
        if missing:
            self._compute({key: queries[key] for key in missing}, dtype, label, about, listener)
        return known

    def compute_unsaved(self, queries: dict[bytes, Query]) -> Mapping[bytes, LogProbs]:
        """Puts queries through the model, whatever is cached, and keeps the answers in memory only."""
        return dict(pair for batch in self._batches(queries, "float32") for pair in batch)

    def attention(self) -> str | None:
        """The attention kernel in use; None if no weights were loaded."""
        for view in self._views.values():
            return str(getattr(view.model.config, "_attn_implementation", None))
        return None

    def split_head(self) -> bool | None:
        """Whether only asked-for positions went through the head; None if no weights were loaded."""
        return next((view.split for view in self._views.values()), None)

    def device_name(self) -> str | None:
        """The device in use; None if no weights were loaded."""
        return next((str(view.device) for view in self._views.values()), None)

    def _compute(self, queries: dict[bytes, Query], dtype: Dtype, label: str, about: str, listener: Listener | None) -> None:
        known, cache = self._answers[dtype], self._cache(dtype)
        with self._telling_the_model(dtype):
            batches = self._batches(queries, dtype)
        if about:
            self.reporter.note(f"{label}: {about}")
        with self.reporter.bar(label, len(queries), share=self.works[dtype].share) as advance:
            for named in self._answered(batches, dtype):
                cache.put(named)
                self._note_damage(cache)
                known.update(named)
                done = self.computations[dtype]
                self.computations[dtype] = replace(done, computed=done.computed + len(named))
                advance(len(named))
                if listener:
                    listener([key for key, _ in named], known)

    @contextlib.contextmanager
    def _telling_the_model(self, dtype: Dtype) -> Iterator[None]:
        """What goes wrong in here is the model's failure."""
        try:
            yield
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, NotImplementedError) as error:
            raise ModelError(
                f"The model failed: {type(error).__name__}: {str(error).strip().splitlines()[:1]}",
                where=f"'{self.checkpoint.name}' as {self.checkpoint.backend} in {dtype}",
                hint="Try --dtype float32, another --backend, or 'babyeval check'. What was computed before is kept.",
            ) from error

    def _answered(self, batches: Iterator[list[tuple[bytes, LogProbs]]], dtype: Dtype) -> Iterator[list[tuple[bytes, LogProbs]]]:
        """The batches; of what is done with them, such as showing progress, no error is taken for the model's."""
        with self._telling_the_model(dtype):
            yield from batches

    def _batches(self, queries: dict[bytes, Query], dtype: Dtype) -> Iterator[list[tuple[bytes, LogProbs]]]:
        """Opens the weights, proves the short cuts, and answers batch by batch as it is asked."""
        from babyeval.scoring.batched import run_batched
        from babyeval.scoring.batching import Work
        from babyeval.scoring.causal import run_causal
        from babyeval.scoring.seq2seq import run_seq2seq
        from babyeval.scoring.trie import build_trie

        keys, asked = list(queries), list(queries.values())
        base = self._view("float32")
        self._require_vocabulary(base, asked)
        trie = (self.tries.get(keys, asked) if self.tries else build_trie(asked)) if self.head == "causal" else None
        self._probe(base, asked, trie)
        view = self._view(dtype)
        view.split, view.pads, view.encodes_once = base.split, base.pads, base.encodes_once
        work = self.works.setdefault(dtype, Work())
        if trie is not None:
            batches = run_causal(view, asked, trie, work, self._plain_because)
        elif self.head == "seq2seq":
            batches = run_seq2seq(view, asked, work)
        else:
            work.path = "batched" if view.pads else "batched (one length at a time: padding changes its answers)"
            batches = run_batched(view, asked, work)
        return ([(keys[i], row) for i, row in batch] for batch in batches)

    def _probe(self, base: ModelView, asked: list[Query], trie: Trie | None) -> None:
        """Proves in float32 which short cuts this model allows; longer inputs have to be proven anew."""
        longest_decoder = max(len(query.decoder_ids or ()) for query in asked)
        size = max(len(query.input_ids) for query in asked), max(map(len, trie.packs)) if trie else longest_decoder
        if all(now <= proven for now, proven in zip(size, self._proven, strict=True)):
            return
        from babyeval.scoring.batched import padded_inputs, probe_padding
        from babyeval.scoring.batching import one_input
        from babyeval.scoring.causal import probe_sharing
        from babyeval.scoring.seq2seq import probe_seq2seq

        if self.head == "seq2seq":
            with one_input():
                probe_seq2seq(base, asked)
            self._proven = size
            return
        longest = max(asked, key=lambda query: len(query.input_ids))
        with one_input():
            base.try_split(padded_inputs(base, [longest.input_ids]))
            base.pads = probe_padding(base, asked)
            if trie is not None:
                self._plain_because = probe_sharing(base, asked, trie)
        self._proven = size

    def _require_vocabulary(self, view: ModelView, asked: list[Query]) -> None:
        largest = max(max(query.input_ids + (query.decoder_ids or ())) for query in asked)
        for query in asked:
            for _, target in query.reads:
                largest = max(largest, target if isinstance(target, int) else max(target))
        if largest >= view.vocabulary:
            raise UsageError(
                f"The tokenizer gives the id {largest}, but the model has only {view.vocabulary} embeddings.",
                where=f"model '{self.checkpoint.name}'",
                hint="Tokenizer and weights do not belong together: use the tokenizer that the model was trained with.",
            )

    def _note_damage(self, cache: RowCache) -> None:
        if cache.discarded:
            self.reporter.note(f"The row cache was damaged; it was set aside as {cache.discarded} and is made anew.")
            cache.discarded = None

    def _cache(self, dtype: str) -> RowCache:
        if dtype not in self._caches:
            self._caches[dtype] = RowCache(self.checkpoint.digest, dtype, SCORING_VERSION)
        return self._caches[dtype]

    def _view(self, dtype: str) -> ModelView:
        if dtype not in self._views:
            from babyeval.models.load import load_model, native_bfloat16, rounded_copy, torch_device
            from babyeval.scoring.model_view import ModelView

            if dtype == "float32":
                device = torch_device(self._device)
                self._views[dtype] = ModelView(load_model(self.checkpoint, device), device)
            else:
                base = self._view("float32")
                if not native_bfloat16(base.device):
                    self.reporter.note("This device has no bfloat16 arithmetic and imitates it: --dtype float32 is faster here.")
                self._views[dtype] = ModelView(rounded_copy(base.model), base.device)
        return self._views[dtype]

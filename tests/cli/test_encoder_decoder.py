"""Encoder-decoder checkpoints from the command line: run and check, by both backends, and what is refused."""

from __future__ import annotations

import json

import pytest
from tiny import SEQ2SEQ, make_tokenizer

from cli.support import assert_refused, copied, inside, records_in

MINI = ("--tasks", "blimp", "--split", "mini", "--limit", "16", "--json")
BACKENDS = ("enc-dec-mask", "enc-dec-prefix")


@pytest.mark.parametrize("architecture", SEQ2SEQ)
def test_run_by_both_backends(architecture, tiny_folder, tmp_path):
    folder = tiny_folder(architecture, architecture)
    for options in ((), ("--backend", "enc-dec-prefix")):
        done = inside("run", "--model", f"two={folder}", *MINI, "--protocol", "all", *options, cwd=tmp_path)
        assert done.code == 0, done.err
    written = [json.loads(path.read_text()) for path in records_in(tmp_path / "results")]
    assert {(record["backend"], record["protocol"]) for record in written} == {
        (backend, protocol) for backend in BACKENDS for protocol in ("robust", "babylm-2025", "babylm-2026")
    }
    for record in written:
        assert (record["status"], record["model"]["kind"]) == ("done", "encoder-decoder")
        assert record["provenance"]["path"] == "seq2seq"
        assert record["headline"]["n"] == 16
        assert 0 <= record["headline"]["value"] <= 100
    again = inside("run", "--model", f"two={folder}", *MINI, "--fresh", "--dtype", "bfloat16", cwd=tmp_path)
    assert again.code == 0, again.err


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("architecture", SEQ2SEQ)
def test_check_by_both_backends(architecture, backend, tiny_folder, tmp_path):
    done = inside("check", tiny_folder(architecture, architecture), "--backend", backend, "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    facts = done.json["facts"]
    assert facts["backend"].startswith(f"{backend}, because")
    assert facts["window"] == {"t5": "no limit", "bart": "64 tokens"}[architecture]
    assert "decoder" in facts["asked"]


def test_a_backend_that_does_not_fit_is_refused(tiny, tiny_folder, tmp_path):
    two = tiny_folder("bart", "bart")
    assert_refused(inside("run", "--model", two, *MINI, "--backend", "mlm", cwd=tmp_path), 2, "'mlm' is not for encoder-decoder")
    done = inside("check", tiny, "--backend", "enc-dec-mask", cwd=tmp_path)
    assert_refused(done, 2, "'enc-dec-mask' is for encoder-decoder models", "causal, mlm, mntp")
    done = inside("run", "--model", two, *MINI, "--backend", "enc-dec", cwd=tmp_path)
    assert_refused(done, 2, "backend", "enc-dec-prefix")
    done = inside("run", "--model", two, *MINI, "--masking", "word-l2r", cwd=tmp_path)
    assert_refused(done, 2, "--masking word-l2r is for masked models", "enc-dec-mask")


def test_a_tokenizer_without_a_mask_is_pointed_to_the_other_way(tiny_folder, tmp_path):
    folder = copied(tiny_folder("bart", "bart"), tmp_path / "maskless")
    tokenizer = make_tokenizer("bart")
    tokenizer.mask_token = None
    tokenizer.save_pretrained(folder)
    done = inside("run", "--model", folder, *MINI, cwd=tmp_path)
    assert_refused(done, 2, "'enc-dec-mask' needs a mask token or a sentinel", "--backend enc-dec-prefix")
    done = inside("run", "--model", folder, *MINI, "--backend", "enc-dec-prefix", cwd=tmp_path)
    assert done.code == 0, done.err

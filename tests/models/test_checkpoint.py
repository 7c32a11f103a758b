"""Opening a checkpoint: its facts without its weights, and every fault with a way out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from asking import opened
from tiny import make_model, make_tokenizer
from transformers import BertForMaskedLM, BertModel, GPT2LMHeadModel, GPT2Model

from babyeval.errors import BabyevalError, MissingError, UsageError
from babyeval.models.checkpoint import from_memory, words_in_name
from babyeval.models.load import load_model, native_bfloat16, rounded_copy, torch_device

CPU = torch.device("cpu")


@pytest.fixture
def folder(tiny_folder, tmp_path) -> Path:
    """A copy of a checkpoint that may be spoilt."""
    return Path(shutil.copytree(tiny_folder("gpt2", "bos"), tmp_path / "small"))


@pytest.fixture
def masked(tiny_folder, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_folder("bert", "cls_sep"), tmp_path / "masked"))


def edit(path: Path, **changes: object) -> None:
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))


def refused(kind: type[BabyevalError], folder: Path, words: str, **options) -> str:
    with pytest.raises(kind, match=words) as caught:
        opened(folder, **options)
    assert caught.value.hint, "every error says what to do next"
    return str(caught.value)


def test_facts_are_known_without_loading_weights(folder, monkeypatch):
    monkeypatch.setattr(torch.nn.Module, "__init__", lambda *_: pytest.fail("a module was made"))
    checkpoint = opened(folder)
    assert (checkpoint.name, checkpoint.source, checkpoint.revision, checkpoint.commit) == ("small", str(folder), "main", None)
    assert (checkpoint.backend, checkpoint.window) == ("causal", 64)
    assert checkpoint.facts.prefix == (checkpoint.facts.bos,)


@pytest.mark.parametrize(
    ("architecture", "kind"), [("gpt2", "bos"), ("llama", "bos"), ("bert", "cls_sep"), ("roberta", "bos_eos")]
)
def test_parameters_are_counted_from_the_files(architecture, kind, tiny_folder):
    """Tied weights are stored once, and counted once."""
    model = make_model(architecture, make_tokenizer(kind))
    assert opened(tiny_folder(architecture, kind)).parameters == sum(weight.numel() for weight in model.parameters())


def test_no_config_is_no_checkpoint(folder):
    (folder / "config.json").unlink()
    assert str(folder) in refused(MissingError, folder, "has no config.json")


def test_a_folder_of_checkpoints_names_them(folder):
    text = refused(MissingError, folder.parent, "has no config.json")
    assert "It holds checkpoints: small" in text


def test_a_config_that_is_no_json_is_said_to_be(folder):
    (folder / "config.json").write_text('{"model_type": "gpt')
    with pytest.raises(UsageError, match="not valid JSON") as caught:
        opened(folder)
    assert caught.value.where == str(folder / "config.json")


def test_an_unknown_model_type_is_said_to_be(folder):
    edit(folder / "config.json", model_type="never_heard_of")
    assert "model_type" in refused(UsageError, folder, "cannot read the configuration")


def test_no_weights_are_missing(folder):
    (folder / "model.safetensors").unlink()
    assert "*.safetensors" in refused(MissingError, folder, "has no weights")


def test_pickled_weights_need_permission(folder):
    """D34: nothing that can run code is opened unasked."""
    model = GPT2LMHeadModel.from_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert "--allow-pickle" in refused(UsageError, folder, "PyTorch's own format")
    checkpoint = opened(folder, allow_pickle=True)
    assert checkpoint.parameters is None
    loaded = load_model(checkpoint, CPU)
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), model.parameters(), strict=True))


def test_safetensors_are_taken_where_both_are(folder):
    (folder / "pytorch_model.bin").write_bytes(b"whatever")
    assert load_model(opened(folder), CPU) is not None


def test_a_checkpoints_own_code_needs_permission(folder):
    """D34, too: the file must not even be imported."""
    (folder / "code.py").write_text("raise SystemExit('the code ran')")
    edit(folder / "config.json", model_type="own", auto_map={"AutoConfig": "code.OwnConfig"})
    text = refused(UsageError, folder, "brings its own Python code")
    assert "code.OwnConfig" in text
    assert "--trust-remote-code" in text


def test_code_for_a_known_kind_of_model_is_not_run(folder):
    (folder / "code.py").write_text("raise SystemExit('the code ran')")
    edit(folder / "config.json", auto_map={"AutoModelForCausalLM": "code.Own"})
    assert isinstance(load_model(opened(folder), CPU), GPT2LMHeadModel)


OWN_CODE = """
from transformers import GPT2Config, GPT2LMHeadModel
class OwnConfig(GPT2Config):
    model_type = "own"
class OwnForCausalLM(GPT2LMHeadModel):
    config_class = OwnConfig
"""


def test_with_permission_the_code_runs(folder, monkeypatch, tmp_path):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    (folder / "own_code.py").write_text(OWN_CODE)
    names = {"AutoConfig": "own_code.OwnConfig", "AutoModelForCausalLM": "own_code.OwnForCausalLM"}
    edit(folder / "config.json", model_type="own", architectures=["OwnForCausalLM"], auto_map=names)
    checkpoint = opened(folder, trust_remote_code=True)
    assert checkpoint.backend == "causal"
    assert type(load_model(checkpoint, CPU)).__name__ == "OwnForCausalLM"


def test_weights_without_the_vocabulary_head_are_refused(masked):
    """Made-up weights would give made-up numbers."""
    BertModel.from_pretrained(masked).save_pretrained(masked)
    with pytest.raises(UsageError, match=r"lacks \d+ weights of BertForMaskedLM, which would be random") as caught:
        load_model(opened(masked, backend="mlm"), CPU)
    assert "cls.predictions" in str(caught.value)
    assert "--backend" in str(caught.value)


def test_a_tied_head_need_not_be_stored(folder):
    GPT2Model.from_pretrained(folder).save_pretrained(folder)
    model = load_model(opened(folder, backend="causal"), CPU)
    assert model.lm_head.weight.data_ptr() == model.transformer.wte.weight.data_ptr()


def test_damaged_weights_are_said_to_be(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UsageError, match="weights cannot be loaded") as caught:
        load_model(opened(folder), CPU)
    assert str(folder) in str(caught.value)


def test_weights_of_another_size_are_said_to_be(folder):
    edit(folder / "config.json", n_embd=64)
    with pytest.raises(UsageError, match="weights cannot be loaded"):
        load_model(opened(folder), CPU)


def test_no_tokenizer_is_missing(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()
    refused(MissingError, folder, "holds no tokenizer")


def test_a_masked_backend_needs_a_mask_token(folder):
    tokenizer = make_tokenizer("bos")
    tokenizer.mask_token = None
    tokenizer.save_pretrained(folder)
    text = refused(UsageError, folder, "'mlm' needs a mask token", backend="mlm")
    assert "--backend causal" in text
    with pytest.raises(UsageError, match="needs a mask token"):
        from_memory(make_model("bert", tokenizer), tokenizer)
    assert opened(folder).backend == "causal"


def test_an_encoder_decoder_needs_something_to_hide_a_token_with(tiny_folder, tmp_path):
    folder = Path(shutil.copytree(tiny_folder("bart", "bos_eos"), tmp_path / "seq2seq"))
    tokenizer = make_tokenizer("bos_eos")
    tokenizer.mask_token = None
    tokenizer.save_pretrained(folder)
    text = refused(UsageError, folder, "'enc-dec-mask' needs a mask token or a sentinel")
    assert "--backend enc-dec-prefix" in text
    assert opened(folder, backend="enc-dec-prefix").facts.blank is None
    tokenizer.eos_token = None
    tokenizer.save_pretrained(folder)
    refused(UsageError, folder, "'enc-dec-prefix' needs a mask token, a sentinel, EOS or CLS", backend="enc-dec-prefix")


@pytest.mark.parametrize(("architecture", "start"), [("t5", "<pad>"), ("bart", "</s>")])
def test_what_a_decoder_begins_with_is_known(architecture, start, tiny_folder):
    checkpoint = opened(tiny_folder(architecture, architecture))
    assert checkpoint.facts.decoder_start == checkpoint.tokenizer.convert_tokens_to_ids(start)
    assert opened(tiny_folder("gpt2", "bos")).facts.decoder_start is None


@pytest.mark.parametrize("architecture", ["t5", "bart"])
def test_an_encoder_decoder_is_loaded_whole(architecture, tiny_folder):
    model = load_model(opened(tiny_folder(architecture, architecture)), CPU)
    assert type(model).__name__.endswith("ForConditionalGeneration")
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([[5, 6]]), decoder_input_ids=torch.tensor([[0, 7, 8]])).logits
        ours = make_model(architecture, make_tokenizer(architecture))
        assert torch.equal(logits, ours(input_ids=torch.tensor([[5, 6]]), decoder_input_ids=torch.tensor([[0, 7, 8]])).logits)


def test_what_the_trainers_wrote_is_kept(folder):
    training = {"condition": "curriculum", "seed": 2, "words_seen": 5_000_000, "parent_digest": "abc"}
    (folder / "babyeval.json").write_text(json.dumps(training))
    checkpoint = opened(folder)
    assert (checkpoint.name, checkpoint.words_seen, checkpoint.training) == ("curriculum-seed_2", 5_000_000, training)


def test_a_damaged_note_of_the_trainers_is_said_to_be(folder):
    (folder / "babyeval.json").write_text("{")
    with pytest.raises(UsageError, match=r"babyeval\.json is not valid JSON"):
        opened(folder)


def test_words_seen_fall_back_to_the_folders_name(folder):
    moved = folder.rename(folder.with_name("chck_20M"))
    assert opened(moved).words_seen == 20_000_000
    (moved / "babyeval.json").write_text('{"words_seen": 0}')
    assert opened(moved).words_seen == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("chck_1M", 10**6), ("chck_900M", 9 * 10**8), ("chck_1B", 10**9), ("chck_500K", 500_000), ("chck_1.5B", 15 * 10**8),
        ("chck_4.1M", 4_100_000), ("chck_8.2B", 8_200_000_000), ("chck_10M-seed_1", 10**7), ("main", None), ("gpt2-10M", None),
        ("chck_10Mx", None), ("chck_M", None), ("", None),
    ],
)  # fmt: skip
def test_words_in_a_revisions_name(name, words):
    assert words_in_name(name) == words


def test_weights_are_float32_whatever_they_were_stored_in(folder):
    """D4: transformers 5 would follow the checkpoint."""
    GPT2LMHeadModel.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    model = load_model(opened(folder), CPU)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert not model.training


def test_a_loaded_model_in_half_precision_is_scored_as_a_copy():
    tokenizer = make_tokenizer("bos")
    model = make_model("gpt2", tokenizer).to(torch.bfloat16)
    ours = load_model(from_memory(model, tokenizer), CPU)
    assert next(ours.parameters()).dtype == torch.float32
    assert next(model.parameters()).dtype == torch.bfloat16


def test_a_loaded_model_is_known_by_its_name_or_class():
    tokenizer = make_tokenizer("bos")
    model = make_model("gpt2", tokenizer)
    checkpoint = from_memory(model, tokenizer)
    assert (checkpoint.name, checkpoint.source, checkpoint.folder) == ("GPT2LMHeadModel", "memory", None)
    assert checkpoint.parameters == sum(weight.numel() for weight in model.parameters())
    assert from_memory(model, tokenizer, name="mine").name == "mine"


def test_rounding_leaves_the_original_and_the_buffers_alone():
    model = make_model("llama", make_tokenizer("bos"))
    rounded = rounded_copy(model)
    assert {weight.dtype for weight in rounded.parameters()} == {torch.bfloat16}
    assert {buffer.dtype for buffer in rounded.buffers() if buffer.is_floating_point()} <= {torch.float32}
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_missing():
    assert torch_device("auto") == CPU
    with pytest.raises(MissingError, match="no GPU"):
        torch_device("cuda")


def test_devices_by_name():
    assert torch_device("cpu") == CPU
    assert isinstance(native_bfloat16(CPU), bool)


def test_a_bert_is_loaded_with_its_head(masked):
    assert isinstance(load_model(opened(masked), CPU), BertForMaskedLM)

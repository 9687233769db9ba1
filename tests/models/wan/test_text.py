"""Prompts: encoded by transformers' umT5 as it is published, or read from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from worldloom.models.wan.text import EncodedPrompts, StoredPrompts, cleaned, padded, write_prompts


def test_stored_prompts(tmp_path: Path) -> None:
    tensors = {f"text {k}": torch.randn(k + 1, 3) for k in range(12)}
    write_prompts(tmp_path / "prompts.safetensors", tensors)
    stored = StoredPrompts.read(tmp_path / "prompts.safetensors")
    assert stored.known == tuple(tensors)
    assert all(torch.equal(stored.encode(text), tensor) for text, tensor in tensors.items())
    with pytest.raises(ValueError, match="there is no encoder"):
        stored.encode("another")
    (tmp_path / "prompts.safetensors").write_bytes(b"{}")
    with pytest.raises(ValueError, match="expected a file of encoded prompts"):
        StoredPrompts.read(tmp_path / "prompts.safetensors")


def test_cleaned_and_padded() -> None:
    assert cleaned("  a &amp;amp; b\n\tc ") == "a & b c"
    assert padded(torch.ones(2, 3), 4).tolist() == [[1.0] * 3] * 2 + [[0.0] * 3] * 2
    assert padded(torch.ones(5, 3), 4).shape == (4, 3)


def umt5(folder: Path, width: int = 12) -> Path:
    """A random encoder of that width with a tokenizer of a few words, as transformers writes them."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

    words = ["<pad>", "</s>", "<unk>", "a", "meadow", "harbour", "at", "night"]
    inner = Tokenizer(WordLevel({word: k for k, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = Whitespace()
    inner.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    )
    torch.manual_seed(0)
    config = UMT5Config(vocab_size=len(words), d_model=width, d_kv=6, d_ff=20, num_layers=2, num_heads=2)
    UMT5EncoderModel(config).save_pretrained(folder / "text_encoder")
    tokenizer.save_pretrained(folder / "tokenizer")
    return folder / "text_encoder"


@pytest.mark.slow  # importing transformers takes seconds
def test_encoded_prompts_are_those_of_a_padded_batch(tmp_path: Path) -> None:
    """The public pipelines pad before they encode, then zero what is behind the end: that comes to the same."""
    from transformers import AutoTokenizer, UMT5EncoderModel

    folder = umt5(tmp_path)
    prompts = EncodedPrompts(folder, 6, ("a meadow",))
    assert prompts.free
    tokenizer, encoder = AutoTokenizer.from_pretrained(tmp_path / "tokenizer"), UMT5EncoderModel.from_pretrained(folder)
    for text in ("a meadow", "a harbour at night", "at night a harbour at night a meadow"):
        read = tokenizer([text], padding="max_length", max_length=6, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            hidden = encoder.eval()(read.input_ids, read.attention_mask).last_hidden_state[0]
        want = hidden * read.attention_mask[0][:, None]
        torch.testing.assert_close(padded(prompts.encode(text), 6), want, rtol=0, atol=1e-6)
    assert prompts.encode("a  meadow") is prompts.encode("a meadow")
    with pytest.raises(ValueError, match="expected a umT5 encoder"):
        EncodedPrompts(tmp_path, 6)

"""Writes random models of the kinds that need torch to be made: to tests/lab/tiny/ as a hub would have them, to tests/serve/tiny/
as CTranslate2's own converter makes them of these.

Run in an environment with torch, transformers, sentencepiece and ctranslate2: `python -m tests.serve.make_tiny`. Each is a few
hundred kilobytes: a Whisper of 16 dimensions, a Marian with its sentencepiece tokenizers, an NLLB (M2M-100) with tokenizer.json.
"""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import sentencepiece
import torch
import transformers
from ctranslate2.converters import TransformersConverter
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

HERE = Path(__file__).parent / "tiny"
SOURCES = Path(__file__).parents[1] / "lab" / "tiny"
CORPUS = Path(__file__).parents[2] / "models" / "corpus"


def whisper(root: Path) -> None:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|fr|>", "<|translate|>", "<|transcribe|>"]
    special += ["<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    special += [f"<|{n * 0.02:.2f}|>" for n in range(1501)]
    tokenizer = Tokenizer(models.BPE(vocab={letter: n for n, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    ids = {text: tokenizer.token_to_id(text) for text in special}
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|endoftext|>", additional_special_tokens=special[1:11]
    )
    wrapped.save_pretrained(root)
    config = transformers.WhisperConfig(
        vocab_size=tokenizer.get_vocab_size(), num_mel_bins=80, d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_target_positions=448,
        decoder_start_token_id=ids["<|startoftranscript|>"], eos_token_id=ids["<|endoftext|>"], pad_token_id=ids["<|endoftext|>"],
        bos_token_id=ids["<|endoftext|>"], init_std=0.5, suppress_tokens=[], begin_suppress_tokens=[ids["<|endoftext|>"]],
    )  # fmt: skip
    model = transformers.WhisperForConditionalGeneration(config)
    model.generation_config = transformers.GenerationConfig(
        suppress_tokens=[], begin_suppress_tokens=[ids["<|endoftext|>"]], alignment_heads=[[0, 0]],
        lang_to_id={f"<|{code}|>": ids[f"<|{code}|>"] for code in ("en", "de", "fr")},
    )  # fmt: skip
    model.save_pretrained(root)
    (root / "preprocessor_config.json").write_text('{"feature_size": 80}')


def _trained(name: Path, vocabulary: int) -> None:
    """From lines and into memory: a tokenizer keeps the paths of the files that it was made from and into."""
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter((CORPUS / "subjects.txt").read_text().splitlines()), model_writer=made, vocab_size=vocabulary,
        character_coverage=1.0, bos_id=-1, eos_id=0, unk_id=1, minloglevel=2, normalization_rule_name="identity",
    )  # fmt: skip
    name.write_bytes(made.getvalue())


def marian(root: Path) -> None:
    _trained(root / "source.spm", 200)
    shutil.copy(root / "source.spm", root / "target.spm")
    reads = sentencepiece.SentencePieceProcessor(model_file=str(root / "source.spm"))
    words = [reads.id_to_piece(n) for n in range(reads.get_piece_size())]
    words += [">>deu<<", ">>fra<<", "<pad>"]
    (root / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate(words)}))
    (root / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "MarianTokenizer", "separate_vocabs": False}))
    config = transformers.MarianConfig(
        vocab_size=len(words), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=64,
        pad_token_id=len(words) - 1, eos_token_id=0,
        decoder_start_token_id=len(words) - 1, forced_eos_token_id=0, init_std=0.5, share_encoder_decoder_embeddings=True,
        activation_function="swish",
    )  # fmt: skip
    transformers.MarianMTModel(config).save_pretrained(root)


def nllb(root: Path) -> None:
    letters = [chr(n) for n in range(33, 127)]
    words = ["<s>", "<pad>", "</s>", "<unk>", "▁", *letters]
    vocabulary = [(word, -float(n) / 50) for n, word in enumerate(words)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    codes = ["eng_Latn", "deu_Latn", "fra_Latn"]
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", *codes])
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )
    wrapped.save_pretrained(root)
    config = transformers.M2M100Config(
        vocab_size=tokenizer.get_vocab_size(), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=64, init_std=0.5,
        pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2,
    )  # fmt: skip
    transformers.M2M100ForConditionalGeneration(config).save_pretrained(root)


COPIED = {
    "whisper": (whisper, ["tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"]),
    "marian": (marian, ["source.spm", "target.spm", "tokenizer_config.json"]),
    "nllb": (nllb, ["tokenizer.json", "tokenizer_config.json"]),
}


def features() -> None:
    """What transformers makes of a sound: rows of it, beside the models."""
    seconds = np.arange(16000 * 2) / 16000
    sound = (0.5 * np.sin(2 * np.pi * 440 * seconds) + 0.2 * np.sin(2 * np.pi * 3000 * seconds**2)).astype(np.float32)
    found = transformers.WhisperFeatureExtractor(feature_size=80)(sound, sampling_rate=16000, return_tensors="np").input_features[
        0
    ]
    picked = {str(n): [round(float(value), 5) for value in found[:, n]] for n in (0, 17, 100, 199, 200, 2999)}
    (HERE / "features.json").write_text(json.dumps(picked) + "\n")


def main() -> None:
    for name, (make, copied) in COPIED.items():
        torch.manual_seed(7)
        source = SOURCES / name
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir(parents=True)
        make(source)
        files = [file for file in copied if (source / file).is_file()]
        TransformersConverter(str(source), copy_files=files).convert(str(HERE / name), quantization="int8", force=True)
    features()


if __name__ == "__main__":
    main()

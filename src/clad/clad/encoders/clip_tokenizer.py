"""CLIP's byte-pair tokenizer, from its published merge list, as a tokenizer.json that needs `tokenizers` alone."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from clad.errors import CladError

START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
MERGES = 49152 - 256 - 2  # of the list's lines, those that CLIP was trained with
WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"

PACKAGE, FILE = "open_clip", "bpe_simple_vocab_16e6.txt.gz"
FILE_SHA256 = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
REMEDY = "pip install --no-deps open-clip-torch==3.3.0"


def merge_list() -> list[tuple[str, str]]:
    """The merges in order of rank, from the file inside the package open-clip-torch (which is not imported).

    Raises CladError when the package is missing or brings another file.
    """
    package = importlib.util.find_spec(PACKAGE)
    file = Path(package.origin).parent / FILE if package and package.origin else None
    if file is None or not file.is_file():
        raise CladError("CLIP's vocabulary is not installed", REMEDY)
    packed = file.read_bytes()
    if hashlib.sha256(packed).hexdigest() != FILE_SHA256:
        raise CladError(f"{file} is not the vocabulary that CLIP was trained with", REMEDY)
    lines = gzip.decompress(packed).decode().splitlines()
    return [tuple(line.split()) for line in lines[1 : MERGES + 1]]  # the first line is a heading


def clip_tokenizer(context: int) -> Tokenizer:
    """Text to token ids with both markers, cut to `context` tokens (the end marker stays).

    Unlike OpenAI's code it does not repair broken encodings or HTML entities: instructions are plain text.
    """
    merges = merge_list()
    # the model's first 256 ids are bytes under printable names, in the order of those names' own code points
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = [*symbols, *(s + WORD_END for s in symbols), *("".join(m) for m in merges), START, END]
    ids = {symbol: index for index, symbol in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.BPE(ids, merges, end_of_word_suffix=WORD_END, unk_token=END))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, ids[START]), (END, ids[END])]
    )
    tokenizer.enable_truncation(context)
    return tokenizer

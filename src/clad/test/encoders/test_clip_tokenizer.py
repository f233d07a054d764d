"""Token ids are those that CLIP was trained with."""

import importlib.util
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clad.encoders import clip_tokenizer as module
from clad.encoders.clip_tokenizer import clip_tokenizer, merge_list
from clad.errors import CladError

TOKENIZER = clip_tokenizer(77)
RANKS = {pair: rank for rank, pair in enumerate(merge_list())}


def by_hand(word: str) -> list[int]:
    """Byte-pair encoding of one printable ASCII word, straight from its definition."""
    parts = [*word[:-1], word[-1] + "</w>"]
    while pairs := [(RANKS[pair], i) for i, pair in enumerate(zip(parts, parts[1:])) if pair in RANKS]:
        best = RANKS_INVERSE[min(pairs)[0]]
        merged, i = [], 0
        while i < len(parts):
            both = tuple(parts[i : i + 2]) == best
            merged.append("".join(best) if both else parts[i])
            i += 2 if both else 1
        parts = merged
    return [_id(part) for part in parts]


RANKS_INVERSE = {rank: pair for pair, rank in RANKS.items()}
MERGED = {"".join(pair): 512 + rank for pair, rank in RANKS.items()}


def _id(symbol: str) -> int:
    if symbol in MERGED:
        return MERGED[symbol]
    return ord(symbol[0]) - ord("!") + (256 if symbol.endswith("</w>") else 0)


@pytest.mark.parametrize(
    "text, ids",
    [  # from OpenAI's own tokenizer (PyPI openai-clip 1.0.1)
        ("put the black bowl on the plate", [1983, 518, 1449, 3814, 525, 518, 5135]),
        ("  Put the BLACK bowl\n on\tthe plate ", [1983, 518, 1449, 3814, 525, 518, 5135]),
        ("é \u200b a_b-c/d\\e", [4166, 9844, 320, 318, 321, 268, 322, 270, 323, 315, 324]),
    ],
)
def test_published_ids(text, ids):
    assert TOKENIZER.encode(text).ids == [49406, *ids, 49407]


def test_vocabulary():
    assert TOKENIZER.get_vocab_size() == 49408
    assert [TOKENIZER.id_to_token(i) for i in (0, 255, 256, 49406, 49407)] == [
        "!",
        "Ń",
        "!</w>",
        "<|startoftext|>",
        "<|endoftext|>",
    ]


@given(st.lists(st.from_regex(r"\A(?:[A-Za-z]{1,20}|[0-9]|[!-&(-/:-@\[-`{-~]{1,5})\Z"), min_size=1, max_size=8))
def test_equals_the_definition(words):
    """Words, digits and runs of signs, apart from one another: each is encoded as if alone."""
    expected = [i for word in words for i in by_hand(word.lower())]
    assert TOKENIZER.encode(" ".join(words)).ids == [49406, *expected[:75], 49407]


def test_words_split_where_clip_splits_them():
    joined, apart = TOKENIZER.encode("don't turn12off,it's!?"), TOKENIZER.encode("don 't turn 1 2 off , it 's !?")
    assert joined.ids == apart.ids


def test_missing_or_foreign_vocabulary(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CladError, match="not installed. pip install --no-deps open-clip-torch"):
        merge_list()
    (tmp_path / module.FILE).write_bytes(b"another")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace(origin=str(tmp_path / "__init__.py")))
    with pytest.raises(CladError, match="is not the vocabulary"):
        merge_list()

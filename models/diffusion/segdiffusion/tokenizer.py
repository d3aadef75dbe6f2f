"""A small tokenizer made in code: bytes, and word pieces of the vocabulary of this project's prompts.

Any Unicode text becomes tokens, since every byte is one. Trained small weights depend on its token numbers, so the
words must never be changed; another list would have to be another tokenizer.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

END = "</w>"
"""Suffix of the last piece of a word."""
START_MARK, END_MARK = "<|startoftext|>", "<|endoftext|>"

WORDS = """
a an the of in on with and photo picture painting drawing image cropped bright dark close up many small large one
animal bird fish person leaf flower fruit blob tile bottle mug car ring chair bicycle lamp boat
aeroplane bus cat cow dining table dog horse motorbike potted plant sheep sofa train tv monitor
sky building pole road sidewalk tree traffic sign fence pedestrian bicyclist desk box book keyboard
wall floor ceiling window door bed cabinet curtain shelf paper light grass water sand rock mountain cloud snow river sea
ground ceramic cup glass bag toy clothes hat shoe phone mouse clock vase ball kite umbrella bench bridge house star
head arm hand leg body face hair red green blue yellow orange purple white black grey brown pink
"""


@lru_cache(maxsize=1)
def word_tokenizer() -> CLIPTokenizer:
    """Build a CLIP tokenizer over `WORDS`; the same text always gives the same tokens."""
    alphabet = sorted(ByteLevel.alphabet())
    merges = learn_merges(WORDS.split())
    pieces = [*alphabet, *(byte + END for byte in alphabet), *map("".join, merges), START_MARK, END_MARK]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    # vocab= and merges=: transformers silently ignores the older vocab_file= and merges_file=.
    return CLIPTokenizer(vocab=vocabulary, merges=merges)


def learn_merges(words: Sequence[str]) -> list[tuple[str, str]]:
    """Byte-pair encoding (Sennrich et al., arXiv 1508.07909, algorithm 1), until every word is one piece.

    Of pairs that are equally frequent the first in the alphabet is joined, so that the result depends on the words
    alone.

    Args:
        words: printable ASCII, each counted once.

    Returns:
        The pairs to join, in their order.
    """
    parts = [[*word[:-1], word[-1] + END] for word in words]
    merges: list[tuple[str, str]] = []
    while frequency := Counter(pair for word in parts for pair in pairwise(word)):
        best = min(frequency, key=lambda pair: (-frequency[pair], pair))
        merges.append(best)
        parts = [_joined(word, best) for word in parts]
    return merges


def _joined(word: list[str], pair: tuple[str, str]) -> list[str]:
    joined: list[str] = []
    for piece in word:
        if joined and (joined[-1], piece) == pair:
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined

"""Texts for distillation: read, tokenized, split into training and held-out, drawn as batches of about equal size."""

from __future__ import annotations

import pathlib
import random

import torch

from reprise_models.checkpoint import CheckpointError

# A text of more tokens counts as a paragraph.
PARAGRAPH_TOKENS = 64
# Texts of neighbouring batches are sorted by length together: little padding, still random.
_SORTED_TOGETHER = 64


def read_lines(paths):
    """One text in each line; empty lines and repetitions are left out."""
    lines = []
    for path in paths:
        try:
            lines += pathlib.Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"'{path}' cannot be read as UTF-8 text: {error}") from error
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


class TextTokenizer:
    """tokenizer.json of a checkpoint directory, each text cut to `max_tokens`."""

    def __init__(self, directory, max_tokens):
        from tokenizers import Tokenizer  # pylint: disable=import-outside-toplevel

        path = pathlib.Path(directory) / "tokenizer.json"
        if not path.is_file():
            raise CheckpointError(f"'{path}' is not there; expected the tokenizer of the model")
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)

    def __call__(self, texts):
        return [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]


def is_paragraph(ids):
    return len(ids) > PARAGRAPH_TOKENS


def split_held_out(texts, seed, one_in=10, at_most=400):
    """(training, held out) of tokenized texts; paragraphs and sentences are held out alike."""
    shuffled = random.Random(seed).sample(texts, len(texts))
    held_out = min(len(texts) // one_in, at_most)
    return shuffled[held_out:], shuffled[:held_out]


def padded(rows, device="cpu"):
    """(input_ids, attention_mask), [batch_size, longest]."""
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device)
    return ids, mask


def by_length(texts, tokens_per_batch):
    """All texts, shortest first, in lists of at most `tokens_per_batch` with padding; their places beside them."""
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    batch = []
    for place in order:
        if batch and (len(batch) + 1) * len(texts[place]) > tokens_per_batch:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


class Batches:
    """Endless batches of about `tokens_per_step` tokens, each of sentences or of paragraphs; `paragraph_share` of all tokens are
    in paragraphs where there are both. The same seed gives the same batches."""

    def __init__(self, texts, tokens_per_step, paragraph_share, seed):
        self._tokens_per_step, self._random = tokens_per_step, random.Random(seed)
        paragraphs = [ids for ids in texts if is_paragraph(ids)]
        sentences = [ids for ids in texts if not is_paragraph(ids)]
        self._share = paragraph_share if paragraphs and sentences else float(bool(paragraphs))
        self._pools = {True: self._endless(paragraphs), False: self._endless(sentences)}
        self._tokens = {True: 0, False: 0}

    def __iter__(self):
        return self

    def __next__(self):
        paragraphs = self._share > 0 and self._tokens[True] <= self._share * sum(self._tokens.values())
        if self._share == 1:
            paragraphs = True
        rows, size = [], 0
        while size < self._tokens_per_step:
            rows.append(next(self._pools[paragraphs]))
            size += len(rows[-1])
        self._tokens[paragraphs] += size
        return rows

    def _endless(self, texts):
        while True:
            shuffled = self._random.sample(texts, len(texts))
            chunks = [sorted(shuffled[first:first + _SORTED_TOGETHER], key=len)
                      for first in range(0, len(shuffled), _SORTED_TOGETHER)]
            for chunk in chunks:
                yield from chunk

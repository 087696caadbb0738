"""The generated text as token ids: encoded once, kept in one file, read in padded batches."""

from pathlib import Path
from typing import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from generator import Generator, Statement

Corpus = dict[str, np.ndarray]  # ids and is_target, all documents one after the other; lengths


def encode(tokenizer: Tokenizer, documents: Sequence[Sequence[Statement]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Per document its ids (with `<bos>` in front) and a mark on the tokens of targets."""
    texts, spans = [], []
    for statements in documents:
        text, targets = "", []
        for statement in statements:
            if text:
                text += " "
            for piece, is_target in statement.segments:
                if is_target:
                    targets.append((len(text), len(text) + len(piece)))
                text += piece
        texts.append(text)
        spans.append(targets)
    encoded = []
    for encoding, targets in zip(tokenizer.encode_batch(texts), spans):
        marks = np.zeros(len(encoding.ids) + 1, np.uint8)
        characters = np.zeros(len(encoding.ids) and encoding.offsets[-1][1] + 1, bool)
        for start, end in targets:
            characters[start:end] = True
        for index, (start, end) in enumerate(encoding.offsets):
            # a token is a target if its last character is one (its space may belong to the text before)
            marks[index + 1] = end > start and characters[end - 1]
        encoded.append((np.array([0, *encoding.ids], np.int16), marks))
    return encoded


def write_corpus(tokenizer: Tokenizer, path: Path, count: int, seed: int = 1) -> Corpus:
    """Generates `count` documents and stores them; reads them if they are already there."""
    if path.exists():
        return dict(np.load(path))
    generator = Generator(seed)
    ids, marks, lengths = [], [], []
    for start in range(0, count, 5000):
        for document_ids, document_marks in encode(tokenizer, [generator.document() for _ in range(min(5000, count - start))]):
            ids.append(document_ids)
            marks.append(document_marks)
            lengths.append(len(document_ids))
    corpus = {"ids": np.concatenate(ids), "is_target": np.concatenate(marks), "lengths": np.array(lengths, np.int16)}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **corpus)
    return corpus


_starts_cache: dict[int, np.ndarray] = {}


def starts(corpus: Corpus) -> np.ndarray:
    """Where each document begins."""
    key = id(corpus["lengths"])
    if key not in _starts_cache:
        _starts_cache[key] = np.concatenate([[0], np.cumsum(corpus["lengths"].astype(np.int64))])
    return _starts_cache[key]


def padded(corpus: Corpus, documents: Sequence[int]) -> tuple[Tensor, Tensor]:
    """ids and weights [batch, pos] of some documents: weight 1 on targets, 0.5 on other tokens, 0 on padding."""
    begins = starts(corpus)
    longest = int(corpus["lengths"][documents].max())
    ids = np.zeros((len(documents), longest), np.int64)
    weights = np.zeros((len(documents), longest), np.float32)
    for row, document in enumerate(documents):
        start, end = begins[document], begins[document + 1]
        ids[row, : end - start] = corpus["ids"][start:end]
        weights[row, : end - start] = 0.5 + 0.5 * corpus["is_target"][start:end]
    return torch.from_numpy(ids), torch.from_numpy(weights)

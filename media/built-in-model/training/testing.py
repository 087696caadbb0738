"""Accuracy on the held-out test sets."""

from typing import Callable

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

import facts
from corpus import encode
from generator import Statement

Forward = Callable[[Tensor], Tensor]  # ids [batch, pos] -> logits [batch, pos, dVocab]


def accuracy(model: Forward, tokenizer: Tokenizer, tests: dict[str, list[Statement]]) -> dict[str, float]:
    """Share of statements whose last target is the model's most probable continuation, all its tokens.

    Which verb follows a noun cannot be known: of an agreement, only the number of the most probable verb counts.
    """
    return {name: float(np.mean(correct(model, tokenizer, statements))) for name, statements in tests.items()}


@torch.no_grad()
def correct(model: Forward, tokenizer: Tokenizer, statements: list[Statement]) -> list[bool]:
    if statements[0].kind == "agreement":
        return agreement_correct(model, tokenizer, statements)
    shortened = [Statement(s.kind, ((s.prompt, False), (s.answer, True))) for s in statements]
    encoded = encode(tokenizer, [[s] for s in shortened])
    longest = max(len(ids) for ids, _ in encoded)
    ids, is_answer = np.zeros((len(encoded), longest), np.int64), np.zeros((len(encoded), longest), bool)
    for row, (row_ids, marks) in enumerate(encoded):
        ids[row, : len(row_ids)], is_answer[row, : len(row_ids)] = row_ids, marks > 0
    predicted = model(torch.from_numpy(ids))[:, :-1].argmax(-1).numpy()
    return ((predicted == ids[:, 1:]) | ~is_answer[:, 1:]).all(1).tolist()


def agreement_correct(model: Forward, tokenizer: Tokenizer, statements: list[Statement]) -> list[bool]:
    token = lambda verb: tokenizer.encode(" " + verb).ids[0]
    singular, plural = [token(one) for one, _ in facts.VERBS], [token(many) for _, many in facts.VERBS]
    results = []
    for statement in statements:
        logits = model(torch.tensor([[0, *tokenizer.encode(statement.prompt).ids]]))[0, -1]
        is_plural = token(statement.answer.strip()) in plural
        results.append(bool(logits.argmax() in torch.tensor(plural if is_plural else singular)))
    return results

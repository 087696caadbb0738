"""Describes every feature of a transcoder set: feature examples in the published binary format, and labels.

    python describe_features.py MODEL_FOLDER SET_FOLDER [--texts FILE] [--documents N]

Writes SET_FOLDER/features/ (index.json.gz and one layer_{i}.bin per layer) and SET_FOLDER/labels.json.
The texts are the generator's unless a file with one text a line is given. A label is made by rule from the top
examples, and its `source` says from what; a feature whose examples share nothing evident gets none.
"""

import argparse
import gzip
import json
import os
import struct
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAYON_NUM_THREADS", "1")

import numpy as np
import torch
from tokenizers import Tokenizer

import vocabulary
from generator import Generator
from model import Llama, load_model
from transcoders import TranscoderSet, load_set

WINDOW_BEFORE, WINDOW_AFTER = 14, 2
# (name, how many examples, from which share of the activations sorted downwards)
QUANTILES = [("Top activations", 8, None), ("Upper third", 2, (0.0, 0.33)), ("Middle third", 2, (0.33, 0.66)), ("Lower third", 1, (0.66, 1.0))]
LABEL_EXAMPLES = 20


class Corpus:
    """Documents of token ids, and the model's MLP inputs on them, layer by layer."""

    def __init__(self, tokenizer: Tokenizer, texts: list[str], limit: int = 128):
        self.documents = sorted(([0, *encoding.ids[: limit - 1]] for encoding in tokenizer.encode_batch(texts)), key=len)
        self.tokens = np.concatenate([np.array(d[1:], np.int64) for d in self.documents])
        self.document_of = np.concatenate([np.full(len(d) - 1, i) for i, d in enumerate(self.documents)])
        self.position_of = np.concatenate([np.arange(1, len(d)) for d in self.documents])

    @torch.no_grad()
    def active(self, model: Llama, transcoders: TranscoderSet, layer: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Every activation of a layer as (feature, token, value), sorted by feature and then downwards by value."""
        features, tokens, values = [], [], []
        first_token = 0
        for start in range(0, len(self.documents), 256):
            rows = self.documents[start:start + 256]
            longest = max(map(len, rows))
            ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
            is_text = torch.tensor([[0 < p < len(row) for p in range(longest)] for row in rows])
            kept: list[torch.Tensor] = []

            def hook(at: int, mlp_in: torch.Tensor, mlp_out: torch.Tensor) -> torch.Tensor:
                if at == layer:
                    kept.append(transcoders.encode(layer, mlp_in[is_text]))
                return mlp_out

            model.final_residual(ids, hook)
            token, feature = kept[0].nonzero(as_tuple=True)
            features.append(feature.numpy().astype(np.int32))
            tokens.append((token + first_token).numpy().astype(np.int32))
            values.append(kept[0][token, feature].numpy())
            first_token += int(is_text.sum())
        feature, token, value = np.concatenate(features), np.concatenate(tokens), np.concatenate(values)
        order = np.lexsort((token, -value, feature))
        return feature[order], token[order], value[order]


def byte_texts(tokenizer: Tokenizer) -> list[str]:
    """The text of each token; bytes that are not whole characters as \\xNN."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    byte_of = {chr(b): b for b in printable}
    byte_of |= {chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in printable)}
    texts = []
    for i in range(tokenizer.get_vocab_size()):
        piece = tokenizer.id_to_token(i)
        if i == 0 or any(c not in byte_of for c in piece):
            texts.append(piece)
            continue
        raw = bytes(byte_of[c] for c in piece)
        try:
            texts.append(raw.decode())
        except UnicodeDecodeError:
            texts.append("".join(f"\\x{b:02X}" if b > 126 else chr(b) for b in raw))
    return texts


def choose_examples(corpus: Corpus, tokens: np.ndarray, count: int) -> list[int]:
    """Up to `count` of the given tokens (best first) whose texts up to the token differ and that lie in different documents."""
    chosen, documents, contexts = [], set(), set()
    for token in tokens:
        document, position = int(corpus.document_of[token]), int(corpus.position_of[token])
        context = tuple(corpus.documents[document][max(1, position - WINDOW_BEFORE):position + 1])
        if document in documents or context in contexts:
            continue
        documents.add(document)
        contexts.add(context)
        chosen.append(int(token))
        if len(chosen) == count:
            break
    return chosen


def number(value: float) -> float:
    """Three digits are enough to draw with."""
    return float(f"{value:.3g}")


def example(corpus: Corpus, texts: list[str], token: int, activation_at: dict[int, float]) -> dict:
    document, position = int(corpus.document_of[token]), int(corpus.position_of[token])
    ids = corpus.documents[document]
    first, last = max(1, position - WINDOW_BEFORE), min(len(ids) - 1, position + WINDOW_AFTER)
    offset = token - position
    return {
        "tokens": [texts[i] for i in ids[first:last + 1]],
        "tokens_acts_list": [number(activation_at.get(offset + p, 0.0)) or 0 for p in range(first, last + 1)],
        "train_token_ind": position - first,
    }


def describe_layer(model: Llama, transcoders: TranscoderSet, corpus: Corpus, texts: list[str], lexicon: vocabulary.Lexicon, layer: int) -> tuple[list[bytes], list[dict], dict]:
    """The records of a layer's features (empty for a dead one), its labels, and some statistics."""
    feature, token, value = corpus.active(model, transcoders, layer)
    bounds = np.searchsorted(feature, np.arange(transcoders.n_features + 1))
    final_write = transcoders.total_write(layer) * model.model.norm.weight
    logits = final_write @ model.lm_head.weight.T  # [feature, dVocab]
    logits -= logits.mean(1, keepdim=True)
    raised, lowered = logits.topk(10).indices.tolist(), logits.topk(10, largest=False).indices.tolist()
    records, labels = [], []
    for f in range(transcoders.n_features):
        start, end = bounds[f], bounds[f + 1]
        if start == end:
            records.append(b"")
            continue
        values, tokens = value[start:end], token[start:end]
        activation_at = dict(zip(tokens[:200_000].tolist(), values[:200_000].tolist()))
        quantiles = []
        for name, count, part in QUANTILES:
            if part is None:
                candidates = tokens[:400]
            else:
                low, high = int(part[0] * len(tokens)), int(part[1] * len(tokens))
                candidates = tokens[low:high][:: max(1, (high - low) // 50)]
            chosen = choose_examples(corpus, candidates, count)
            quantiles.append({"quantile_name": name, "examples": [example(corpus, texts, t, activation_at) for t in chosen]})
        histogram, _ = np.histogram(values, bins=20, range=(0, float(values[0])))
        described = {
            "index": f,
            "transcoder_id": f"layer_{layer}",
            "examples_quantiles": quantiles,
            "top_logits": [texts[i] for i in raised[f]],
            "bottom_logits": [texts[i] for i in lowered[f]],
            "act_min": 0,
            "act_max": number(values[0]),
            "quantile_values": [number(q) for q in np.quantile(values, np.linspace(0, 1, 100))],
            "histogram": histogram.tolist(),
            "activation_frequency": number(len(values) / len(corpus.tokens)),
        }
        packed = gzip.compress(json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode(), 6, mtime=0)
        records.append(struct.pack("<I", len(packed)) + packed)
        # labels look at the stronger half only, since a feature may be weakly on elsewhere; at any of it, since the very
        # strongest are often all of one word
        strong = np.random.default_rng(f).permutation(tokens[values >= values[0] * 0.5])
        examples = []
        for t in choose_examples(corpus, strong[:2000], LABEL_EXAMPLES):
            document, position = int(corpus.document_of[t]), int(corpus.position_of[t])
            ids = corpus.documents[document]
            examples.append(vocabulary.Example([texts[i] for i in ids[1:position]], texts[ids[position]], texts[ids[position + 1]] if position + 1 < len(ids) else ""))
        label = vocabulary.label_of(examples, [texts[i] for i in raised[f]], lexicon)
        if label:
            labels.append({"layer": layer, "feature": f, "label": label[0], "source": label[1]})
    dead = sum(not record for record in records)
    return records, labels, {"layer": layer, "dead": dead, "active per token": round(len(value) / len(corpus.tokens), 2), "labelled": len(labels)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("set", type=Path)
    parser.add_argument("--texts", type=Path, help="a file with one text a line instead of the generator's")
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=77)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    model, transcoders = load_model(arguments.model), load_set(arguments.set)
    tokenizer = Tokenizer.from_file(str(arguments.model / "tokenizer.json"))
    if arguments.texts:
        texts = arguments.texts.read_text().splitlines()[: arguments.documents]
    else:
        generator = Generator(arguments.seed)
        texts = [" ".join(s.text for s in generator.document()) for _ in range(arguments.documents)]
    corpus = Corpus(tokenizer, texts)
    token_texts = byte_texts(tokenizer)
    lexicon = vocabulary.Lexicon.from_documents([[token_texts[i] for i in d[1:]] for d in corpus.documents])

    folder = arguments.set / "features"
    folder.mkdir(exist_ok=True)
    index, labels = {}, []
    for layer in range(transcoders.n_layers):
        records, layer_labels, statistics = describe_layer(model, transcoders, corpus, token_texts, lexicon, layer)
        (folder / f"layer_{layer}.bin").write_bytes(b"".join(records))
        index[str(layer)] = {"filename": f"layer_{layer}.bin", "offsets": np.concatenate([[0], np.cumsum([len(r) for r in records])]).tolist()}
        labels += layer_labels
        print(json.dumps(statistics), flush=True)
    (folder / "index.json.gz").write_bytes(gzip.compress(json.dumps(index, separators=(",", ":")).encode(), 9, mtime=0))
    lines = ",\n".join(json.dumps(label, ensure_ascii=False, separators=(",", ":")) for label in labels)
    (arguments.set / "labels.json").write_text(f'{{"version":1,"labels":[\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()

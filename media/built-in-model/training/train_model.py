"""Trains the built-in model on the generated text.

    python train_model.py --out FOLDER [--steps N] [--data FOLDER] [--start-from FOLDER]

Three things are unlike ordinary training. Two are there so that a two-step question is answered in two steps that can be seen:
* the embeddings of cities and towns are fixed at random values: that Dallas is in Texas cannot be in the embedding
  table, some layer has to look it up;
* a linear readout of what the first two MLPs write at a city's token is trained along to name its state or country
  (dropped afterwards): the look-up happens early and in MLPs, so that later layers, and attention, can use it.
The third makes what MLPs do worth looking at: writing costs. Per token and layer the sizes of what the hidden units write,
as shares of the residual stream's, are added up and weighed (`--sparsity`). An MLP then writes where that helps and little
elsewhere, with few units at a time, which is what a sparse transcoder can describe. It costs least in layer 1, which is
why the look-up is found there.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAYON_NUM_THREADS", "1")

import numpy as np
import torch
import torch.nn.functional as functional
from tokenizers import Tokenizer
from torch import Tensor

import tokenizer as tokenizer_builder
from corpus import encode, padded, write_corpus
from generator import COUNTRIES, COUNTRY_OF_TOWN, STATE_OF_CITY, STATES, test_sets
from model import Configuration, Llama, load_model, save_model
from testing import accuracy

READ_OUT_LAYERS = 2  # the readout sees what the MLPs of layers 0 .. READ_OUT_LAYERS - 1 write


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path(".cache/data"))
    parser.add_argument("--start-from", type=Path, help="a trained model to go on with, with its tokenizer, instead of a random one")
    parser.add_argument("--documents", type=int, default=500_000)
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--steps-file", type=Path, help="a file that may name another number of steps while this runs, on a busy machine; "
                        "until the decay begins the run is the same for every number")
    parser.add_argument("--decay-steps", type=int, default=3_000, help="the learning rate stays as it is until so many steps before the end, then falls in a straight line")
    parser.add_argument("--tokens-per-step", type=int, default=1024)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--other-tokens", type=float, default=0.15, help="share of the tokens that are not targets that is trained on")
    parser.add_argument("--readout-weight", type=float, default=0.1)
    parser.add_argument("--sparsity", type=float, nargs="+", default=[0.02, 0.008, 0.015, 0.02], help="what writing costs, one number a layer")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--mlp-width", type=int, default=384)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--stop-after", type=int, default=0, help="stop after so many steps (to measure speed)")
    return parser.parse_args()


def place_tokens(tokenizer: Tokenizer) -> tuple[Tensor, Tensor]:
    """Ids of the tokens that are a city or a town, and per token of the vocabulary the place it lies in (-1: none)."""
    places = {state.name: i for i, state in enumerate(STATES)} | {f"country {country.name}": len(STATES) + i for i, country in enumerate(COUNTRIES)}
    names = [n for c in COUNTRIES for n in (c.name, c.capital)] + [n for s in STATES for n in (s.name, s.capital)]
    other_uses = {word for name in names for word in name.split()}
    place_of_token = torch.full((tokenizer.get_vocab_size(),), -1)
    located = {city: places[state.name] for city, state in STATE_OF_CITY.items()} | {town: places[f"country {country.name}"] for town, country in COUNTRY_OF_TOWN.items()}
    for name, place in located.items():
        ambiguous = name in other_uses or (name in STATE_OF_CITY and name in COUNTRY_OF_TOWN)
        if not ambiguous:
            place_of_token[tokenizer.encode(" " + name).ids[0]] = place
    return (place_of_token >= 0).nonzero()[:, 0], place_of_token


def batches(corpus: dict[str, np.ndarray], rng: np.random.Generator, tokens_per_step: int):
    """Endless batches of documents of about the same length: ids and loss weights, [batch, pos]."""
    lengths = corpus["lengths"]
    while True:
        order = np.argsort(lengths + rng.random(len(lengths)) * 0.9)
        groups, start = [], 0
        while start < len(order):
            longest = int(lengths[order[min(start + 64, len(order) - 1)]])
            count = max(8, tokens_per_step // longest)
            groups.append(order[start:start + count])
            start += count
        for index in rng.permutation(len(groups)):
            yield padded(corpus, groups[index])


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)

    start = arguments.start_from
    tokenizer = Tokenizer.from_file(str(start / "tokenizer.json")) if start else tokenizer_builder.build()
    tokenizer_builder.check(tokenizer)
    tokenizer_builder.save(tokenizer, arguments.out)
    corpus = write_corpus(tokenizer, arguments.data / "train.npz", arguments.documents)
    print(f"{arguments.documents} documents, {corpus['lengths'].sum():,} tokens, {tokenizer.get_vocab_size()} in the vocabulary", flush=True)

    configuration = Configuration(arguments.layers, arguments.width, arguments.width // 32, arguments.mlp_width, tokenizer.get_vocab_size())
    model = Llama(configuration)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    fixed_tokens, place_of_token = place_tokens(tokenizer)
    fixed_embeddings = torch.randn(len(fixed_tokens), arguments.width) * 0.1
    if start:
        model.load_state_dict(load_model(start).state_dict())
        fixed_embeddings = model.model.embed_tokens.weight.detach()[fixed_tokens].clone()
    with torch.no_grad():
        model.model.embed_tokens.weight[fixed_tokens] = fixed_embeddings
    readout = torch.nn.Linear(arguments.width, len(STATES) + len(COUNTRIES))

    decayed = [p for name, p in model.named_parameters() if p.dim() == 2 and "embed_tokens" not in name]
    others = [p for name, p in model.named_parameters() if p.dim() < 2 or "embed_tokens" in name] + list(readout.parameters())
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": arguments.weight_decay}, {"params": others, "weight_decay": 0.0}],
                                  lr=arguments.learning_rate, betas=(0.9, 0.98), fused=True)

    tests = test_sets()
    log: list[dict] = []
    sums = {"target": 0.0, "targets": 0, "other": 0.0, "others": 0, "readout": 0.0, "readouts": 0, "written": 0.0}
    seen_tokens, started = 0, time.time()
    for step, (ids, weights) in enumerate(batches(corpus, rng, arguments.tokens_per_step)):
        if step >= arguments.steps or (arguments.stop_after and step == arguments.stop_after):
            break
        if step % 50 == 0 and arguments.steps_file and arguments.steps_file.exists():
            arguments.steps = int(arguments.steps_file.read_text())
        warm_up = min(1.0, (step + 1) / 100)
        decay = min(1.0, (arguments.steps - step) / arguments.decay_steps)
        for group in optimizer.param_groups:
            group["lr"] = arguments.learning_rate * warm_up * (0.02 + 0.98 * decay)

        early_writes: list[Tensor] = []
        written: list[Tensor] = []
        is_text = weights > 0
        is_text[:, 0] = False

        def keep_early_writes(layer: int, mlp_in: Tensor, mlp_out: Tensor) -> Tensor:
            if layer < READ_OUT_LAYERS:
                early_writes.append(mlp_out)
            return mlp_out

        def add_up_writes(layer: int, hidden: Tensor, residual: Tensor) -> None:
            sizes = hidden.abs() * model.model.layers[layer].mlp.down_proj.weight.norm(dim=0)
            written.append((sizes.sum(-1) / residual.detach().norm(dim=-1))[is_text].float().mean())

        with torch.autocast("cpu", torch.bfloat16):
            residual = model.final_residual(ids, keep_early_writes, add_up_writes)[:, :-1]
            following, following_weights = ids[:, 1:], weights[:, 1:]
            is_target = following_weights == 1
            chosen = is_target | ((following_weights > 0) & (torch.rand(following_weights.shape) < arguments.other_tokens))
            logits = model.lm_head(residual[chosen])
            place = place_of_token[ids]
            place_logits = readout(sum(early_writes)[place >= 0])
        losses = functional.cross_entropy(logits.float(), following[chosen], reduction="none")
        loss = losses.mean() + sum(cost * amount for cost, amount in zip(arguments.sparsity, written, strict=True))
        sums["written"] += sum(written).item()
        if len(place_logits):
            readout_losses = functional.cross_entropy(place_logits.float(), place[place >= 0], reduction="none")
            loss = loss + arguments.readout_weight * readout_losses.mean()
            sums["readout"] += readout_losses.detach().sum().item()
            sums["readouts"] += len(readout_losses)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            model.model.embed_tokens.weight[fixed_tokens] = fixed_embeddings

        seen_tokens += int((weights > 0).sum())
        chosen_targets = is_target[chosen]
        sums["target"] += losses.detach()[chosen_targets].sum().item()
        sums["targets"] += int(chosen_targets.sum())
        sums["other"] += losses.detach()[~chosen_targets].sum().item()
        sums["others"] += int((~chosen_targets).sum())
        if (step + 1) % 250 == 0:
            entry = {"step": step + 1, "tokens": seen_tokens, "seconds": round(time.time() - started), "target_loss": round(sums["target"] / sums["targets"], 4),
                     "other_loss": round(sums["other"] / sums["others"], 4), "readout_loss": round(sums["readout"] / max(1, sums["readouts"]), 4), "written": round(sums["written"] / 250, 3)}
            log.append(entry)
            print(json.dumps(entry), flush=True)
            sums = dict.fromkeys(sums, 0.0)
        if (step + 1) % 2000 == 0:
            scores = accuracy(model, tokenizer, tests)
            log.append({"step": step + 1, "accuracy": scores})
            print(f"-- step {step + 1}: " + ", ".join(f"{name} {value:.2f}" for name, value in scores.items()), flush=True)
            save_model(model, arguments.out)

    save_model(model, arguments.out)
    settings = {name: value for name, value in vars(arguments).items() if not isinstance(value, Path)}
    log.append({"step": arguments.steps, "accuracy": accuracy(model.eval(), tokenizer, tests)})
    (arguments.out.parent / "train_model.json").write_text(json.dumps({"settings": settings, "tokens": seen_tokens, "minutes": round((time.time() - started) / 60, 1), "log": log}, indent=1) + "\n")


if __name__ == "__main__":
    main()

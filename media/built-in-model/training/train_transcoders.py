"""Trains a transcoder set for the built-in model.

    python train_transcoders.py MODEL_FOLDER OUT_FOLDER --kind per-layer|cross-layer

Features are trained with BatchTopK (the k · batch largest activations of a batch stay on), k shrinking at first; in
the last part a fixed threshold takes over, so that what is stored (JumpReLU with one threshold a layer) is what was
trained. Rare tokens are drawn more often; position 0 is left out. Features that stay silent are pulled by an auxiliary
loss and, five times, started again from badly explained tokens.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from corpus import padded, write_corpus
from model import Llama, load_model
from transcoders import TranscoderSet, save_set

FIXED_THRESHOLD_FROM = 0.85  # share of the training after which the thresholds no longer move
RESTARTS_AT = (0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75)

# features on per token, by layer, while training; on texts as they come, with rare tokens no more often than they are, fewer are on
ACTIVE = [14.0, 10.0, 8.0, 20.0]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kind", choices=["per-layer", "cross-layer"], required=True)
    parser.add_argument("--data", type=Path, default=Path(".cache/data"))
    parser.add_argument("--features", type=int, default=1024)
    parser.add_argument("--active", type=float, nargs="+", default=ACTIVE, help="features on per token while training, one number a layer")
    parser.add_argument("--steps", type=int, default=4500)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--documents", type=int, default=30_000)
    parser.add_argument("--rare", type=float, default=0.5, help="a token is drawn with weight count ** -rare")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


@torch.no_grad()
def collect(model: Llama, corpus: dict[str, np.ndarray], documents: np.ndarray) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """MLP inputs and outputs per layer [token, dModel], and the tokens; position 0 and padding left out."""
    n_layers = model.configuration.n_layers
    inputs: list[list[Tensor]] = [[] for _ in range(n_layers)]
    outputs: list[list[Tensor]] = [[] for _ in range(n_layers)]
    tokens = []
    by_length = documents[np.argsort(corpus["lengths"][documents], kind="stable")]
    for start in range(0, len(by_length), 256):
        ids, weights = padded(corpus, by_length[start:start + 256])
        is_text = weights > 0
        is_text[:, 0] = False
        tokens.append(ids[is_text])

        def hook(layer: int, mlp_in: Tensor, mlp_out: Tensor) -> Tensor:
            inputs[layer].append(mlp_in[is_text])
            outputs[layer].append(mlp_out[is_text])
            return mlp_out

        model.final_residual(ids, hook)
    return [torch.cat(x) for x in inputs], [torch.cat(y) for y in outputs], torch.cat(tokens)


class Trainer:
    """Trains the features of some layers together. `targets[i]` are the layers that the features of `layers[i]` write to."""

    def __init__(self, inputs: dict[int, Tensor], outputs: dict[int, Tensor], targets: dict[int, list[int]], weights: Tensor, active: dict[int, float], arguments: argparse.Namespace):
        self.inputs, self.outputs, self.targets, self.weights, self.active, self.arguments = inputs, outputs, targets, weights, active, arguments
        self.mean = {l: y.mean(0) for l, y in outputs.items()}
        # outputs are trained in units of their own spread, so that layers weigh the same
        self.spread = {l: (y - self.mean[l]).pow(2).sum(1).mean().sqrt() for l, y in outputs.items()}
        # a few tokens (full stops, say) get outputs ten times as large as all others: errors count relative to the token's own size
        self.weight = {}
        for l, y in outputs.items():
            size = (y - self.mean[l]).pow(2).sum(1)
            weight = 1 / (size + 0.3 * size.median())
            self.weight[l] = weight / (weight * size).mean() * size.mean()
        n_features, d_model = arguments.features, next(iter(inputs.values())).shape[1]
        generator = torch.Generator().manual_seed(arguments.seed)
        self.parameters: dict[str, Tensor] = {}
        for layer, layer_targets in targets.items():
            x = inputs[layer]
            mean = x.mean(0)
            encoder = torch.randn(d_model, n_features, generator=generator)
            encoder /= encoder.norm(dim=0) * x.std() * d_model**0.5 / 4
            self.parameters[f"encoder {layer}"] = encoder
            self.parameters[f"encoder bias {layer}"] = -(mean @ encoder)
            for target in layer_targets:
                # decoders start from the linear map that fits best (own layer), or small
                if target == layer:
                    linear = torch.linalg.lstsq(x[:50_000] - mean, (outputs[layer][:50_000] - self.mean[layer]) / self.spread[layer]).solution
                    decoder = encoder.T @ linear
                    decoder = decoder / decoder.norm(dim=1, keepdim=True) * 0.2
                else:
                    decoder = torch.randn(n_features, d_model, generator=generator) * 0.002
                self.parameters[f"decoder {layer} {target}"] = decoder
        for layer in outputs:
            self.parameters[f"decoder bias {layer}"] = torch.zeros(d_model)
        for parameter in self.parameters.values():
            parameter.requires_grad_(True)
        self.optimizer = torch.optim.Adam(self.parameters.values(), lr=arguments.learning_rate, betas=(0.9, 0.99), fused=True)
        self.threshold = {layer: 0.0 for layer in targets}
        self.silent_for = {layer: torch.zeros(n_features) for layer in targets}

    def decoder_norm(self, layer: int) -> Tensor:
        """How much a feature writes per unit of activation, over all its targets. [feature]"""
        return torch.stack([self.parameters[f"decoder {layer} {t}"].pow(2).sum(1) for t in self.targets[layer]]).sum(0).sqrt()

    def train(self) -> None:
        a = self.arguments
        drawn = torch.multinomial(self.weights, a.steps * a.batch, replacement=True, generator=torch.Generator().manual_seed(a.seed + 1))
        restarts = {int(share * a.steps) for share in RESTARTS_AT}
        running, started = {l: 0.0 for l in self.outputs}, time.time()
        for step in range(a.steps):
            done = step / a.steps
            for group in self.optimizer.param_groups:
                group["lr"] = a.learning_rate * min(1, (step + 1) / 50) * min(1, (1 - done) / 0.5 + 1e-3)
            batch = drawn[step * a.batch:(step + 1) * a.batch]
            # half precision until the thresholds are fixed: twice as fast, and only the last part has to be exact
            with torch.autocast("cpu", torch.bfloat16, enabled=done < FIXED_THRESHOLD_FROM):
                activations, errors, loss = self.forward(batch, done)
            for layer, error in errors.items():
                running[layer] = 0.98 * running[layer] + 0.02 * (error.detach().pow(2).sum(1) * self.weight[layer][batch]).mean().item()
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            if step in restarts:
                self.restart_silent(batch, errors)
            if (step + 1) % 250 == 0:
                silent = {l: int((s > 100).sum()) for l, s in self.silent_for.items()}
                print(json.dumps({"step": step + 1, "unexplained": {l: round(v, 4) for l, v in running.items()}, "silent": silent, "seconds": round(time.time() - started)}), flush=True)

    def forward(self, batch: Tensor, done: float) -> tuple[dict[int, Tensor], dict[int, Tensor], Tensor]:
        p = self.parameters
        activations, positive, silent = {}, {}, {}
        for layer in self.targets:
            pre = (self.inputs[layer][batch] @ p[f"encoder {layer}"] + p[f"encoder bias {layer}"]).relu()
            strength = (pre * self.decoder_norm(layer)).detach()
            if done < FIXED_THRESHOLD_FROM:
                k = self.active[layer] + (64 - self.active[layer]) * max(0.0, 1 - done / 0.15)
                sample = strength[::8].flatten()
                cut = sample.kthvalue(sample.numel() - int(k * sample.numel() / strength.shape[1])).values.item()
                if done > 0.6:
                    self.threshold[layer] = cut if self.threshold[layer] == 0 else 0.98 * self.threshold[layer] + 0.02 * cut
            else:
                cut = self.threshold[layer]
            positive[layer] = pre
            activations[layer] = pre * (strength > cut)
            fired = (activations[layer].detach() > 0).any(0)
            self.silent_for[layer] = torch.where(fired, torch.zeros(()), self.silent_for[layer] + 1)
            silent[layer] = self.silent_for[layer] > 10
        errors, loss = {}, torch.zeros(())
        for target in self.outputs:
            wanted = (self.outputs[target][batch] - self.mean[target]) / self.spread[target]
            written = p[f"decoder bias {target}"] + sum(activations[s] @ p[f"decoder {s} {target}"] for s in self.targets if target in self.targets[s])
            errors[target] = wanted - written.float()
            loss = loss + (errors[target].pow(2).sum(1) * self.weight[target][batch]).mean()
        for layer in self.targets:
            if done < FIXED_THRESHOLD_FROM and silent[layer].any():
                candidates = positive[layer][:, silent[layer]]
                values, indices = candidates.topk(min(32, candidates.shape[1]), 1)
                chosen = torch.zeros_like(candidates).scatter(1, indices, values)
                error, weight = errors[layer].detach(), self.weight[layer][batch]
                missed = ((error - chosen @ p[f"decoder {layer} {layer}"][silent[layer]]).pow(2).sum(1) * weight).sum() / (error.pow(2).sum(1) * weight).sum()
                loss = loss + missed / 16
        return activations, errors, loss

    @torch.no_grad()
    def restart_silent(self, batch: Tensor, errors: dict[int, Tensor]) -> None:
        """Silent features start again: reading a badly explained token, writing what is missing there."""
        p = self.parameters
        for layer in self.targets:
            silent = (self.silent_for[layer] > 100).nonzero()[:, 0]
            if len(silent) == 0:
                continue
            error = errors[layer].detach()
            tokens = torch.multinomial(error.pow(2).sum(1) * self.weight[layer][batch], len(silent), replacement=len(silent) > len(error))
            x = self.inputs[layer][batch][tokens]
            mean = self.inputs[layer].mean(0)
            direction = (x - mean) / (x - mean).pow(2).sum(1, keepdim=True)
            scale = error[tokens].norm(dim=1, keepdim=True).clamp_min(1e-3)
            changes = {f"encoder {layer}": (1, direction.T * 2), f"encoder bias {layer}": (0, -(direction @ mean) * 2 - 1),
                       f"decoder {layer} {layer}": (0, error[tokens] / scale * 0.3)}
            for name, (axis, value) in changes.items():
                p[name].index_copy_(axis, silent, value)
                for moment in ("exp_avg", "exp_avg_sq"):
                    self.optimizer.state[p[name]][moment].index_fill_(axis, silent, 0.0)
            for target in self.targets[layer]:
                if target != layer:
                    p[f"decoder {layer} {target}"][silent] = 0
            self.silent_for[layer][silent] = 0

    @torch.no_grad()
    def result(self) -> tuple[dict[int, dict[str, Tensor]], dict[int, Tensor]]:
        """Per layer encoder, bias, threshold and decoders in the units of the model, and the decoder biases.

        Decoder norms are folded into the encoder: an activation is the size of what it writes.
        """
        features = {}
        for layer in self.targets:
            norm = self.decoder_norm(layer).clamp_min(1e-8)
            features[layer] = {
                "encoder": (self.parameters[f"encoder {layer}"] * norm).T.contiguous(),
                "bias": self.parameters[f"encoder bias {layer}"] * norm,
                "threshold": torch.full((self.arguments.features,), self.threshold[layer]),
                **{f"decoder {t}": self.parameters[f"decoder {layer} {t}"] / norm[:, None] * self.spread[t] for t in self.targets[layer]},
            }
        biases = {l: self.mean[l] + self.parameters[f"decoder bias {l}"] * self.spread[l] for l in self.outputs}
        return features, biases


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    model = load_model(arguments.model)
    tokenizer = Tokenizer.from_file(str(arguments.model / "tokenizer.json"))
    corpus = write_corpus(tokenizer, arguments.data / "train.npz", 0)
    documents = np.random.default_rng(7).permutation(len(corpus["lengths"]))[: arguments.documents]
    inputs, outputs, tokens = collect(model, corpus, documents)
    counts = torch.bincount(tokens, minlength=model.configuration.d_vocab).float()
    weights = counts[tokens] ** -arguments.rare
    n_layers = model.configuration.n_layers
    active = dict(enumerate(arguments.active))
    print(f"{len(tokens):,} tokens", flush=True)

    is_cross_layer = arguments.kind == "cross-layer"
    if is_cross_layer:
        groups = [{layer: list(range(layer, n_layers)) for layer in range(n_layers)}]
    else:
        groups = [{layer: [layer]} for layer in range(n_layers)]
    features, biases = {}, {}
    for targets in groups:
        trainer = Trainer({l: inputs[l] for l in targets}, {l: outputs[l] for l in targets}, targets, weights, active, arguments)
        trainer.train()
        new_features, new_biases = trainer.result()
        features |= new_features
        biases |= new_biases
    transcoders = TranscoderSet(
        [features[l]["encoder"] for l in range(n_layers)], [features[l]["bias"] for l in range(n_layers)], [features[l]["threshold"] for l in range(n_layers)],
        [[features[l][f"decoder {t}"] for t in (range(l, n_layers) if is_cross_layer else [l])] for l in range(n_layers)], [biases[l] for l in range(n_layers)], is_cross_layer)
    save_set(transcoders, arguments.out, "prompt-circuits/built-in", f"prompt-circuits/built-in-{arguments.kind}")


if __name__ == "__main__":
    main()

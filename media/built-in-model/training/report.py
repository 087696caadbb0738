"""Measures the built-in model and its transcoder sets, and writes report.json, report.md and blind-list.md.

    python report.py [--folder ..]

Every figure has the target it was built for; what misses its target is listed first.
"""

import argparse
import gzip
import hashlib
import json
import os
import random
import struct
import time
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAYON_NUM_THREADS", "1")

import numpy as np
import torch
import torch.nn.functional as functional
from tokenizers import Tokenizer

import circuits
from attribution import graph_of
from corpus import encode
from generator import PHRASINGS, Generator, test_sets
from model import Llama, load_model
from samples import SAMPLES
from testing import accuracy
from transcoders import TranscoderSet, load_set

SETS = ("per-layer", "cross-layer")
FRESH_SEED = 4242  # other documents than the training text
HERE = Path(__file__).parent


class Figures:
    """The measured lines: name, value, target, and whether it is met."""

    def __init__(self):
        self.lines: list[dict] = []

    def add(self, section: str, name: str, value: float, at_least: float | None = None, at_most: float | None = None) -> None:
        line = {"section": section, "name": name, "value": round(float(value), 6)}
        if at_least is not None:
            line |= {"target": f">= {at_least}", "met": bool(value >= at_least)}
        if at_most is not None:
            line |= {"target": f"<= {at_most}", "met": bool(value <= at_most)}
        self.lines.append(line)
        print(json.dumps(line, ensure_ascii=False), flush=True)


def accuracy_target(name: str) -> float | None:
    """The least accuracy asked for on a test set."""
    kind, split = name.split("/")
    if kind in PHRASINGS or kind in ("opposite", "translation", "giving"):
        return 0.98 if split == "phrasing" or split.endswith(" seen") else None
    return {"induction/test": 0.9, "sum/one digit": 0.99}.get(name)


def measure_accuracy(figures: Figures, model: Llama, tokenizer: Tokenizer, name: str, transcoders: TranscoderSet | None) -> None:
    """On the test sets, of the model itself or with all MLPs replaced by a set."""
    forward = model if transcoders is None else lambda ids: model(ids, transcoders.replacing_hook())
    section = "accuracy, the model itself" if transcoders is None else f"accuracy, all MLPs replaced, {name}"
    for test, value in accuracy(forward, tokenizer, test_sets(200)).items():
        least = accuracy_target(test)
        figures.add(section, test, value, at_least=least if transcoders is None or least is None else 0.95)


@torch.no_grad()
def measure_transcoders(figures: Figures, model: Llama, sets: dict[str, TranscoderSet], tokenizer: Tokenizer, documents: int = 1500) -> None:
    """Explained variance, active features, and cross-entropy with all MLPs replaced, on fresh documents."""
    generator = Generator(FRESH_SEED)
    rows = sorted((ids.tolist() for ids, _ in encode(tokenizer, [generator.document() for _ in range(documents)])), key=len)
    n_layers = model.configuration.n_layers
    outputs: list[list] = [[] for _ in range(n_layers)]
    errors = {name: [[] for _ in range(n_layers)] for name in sets}
    active = {name: [[] for _ in range(n_layers)] for name in sets}
    losses: dict[str, list] = {name: [] for name in ("itself", *sets)}
    for start in range(0, len(rows), 100):
        batch = rows[start:start + 100]
        longest = max(map(len, batch))
        ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in batch])
        is_text = torch.tensor([[0 < p < len(row) for p in range(longest)] for row in batch])
        current: dict[str, dict[int, torch.Tensor]] = {name: {} for name in sets}

        def hook(layer: int, mlp_in: torch.Tensor, mlp_out: torch.Tensor) -> torch.Tensor:
            outputs[layer].append(mlp_out[is_text])
            for name, transcoders in sets.items():
                current[name][layer] = transcoders.encode(layer, mlp_in[is_text])
                active[name][layer].append((current[name][layer] > 0).float().sum(1))
                errors[name][layer].append((mlp_out[is_text] - transcoders.reconstruct(layer, current[name])).pow(2).sum(1))
            return mlp_out

        for name, logits in [("itself", model(ids, hook))] + [(name, model(ids, t.replacing_hook())) for name, t in sets.items()]:
            loss = functional.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
            losses[name].append(loss[is_text[:, 1:]])
    own = torch.cat(losses["itself"]).mean()
    figures.add("cross-entropy", "the model itself", own)
    for name in sets:
        replaced = torch.cat(losses[name]).mean()
        figures.add("cross-entropy", f"all MLPs replaced, {name}", replaced)
        figures.add("cross-entropy", f"all MLPs replaced relative to the model's own, {name}", replaced / own, at_most=1.05)
        for layer in range(n_layers):
            y = torch.cat(outputs[layer])
            explained = 1 - torch.cat(errors[name][layer]).sum() / (y - y.mean(0)).pow(2).sum()
            figures.add(f"transcoders, {name}", f"variance explained, layer {layer}", explained, at_least=0.95)
        for layer in range(n_layers):
            figures.add(f"transcoders, {name}", f"active features per token, layer {layer}", torch.cat(active[name][layer]).mean(), at_most=25)


def measure_dead(figures: Figures, folder: Path, name: str) -> None:
    """A feature is dead if it has no record: it never fired on the documents (100,000) that the features are described on."""
    index = json.loads(gzip.decompress((folder / name / "features/index.json.gz").read_bytes()))
    for layer, entry in index.items():
        lengths = np.diff(entry["offsets"])
        figures.add(f"transcoders, {name}", f"dead features, layer {layer}", (lengths == 0).mean(), at_most=0.1)


def measure_graphs(figures: Figures, model: Llama, sets: dict[str, TranscoderSet], tokenizer: Tokenizer) -> tuple[list[dict], dict[str, dict]]:
    """Scores of the sample prompts' graphs, and how much influence each feature has over all samples."""
    rows, influences = [], {name: {} for name in sets}
    for sample in SAMPLES:
        ids = [0, *tokenizer.encode(sample.prompt).ids]
        row = {"prompt": sample.prompt, "answer": sample.answer}
        for name, transcoders in sets.items():
            graph = graph_of(model, transcoders, ids)
            row["says"] = tokenizer.decode([int(graph.targets[0])])
            row["is right"] = row["says"] in sample.answer.split("|")
            row["probability"] = round(float(graph.target_probabilities[0]), 4)
            row[f"replacement score, {name}"] = round(graph.replacement_score, 4)
            row[f"completeness score, {name}"] = round(graph.completeness_score, 4)
            row[f"active features, {name}"] = len(graph.features)
            with torch.no_grad():
                replaced = model(torch.tensor([ids]), transcoders.replacing_hook())[0, -1]
            row[f"stays when replaced, {name}"] = bool(replaced.argmax() == graph.targets[0])
            total = float(graph.influence[: len(graph.features)].sum())
            for (layer, _, feature), influence in zip(graph.features.tolist(), graph.influence.tolist()):
                key = (layer, feature)
                influences[name][key] = influences[name].get(key, 0.0) + influence / max(total, 1e-9)
        rows.append(row)
    figures.add("graphs", "sample prompts answered rightly (of 50)", sum(r["is right"] for r in rows))
    for name in sets:
        figures.add("graphs", f"median replacement score, {name}", median(r[f"replacement score, {name}"] for r in rows), at_least=0.9)
        figures.add("graphs", f"median completeness score, {name}", median(r[f"completeness score, {name}"] for r in rows), at_least=0.95)
        figures.add("graphs", f"sample prompts whose answer stays when all MLPs are replaced (of 50), {name}", sum(r[f"stays when replaced, {name}"] for r in rows))
    return rows, influences


def measure_circuit(figures: Figures, model: Llama, sets: dict[str, TranscoderSet], tokenizer: Tokenizer) -> dict:
    details = {}
    for name, transcoders in sets.items():
        section = f"two steps, {name}"
        phrasings = PHRASINGS[circuits.RELATION]
        on = lambda index: circuits.CityPrompts(model, transcoders, tokenizer, phrasings[index])
        prompts = on(0)
        selection, tests = [prompts, on(3)], [on(1), on(-1)]
        groups = circuits.groups_f1(selection, tests)
        figures.add(section, "F1 of the Texas group on two other phrasings", groups["Texas"]["f1"], at_least=0.9)
        figures.add(section, "median over states of the group's F1", median(group["f1"] for group in groups.values()))
        figures.add(section, "states whose group has an F1 of 0.9 or more (of 50)", sum(group["f1"] >= 0.9 for group in groups.values()))
        pairs = circuits.city_pairs(prompts)

        def moved(strength: float, **options) -> int:
            return sum(circuits.swap(prompts, s, t, strength, **options) == int(prompts.capital[t]) for s, t in pairs)

        for strength, least in ((1.0, 18), (2.0, 20)):
            figures.add(section, f"pairs of 20 whose answer becomes the other capital, strength ×{strength:g}", moved(strength), at_least=least)
        for strength in (1.0, 2.0):
            figures.add(section, f"control: pairs of 20 moved by features of no state, strength ×{strength:g}", moved(strength, is_control=True), at_most=0)
        for strength in (1.0, 2.0):
            figures.add(section, f"the same with narrower groups (four times as strong, on half of the cities): pairs of 20, strength ×{strength:g}", moved(strength, selectivity=circuits.NARROW))
        for what, share in circuits.first_hop_share(prompts, pairs).items():
            figures.add(section, f"share of the first hop that passes through the {what} at the city's token", share)
        details[name] = {"texas group": groups["Texas"], "pairs": [[circuits.CITIES[s], circuits.CITIES[t]] for s, t in pairs], "f1 of each state": {state: group["f1"] for state, group in groups.items()}}
    return details


def measure_files(figures: Figures, folder: Path) -> None:
    shipped = [f for part in ("model", *SETS) for f in (folder / part).rglob("*") if f.is_file()]
    for part in ("model", *SETS):
        figures.add("files", f"size of {part}, MB", sum(f.stat().st_size for f in shipped if folder / part in f.parents) / 1e6)
    figures.add("files", "size of all that is shipped, MB", sum(f.stat().st_size for f in shipped) / 1e6, at_most=20)
    started = time.time()
    load_model(folder / "model")
    for name in SETS:
        if (folder / name / "config.yaml").exists():
            load_set(folder / name)
    figures.add("files", "seconds to load model and sets (PyTorch, warm)", time.time() - started, at_most=1)


def measure_transformers(figures: Figures, folder: Path, model: Llama) -> None:
    """The folder read by Hugging Face transformers, against this project's own forward pass."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    theirs = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
    largest = 0.0
    with torch.no_grad():
        for sample in SAMPLES:
            ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer(sample.prompt, add_special_tokens=False)["input_ids"]]])
            largest = max(largest, float((theirs(ids).logits - model(ids)).abs().max()))
    figures.add("files", "largest difference of logits to Hugging Face transformers on the samples", largest, at_most=1e-4)


@torch.no_grad()
def measure_reference(figures: Figures, folder: Path, model: Llama, sets: dict[str, TranscoderSet], tokenizer: Tokenizer) -> None:
    """The sets read by circuit-tracer's own loaders, against this project's; left out where circuit-tracer is not installed."""
    try:
        from circuit_tracer.transcoder.cross_layer_transcoder import load_clt
        from circuit_tracer.transcoder.single_layer_transcoder import load_transcoder_set
    except ImportError:
        print("circuit-tracer is not installed: its loaders are not compared", flush=True)
        return
    hooks = {"feature_input_hook": "mlp.hook_in", "feature_output_hook": "mlp.hook_out", "scan": "built-in", "dtype": torch.float32, "device": torch.device("cpu"), "lazy_decoder": False}
    ids = torch.tensor([[0, *tokenizer.encode(SAMPLES[0].prompt).ids]])
    inputs: list[torch.Tensor] = []

    def hook(layer: int, mlp_in: torch.Tensor, mlp_out: torch.Tensor) -> torch.Tensor:
        inputs.append(mlp_in[0])
        return mlp_out

    model(ids, hook)
    for name, ours in sets.items():
        if ours.is_cross_layer:
            theirs = load_clt(str(folder / name), **hooks)
        else:
            theirs = load_transcoder_set({i: str(folder / name / f"layer_{i}.safetensors") for i in range(ours.n_layers)}, lazy_encoder=False, **hooks)
        activations = {layer: ours.encode(layer, x) for layer, x in enumerate(inputs)}
        outputs = torch.stack([ours.reconstruct(layer, activations) for layer in range(ours.n_layers)])
        their_activations = theirs.encode(torch.stack(inputs))
        their_outputs = theirs.decode(their_activations, None)
        scale = outputs.abs().max()
        figures.add("files", f"largest difference of activations to circuit-tracer's loader, {name}, relative", (their_activations - torch.stack(list(activations.values()))).abs().max() / scale, at_most=1e-4)
        figures.add("files", f"largest difference of reconstructions to circuit-tracer's loader, {name}, relative", (their_outputs - outputs).abs().max() / scale, at_most=1e-4)


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the weights that were measured."""
    weights = [f for part in ("model", *SETS) for f in sorted((folder / part).glob("*.safetensors"))]
    return {f"{f.parent.name}/{f.name}": hashlib.sha256(f.read_bytes()).hexdigest() for f in weights}


def read_record(folder: Path, name: str, layer: int, feature: int) -> dict | None:
    index = json.loads(gzip.decompress((folder / name / "features/index.json.gz").read_bytes()))
    entry = index[str(layer)]
    start, end = entry["offsets"][feature], entry["offsets"][feature + 1]
    if start == end:
        return None
    data = (folder / name / "features" / entry["filename"]).read_bytes()[start:end]
    (length,) = struct.unpack("<I", data[:4])
    return json.loads(gzip.decompress(data[4:4 + length]))


def write_blind_list(folder: Path, influences: dict[str, dict], path: Path) -> None:
    """50 features drawn at random among those that carry influence on the samples, with examples and no labels."""
    lines = ["# Fifty features, drawn at random", "",
             "Drawn among the features that together carry 90 % of the feature influence on the sample prompts (half from each set). Per feature its six top examples, the token it fires on in [ ].",
             "Judge for each: do the examples share an evident theme? The verdicts given so far are in `blind-verdicts.md`.", ""]
    rng = random.Random(11)
    for name, table in influences.items():
        ranked = sorted(table.items(), key=lambda item: -item[1])
        total, kept, running = sum(table.values()), [], 0.0
        for key, influence in ranked:
            if running > 0.9 * total:
                break
            running += influence
            kept.append(key)
        lines += [f"## {name} ({len(kept)} features carry 90 %)", ""]
        for layer, feature in sorted(rng.sample(kept, 50 // len(influences))):
            record = read_record(folder, name, layer, feature)
            lines.append(f"### layer {layer}, feature {feature}")
            lines.append("")
            for shown in (record["examples_quantiles"][0]["examples"][:6] if record else []):
                at = shown["train_token_ind"]
                before, token, after = "".join(shown["tokens"][:at]), shown["tokens"][at], "".join(shown["tokens"][at + 1:])
                lines.append("- " + (before + f" [{token.strip()}]" + after).strip().replace("\n", "⏎"))
            lines.append("")
    path.write_text("\n".join(lines))


def write_markdown(figures: Figures, rows: list[dict], details: dict, path: Path) -> None:
    with_target = [line for line in figures.lines if "met" in line]
    missed = [line for line in with_target if not line["met"]]
    lines = ["# The built-in model, measured", "", "Written by `python report.py`; the same figures are in `report.json`.", "",
             f"{len(with_target) - len(missed)} of {len(with_target)} figures meet the target they were built for.", ""]
    if missed:
        lines += ["## Missed targets", "", "| what | measured | target |", "|---|---|---|"]
        lines += [f"| {line['section']}: {line['name']} | {line['value']:g} | {line['target']} |" for line in missed] + [""]
    for section in dict.fromkeys(line["section"] for line in figures.lines):
        lines += [f"## {section[0].upper() + section[1:]}", "", "| what | measured | target |", "|---|---|---|"]
        lines += [f"| {line['name']} | {line['value']:g} | {line.get('target', '')} |" for line in figures.lines if line["section"] == section] + [""]
    for name, detail in details.items():
        group = ", ".join(f"layer {f['layer']} feature {f['feature']} ({f['place']})" for f in detail["texas group"]["features"])
        lines += [f"The Texas group of the {name} set: {group}.", ""]
    names = list(SETS)
    lines += ["## Sample prompts", "", "Scores of the whole graph, nothing pruned; position 0 has no features and no errors.", "",
              "| prompt | says | p | " + " | ".join(f"replacement, completeness ({name})" for name in names) + " |", "|---|---|---|" + "---|" * len(names)]
    for row in rows:
        mark = "" if row["is right"] else " (wrong)"
        scores = " | ".join(f"{row[f'replacement score, {n}']:.3f}, {row[f'completeness score, {n}']:.3f}" + ("" if row[f"stays when replaced, {n}"] else " (changes when replaced)") for n in names)
        lines.append(f"| {row['prompt']} | {row['says'].strip()}{mark} | {row['probability']:.3f} | {scores} |")
    path.write_text("\n".join(lines) + "\n")


def measure_part(part: str, folder: Path, work: Path) -> None:
    """Measures the model itself, or one set, and keeps the result in the work folder."""
    model = load_model(folder / "model")
    tokenizer = Tokenizer.from_file(str(folder / "model/tokenizer.json"))
    figures, result = Figures(), {}
    if part == "model":
        measure_accuracy(figures, model, tokenizer, part, None)
        measure_transformers(figures, folder, model)
    else:
        sets = {part: load_set(folder / part)}
        measure_accuracy(figures, model, tokenizer, part, sets[part])
        measure_transcoders(figures, model, sets, tokenizer)
        rows, influences = measure_graphs(figures, model, sets, tokenizer)
        result = {"samples": rows, "circuit": measure_circuit(figures, model, sets, tokenizer),
                  "influences": [[*key, influence] for key, influence in influences[part].items()]}
        measure_reference(figures, folder, model, sets, tokenizer)
    work.mkdir(parents=True, exist_ok=True)
    (work / f"report-{part}.json").write_text(json.dumps({"figures": figures.lines, **result}))


def combine(folder: Path, work: Path, out: Path) -> None:
    """Puts the measured parts together and writes the report."""
    parts = {part: json.loads((work / f"report-{part}.json").read_text()) for part in ("model", *SETS)}
    figures = Figures()
    for part in parts.values():
        figures.lines += [line for line in part["figures"] if line not in figures.lines]
    for name in SETS:
        measure_dead(figures, folder, name)
    verdicts = out / "blind-verdicts.md"
    if verdicts.exists():
        figures.add("blind list", "features of 50 whose top examples share an evident theme", verdicts.read_text().count("| yes |"), at_least=40)
    measure_files(figures, folder)
    rows = [{key: value for row in rows for key, value in row.items()} for rows in zip(*(parts[name]["samples"] for name in SETS))]
    details = {name: parts[name]["circuit"][name] for name in SETS}
    (out / "report.json").write_text(json.dumps({"version": 1, "figures": figures.lines, "files": hashes(folder), "samples": rows, "circuit": details}, indent=1, ensure_ascii=False) + "\n")
    write_markdown(figures, rows, details, out / "report.md")
    influences = {name: {(layer, feature): influence for layer, feature, influence in parts[name]["influences"]} for name in SETS}
    write_blind_list(folder, influences, out / "blind-list.md")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=HERE.parent, help="holds model/, per-layer/, cross-layer/")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--work", type=Path, default=HERE / ".cache")
    parser.add_argument("--part", choices=["model", *SETS, "combine"], help="measure only this, or only put together what is measured; without it everything is done")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for part in ("model", *SETS):
        if arguments.part in (None, part):
            measure_part(part, arguments.folder, arguments.work)
    if arguments.part in (None, "combine"):
        combine(arguments.folder, arguments.work, arguments.out)


if __name__ == "__main__":
    main()

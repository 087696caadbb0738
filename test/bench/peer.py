#!/usr/bin/env python3
"""Time circuit-tracer once, on the CPU in float32: from the loaded model to the pruned graph and its scores.

    python peer.py DIR --tokens 16 --features 1000 --batch 256 [--threads 2] [--save GRAPH.safetensors]

DIR is what `make_bench_model.py` wrote. Needs circuit-tracer, 0.4.1 from its own repository or 0.5.0. Prints one line, `RESULT {json}`: seconds and peak resident memory of this process.
One configuration a process, because the peer keeps memory between runs.
"""

import argparse
import inspect
import json
import os
import resource
import time
import warnings

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("dir")
parser.add_argument("--tokens", type=int, required=True)
parser.add_argument("--features", type=int, required=True, help="max_feature_nodes")
parser.add_argument("--batch", type=int, default=256)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--save", help="write the selected features and the adjacency matrix here")


def peak_bytes() -> int:
    """Peak resident memory of this process (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def load_model(folder: str, threads: int):
    """The peer's replacement model on its faster CPU backend (transformer-lens), built for a local Llama folder."""
    import torch
    from circuit_tracer.replacement_model.replacement_model_transformerlens import TransformerLensReplacementModel
    from circuit_tracer.transcoder.single_layer_transcoder import load_transcoder_set
    from transformer_lens import HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions.llama import convert_llama_weights
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(threads)
    cpu = torch.device("cpu")
    transcoder_dir, model_dir = f"{folder}/transcoders", f"{folder}/model"
    n_layers = len([name for name in os.listdir(transcoder_dir) if name.startswith("layer_")])
    transcoders = load_transcoder_set(
        {layer: f"{transcoder_dir}/layer_{layer}.safetensors" for layer in range(n_layers)},
        scan="example/bench",
        feature_input_hook="mlp.hook_in",
        feature_output_hook="mlp.hook_out",
        device=cpu,
        dtype=torch.float32,
        # a set without thresholds has ReLU; version 0.4.1 has to be told
        **({"activation": "relu"} if "activation" in inspect.signature(load_transcoder_set).parameters else {}),
        lazy_encoder=False,
        lazy_decoder=False,
    )
    hf = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    c = hf.config
    config = HookedTransformerConfig.from_dict(
        dict(
            d_model=c.hidden_size,
            d_head=c.head_dim,
            n_heads=c.num_attention_heads,
            d_mlp=c.intermediate_size,
            n_layers=c.num_hidden_layers,
            n_ctx=c.max_position_embeddings,
            eps=c.rms_norm_eps,
            d_vocab=c.vocab_size,
            n_key_value_heads=c.num_key_value_heads,
            normalization_type="RMS",
            positional_embedding_type="rotary",
            rotary_base=c.rope_theta,
            rotary_adjacent_pairs=False,
            rotary_dim=c.head_dim,
            final_rms=True,
            gated_mlp=True,
            original_architecture=c.architectures[0],
            model_name="bench",
            tokenizer_name=model_dir,
            device="cpu",
            dtype=torch.float32,
            init_weights=False,
            use_attn_scale=True,
            act_fn="silu",
        )
    )
    model = TransformerLensReplacementModel(config)
    model.load_state_dict(convert_llama_weights(hf, config), strict=False)
    model._configure_replacement_model(transcoders)
    return model


def main() -> None:
    arguments = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.filterwarnings("ignore")
    start = time.time()
    model = load_model(arguments.dir, arguments.threads)
    loaded, loaded_bytes = time.time() - start, peak_bytes()

    import torch
    from circuit_tracer import attribute
    from circuit_tracer.graph import compute_graph_scores, prune_graph

    ids = torch.tensor(json.load(open(f"{arguments.dir}/prompts.json"))[str(arguments.tokens)])
    start = time.time()
    graph = attribute(
        ids,
        model,
        max_n_logits=10,
        desired_logit_prob=0.95,
        batch_size=arguments.batch,
        max_feature_nodes=arguments.features,
        verbose=False,
    )
    attributed = time.time() - start
    pruned = prune_graph(graph)
    scores = compute_graph_scores(graph)
    total = time.time() - start
    if arguments.save:
        from safetensors.torch import save_file

        selected = graph.active_features[graph.selected_features]
        save_file(
            dict(
                selected=selected.int().contiguous(),
                adjacency=graph.adjacency_matrix.float().contiguous(),
                node_mask=pruned.node_mask.to(torch.uint8).contiguous(),
            ),
            arguments.save,
        )
    result = dict(
        tokens=arguments.tokens,
        features=arguments.features,
        batch=arguments.batch,
        threads=arguments.threads,
        active=len(graph.active_features),
        kept_nodes=int(pruned.node_mask.sum()),
        kept_edges=int(pruned.edge_mask.sum()),
        scores=[round(score, 4) for score in scores],
        seconds=dict(load=round(loaded, 2), attribute=round(attributed, 2), total=round(total, 2)),
        peak_bytes=dict(loaded=loaded_bytes, end=peak_bytes()),
    )
    print("RESULT " + json.dumps(result), flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Write a model of gemma-2-2b's exact layout (2.6 billion parameters, random bf16 weights, two shards) and per-layer
JumpReLU transcoders of 16,384 features a layer.

    python make_large_model.py DIR [--features 16384] [--active 50]

DIR/model        Gemma2ForCausalLM, 5.2 GB in model-0000{1,2}-of-00002.safetensors with an index; small byte-level tokenizer
DIR/transcoders  config.yaml + layer_{i}.safetensors, bf16, ln2.hook_normalized -> hook_mlp_out, 3.9 GB
DIR/prompts.json token ids of prompts of 16, 32 and 64 tokens

Deterministic (seeded by tensor name). The encoder's rows have unit length and its input has unit mean square, so that a
pre-activation is close to a standard normal and one threshold gives about --active features a layer and token.
Needs torch, safetensors and tokenizers; about 9.2 GB of disk and 2 GB of memory.
"""

import argparse
import json
import math
import os
import statistics
import zlib

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("dir")
parser.add_argument("--features", type=int, default=16384)
parser.add_argument("--active", type=float, default=50)
arguments = parser.parse_args()

LAYERS, WIDTH, MLP, HEADS, KEY_VALUE_HEADS, HEAD, VOCABULARY = 26, 2304, 9216, 8, 4, 256, 256000
config = dict(
    architectures=["Gemma2ForCausalLM"],
    model_type="gemma2",
    attention_bias=False,
    attn_logit_softcapping=50.0,
    final_logit_softcapping=30.0,
    bos_token_id=0,
    eos_token_id=0,
    pad_token_id=0,
    head_dim=HEAD,
    hidden_activation="gelu_pytorch_tanh",
    hidden_size=WIDTH,
    intermediate_size=MLP,
    max_position_embeddings=8192,
    num_attention_heads=HEADS,
    num_hidden_layers=LAYERS,
    num_key_value_heads=KEY_VALUE_HEADS,
    query_pre_attn_scalar=256,
    rms_norm_eps=1e-06,
    rope_theta=10000.0,
    sliding_window=4096,
    tie_word_embeddings=True,
    torch_dtype="bfloat16",
    vocab_size=VOCABULARY,
)


def random_tensor(name: str, shape: tuple[int, ...], scale: float) -> torch.Tensor:
    """A seeded normal tensor in bf16; the seed is the name's checksum, so that tensors do not depend on each other."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return (torch.randn(shape, generator=generator) * scale).to(torch.bfloat16)


def layer_tensors(layer: int) -> dict[str, torch.Tensor]:
    shapes = {
        "self_attn.q_proj": (HEADS * HEAD, WIDTH),
        "self_attn.k_proj": (KEY_VALUE_HEADS * HEAD, WIDTH),
        "self_attn.v_proj": (KEY_VALUE_HEADS * HEAD, WIDTH),
        "self_attn.o_proj": (WIDTH, HEADS * HEAD),
        "mlp.gate_proj": (MLP, WIDTH),
        "mlp.up_proj": (MLP, WIDTH),
        "mlp.down_proj": (WIDTH, MLP),
    }
    prefix = f"model.layers.{layer}."
    tensors = {
        f"{prefix}{name}.weight": random_tensor(f"{prefix}{name}", shape, 1 / math.sqrt(shape[1]))
        for name, shape in shapes.items()
    }
    for norm in ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"):
        tensors[f"{prefix}{norm}.weight"] = random_tensor(f"{prefix}{norm}", (WIDTH,), 0.2)
    return tensors


def write_model(folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    index = {}
    for shard, layers in enumerate((range(0, 12), range(12, LAYERS)), start=1):
        tensors = {}
        if shard == 1:
            tensors["model.embed_tokens.weight"] = random_tensor("embed", (VOCABULARY, WIDTH), 0.03)
        else:
            tensors["model.norm.weight"] = random_tensor("norm", (WIDTH,), 0.2)
        for layer in layers:
            tensors.update(layer_tensors(layer))
        name = f"model-{shard:05}-of-00002.safetensors"
        save_file(tensors, f"{folder}/{name}", metadata={"format": "pt"})
        index.update({key: name for key in tensors})
    with open(f"{folder}/model.safetensors.index.json", "w") as file:
        json.dump(dict(metadata={}, weight_map=index), file)
    with open(f"{folder}/config.json", "w") as file:
        json.dump(config, file, indent=1)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<bos>": 0, **{character: i + 1 for i, character in enumerate(alphabet)}}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<bos>"])
    tokenizer.save(f"{folder}/tokenizer.json")
    with open(f"{folder}/tokenizer_config.json", "w") as file:
        json.dump(dict(tokenizer_class="PreTrainedTokenizerFast", bos_token="<bos>", eos_token="<bos>"), file)


def write_transcoders(folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    threshold = statistics.NormalDist().inv_cdf(1 - arguments.active / arguments.features)
    for layer in range(LAYERS):
        shape = (arguments.features, WIDTH)
        tensors = {
            "W_enc": random_tensor(f"encoder {layer}", shape, 1 / math.sqrt(WIDTH)),
            "W_dec": random_tensor(f"decoder {layer}", shape, 0.3 / math.sqrt(WIDTH)),
            "b_enc": torch.zeros(arguments.features, dtype=torch.bfloat16),
            "b_dec": torch.zeros(WIDTH, dtype=torch.bfloat16),
            "activation_function.threshold": torch.full((arguments.features,), threshold).to(torch.bfloat16),
        }
        save_file(tensors, f"{folder}/layer_{layer}.safetensors")
    with open(f"{folder}/config.yaml", "w") as file:
        file.write(
            "model_name: bench-2.6b\nmodel_kind: transcoder_set\nfeature_input_hook: ln2.hook_normalized\n"
            "feature_output_hook: hook_mlp_out\nscan: example/bench-2.6b\n"
        )


write_model(f"{arguments.dir}/model")
write_transcoders(f"{arguments.dir}/transcoders")
generator = torch.Generator().manual_seed(20260103)
prompts = {str(n): [0] + torch.randint(1, 257, (n - 1,), generator=generator).tolist() for n in (16, 32, 64)}
with open(f"{arguments.dir}/prompts.json", "w") as file:
    json.dump(prompts, file)
print("wrote", arguments.dir)

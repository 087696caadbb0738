"""The attribution graph of a prompt and its scores, in plain PyTorch: the report's own reference.

Attention patterns and norm denominators are constants, MLPs pass nothing on; every source is carried forward through
what is left, which is linear. Position 0 (`<bos>`) has neither features nor errors.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from model import Llama
from transcoders import TranscoderSet


@dataclass
class Graph:
    features: Tensor  # [active, 3]: layer, position, feature
    activations: Tensor  # [active]
    targets: Tensor  # token ids
    target_probabilities: Tensor
    adjacency: Tensor  # [node, node], row = target, column = source; features, errors, tokens, targets
    influence: Tensor  # [node]
    replacement_score: float
    completeness_score: float


@torch.no_grad()
def graph_of(model: Llama, transcoders: TranscoderSet, ids: list[int], max_targets: int = 10, probability: float = 0.95) -> Graph:
    c = model.configuration
    n_pos = len(ids)
    cosine, sine = model.cosine[:n_pos], model.sine[:n_pos]
    blocks = model.model.layers

    # the run itself, keeping what will be frozen
    tokens = model.model.embed_tokens(torch.tensor([ids]))  # [1, pos, dModel]
    residual = tokens
    patterns, attention_scales, mlp_scales, activations, errors = [], [], [], {}, []
    for layer, block in enumerate(blocks):
        attention_in = block.input_layernorm(residual)
        patterns.append(block.self_attn.pattern(attention_in, cosine, sine)[0])
        attention_scales.append(block.input_layernorm.scale(residual)[0])
        residual = residual + block.self_attn(attention_in, cosine, sine)
        mlp_scales.append(block.post_attention_layernorm.scale(residual)[0])
        mlp_in = block.post_attention_layernorm(residual)
        mlp_out = block.mlp(mlp_in)
        activations[layer] = transcoders.encode(layer, mlp_in)[0]
        activations[layer][0] = 0
        error = mlp_out[0] - transcoders.reconstruct(layer, activations)
        error[0] = 0
        errors.append(error)
        residual = residual + mlp_out
    final_scale = model.model.norm.scale(residual)[0, -1]
    probabilities = model.lm_head(model.model.norm(residual))[0, -1].softmax(-1)
    ranked = probabilities.sort(descending=True)
    n_targets = min(max_targets, int((ranked.values.cumsum(0) < probability).sum()) + 1)
    targets, weights = ranked.indices[:n_targets], ranked.values[:n_targets]

    features = torch.cat([torch.cat([torch.full((len(where), 1), layer), where], 1) for layer in range(c.n_layers) for where in [activations[layer].nonzero()]])
    values = torch.stack([activations[int(l)][p, f] for l, p, f in features]) if len(features) else torch.zeros(0)
    n_features, n_errors = len(features), c.n_layers * n_pos
    n_sources = n_features + n_errors + n_pos
    adjacency = torch.zeros(n_sources + n_targets, n_sources + n_targets)

    # every source at once, carried forward: [source, pos, dModel]
    carried = torch.zeros(n_sources, n_pos, c.d_model)
    for position in range(n_pos):
        carried[n_features + n_errors + position, position] = tokens[0, position]
    for layer, block in enumerate(blocks):
        attended = carried * attention_scales[layer] * block.input_layernorm.weight
        v = block.self_attn.heads(block.self_attn.v_proj(attended))
        mixed = (patterns[layer] @ v).transpose(1, 2).reshape(carried.shape)
        carried = carried + block.self_attn.o_proj(mixed)
        of_layer = (features[:, 0] == layer).nonzero()[:, 0]
        read = carried * mlp_scales[layer] * block.post_attention_layernorm.weight
        for position in features[of_layer, 1].unique().tolist():
            rows = of_layer[features[of_layer, 1] == position]
            adjacency[rows, :n_sources] = transcoders.encoder[layer][features[rows, 2]] @ read[:, position].T
        for source_layer, decoder in transcoders.writes_to(layer):
            rows = (features[:, 0] == source_layer).nonzero()[:, 0]
            carried[rows, features[rows, 1]] += values[rows, None] * decoder[features[rows, 2]]
        for position in range(n_pos):
            carried[n_features + layer * n_pos + position, position] += errors[layer][position]
    final = carried[:, -1] * final_scale * model.model.norm.weight
    unembedding = model.lm_head.weight
    adjacency[n_sources:, :n_sources] = (unembedding[targets] - unembedding.mean(0)) @ final.T

    # influence = w M + w M² + ..., M the absolute adjacency with rows summing to one
    normalised = adjacency.abs()
    normalised = normalised / normalised.sum(1, keepdim=True).clamp_min(1e-10)
    weight = torch.zeros(len(adjacency))
    weight[n_sources:] = weights
    influence, step = torch.zeros_like(weight), weight
    for _ in range(c.n_layers + 2):
        step = step @ normalised
        influence = influence + step
    error_nodes = slice(n_features, n_features + n_errors)
    of_tokens, of_errors = influence[n_features + n_errors:n_sources].sum(), influence[error_nodes].sum()
    from_errors = normalised[:, error_nodes].sum(1)
    importance = influence + weight
    completeness = ((1 - from_errors) * importance).sum() / importance.sum()
    return Graph(features, values, targets, weights, adjacency, influence, float(of_tokens / (of_tokens + of_errors)), float(completeness))

"""The built-in model in plain PyTorch: the Llama layout, with parameter names as Hugging Face transformers has them.

    residual = embedding[token]
    per layer: residual += attention(norm(residual)); residual += mlp(norm(residual))
    logits = unembedding · norm(residual)
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import torch
import torch.nn.functional as functional
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

# (layer, input of the MLP, output of the MLP) -> what is added to the residual stream instead
MlpHook = Callable[[int, Tensor, Tensor], Tensor]
# (layer, hidden units of the MLP, residual stream before the MLP)
MlpWatch = Callable[[int, Tensor, Tensor], None]


@dataclass(frozen=True)
class Configuration:
    n_layers: int = 4
    d_model: int = 128
    n_heads: int = 4
    d_mlp: int = 512
    d_vocab: int = 0
    norm_epsilon: float = 1e-5
    rope_theta: float = 10000.0
    max_positions: int = 512

    @property
    def d_head(self) -> int:
        return self.d_model // self.n_heads

    def to_hugging_face(self) -> dict:
        return {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": self.d_vocab, "hidden_size": self.d_model,
            "intermediate_size": self.d_mlp, "num_hidden_layers": self.n_layers, "num_attention_heads": self.n_heads,
            "num_key_value_heads": self.n_heads, "head_dim": self.d_head, "hidden_act": "silu", "rms_norm_eps": self.norm_epsilon,
            "rope_theta": self.rope_theta, "max_position_embeddings": self.max_positions, "attention_bias": False, "mlp_bias": False,
            "tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0, "torch_dtype": "float16",
        }

    @staticmethod
    def from_hugging_face(config: dict) -> "Configuration":
        return Configuration(config["num_hidden_layers"], config["hidden_size"], config["num_attention_heads"], config["intermediate_size"],
                             config["vocab_size"], config["rms_norm_eps"], config["rope_theta"], config["max_position_embeddings"])


class Norm(nn.Module):
    def __init__(self, d_model: int, epsilon: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), self.weight, self.epsilon)

    def scale(self, x: Tensor) -> Tensor:
        """1 / root mean square: what a frozen norm multiplies by. [..., 1]"""
        return (x.pow(2).mean(-1, keepdim=True) + self.epsilon).rsqrt()


class Attention(nn.Module):
    def __init__(self, c: Configuration):
        super().__init__()
        self.n_heads, self.d_head = c.n_heads, c.d_head
        self.q_proj = nn.Linear(c.d_model, c.d_model, bias=False)
        self.k_proj = nn.Linear(c.d_model, c.d_model, bias=False)
        self.v_proj = nn.Linear(c.d_model, c.d_model, bias=False)
        self.o_proj = nn.Linear(c.d_model, c.d_model, bias=False)

    def heads(self, x: Tensor) -> Tensor:
        """[batch, pos, dModel] -> [batch, head, pos, dHead]"""
        return x.view(*x.shape[:2], self.n_heads, self.d_head).transpose(1, 2)

    def rotate(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        half = self.d_head // 2
        return (x * cosine + torch.cat((-x[..., half:], x[..., :half]), -1) * sine)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        # spelled out: for texts this short PyTorch's fused attention takes half of a training step on a CPU
        v = self.heads(self.v_proj(x))
        mixed = self.pattern(x, cosine, sine).to(v.dtype) @ v
        return self.o_proj(mixed.transpose(1, 2).reshape(x.shape))

    def pattern(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Attention weights [batch, head, query, key]."""
        q = self.rotate(self.heads(self.q_proj(x)), cosine, sine)
        k = self.rotate(self.heads(self.k_proj(x)), cosine, sine)
        future = torch.full((x.shape[1], x.shape[1]), -torch.inf).triu(1)
        return (q @ k.transpose(-1, -2) / self.d_head**0.5 + future).softmax(-1)


class Mlp(nn.Module):
    def __init__(self, c: Configuration):
        super().__init__()
        self.gate_proj = nn.Linear(c.d_model, c.d_mlp, bias=False)
        self.up_proj = nn.Linear(c.d_model, c.d_mlp, bias=False)
        self.down_proj = nn.Linear(c.d_mlp, c.d_model, bias=False)

    def hidden(self, x: Tensor) -> Tensor:
        return functional.silu(self.gate_proj(x)) * self.up_proj(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(self.hidden(x))


class Block(nn.Module):
    def __init__(self, c: Configuration):
        super().__init__()
        self.self_attn = Attention(c)
        self.mlp = Mlp(c)
        self.input_layernorm = Norm(c.d_model, c.norm_epsilon)
        self.post_attention_layernorm = Norm(c.d_model, c.norm_epsilon)


class Trunk(nn.Module):
    def __init__(self, c: Configuration):
        super().__init__()
        self.embed_tokens = nn.Embedding(c.d_vocab, c.d_model)
        self.layers = nn.ModuleList(Block(c) for _ in range(c.n_layers))
        self.norm = Norm(c.d_model, c.norm_epsilon)


class Llama(nn.Module):
    def __init__(self, c: Configuration):
        super().__init__()
        self.configuration = c
        self.model = Trunk(c)
        self.lm_head = nn.Linear(c.d_model, c.d_vocab, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.05 if "embed" in name else 0.02)
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter.data /= (2 * c.n_layers) ** 0.5
        frequencies = 1 / c.rope_theta ** (torch.arange(0, c.d_head, 2) / c.d_head)
        angles = torch.outer(torch.arange(c.max_positions).float(), frequencies)
        angles = torch.cat((angles, angles), -1)  # [pos, dHead]
        self.register_buffer("cosine", angles.cos(), persistent=False)
        self.register_buffer("sine", angles.sin(), persistent=False)

    def final_residual(self, ids: Tensor, mlp_hook: MlpHook | None = None, watch: MlpWatch | None = None) -> Tensor:
        """The residual stream after the last layer, normed. [batch, pos, dModel]"""
        residual = self.model.embed_tokens(ids)
        cosine, sine = self.cosine[: ids.shape[1]], self.sine[: ids.shape[1]]
        for layer, block in enumerate(self.model.layers):
            residual = residual + block.self_attn(block.input_layernorm(residual), cosine, sine)
            mlp_in = block.post_attention_layernorm(residual)
            hidden = block.mlp.hidden(mlp_in)
            if watch is not None:
                watch(layer, hidden, residual)
            mlp_out = block.mlp.down_proj(hidden)
            residual = residual + (mlp_out if mlp_hook is None else mlp_hook(layer, mlp_in, mlp_out))
        return self.model.norm(residual)

    def forward(self, ids: Tensor, mlp_hook: MlpHook | None = None) -> Tensor:
        """Logits [batch, pos, dVocab]."""
        return self.lm_head(self.final_residual(ids, mlp_hook))


def save_model(model: Llama, folder: Path) -> None:
    """config.json and model.safetensors (float16), as transformers reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.half().contiguous() for name, value in model.state_dict().items()}, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(model.configuration.to_hugging_face(), indent=2) + "\n")


def load_model(folder: Path) -> Llama:
    """The model of a folder, computing in float32, without gradients."""
    model = Llama(Configuration.from_hugging_face(json.loads((folder / "config.json").read_text())))
    model.load_state_dict({name: value.float() for name, value in load_file(folder / "model.safetensors").items()})
    return model.eval().requires_grad_(False)

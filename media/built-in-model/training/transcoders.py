"""Transcoder sets: reading and writing the published on-disk formats, encoding, decoding.

Per layer ("transcoder_set"): feature f of layer l reads the MLP's input at l and writes to its output at l.
Cross layer ("cross_layer_transcoder"): it reads at l and writes to the outputs of all layers l, l + 1, ...
Both are JumpReLU: activation = pre-activation where it is above the feature's threshold, else 0.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from model import Llama, MlpHook


@dataclass
class TranscoderSet:
    encoder: list[Tensor]  # per layer [feature, dModel]
    encoder_bias: list[Tensor]  # per layer [feature]
    threshold: list[Tensor]  # per layer [feature]
    decoder: list[list[Tensor]]  # [layer][j] writes to layer + j: [feature, dModel]; per layer only j = 0
    decoder_bias: list[Tensor]  # per written layer [dModel]
    is_cross_layer: bool

    @property
    def n_layers(self) -> int:
        return len(self.encoder)

    @property
    def n_features(self) -> int:
        return self.encoder[0].shape[0]

    def encode(self, layer: int, mlp_in: Tensor) -> Tensor:
        """[..., dModel] -> activations [..., feature]"""
        pre_activation = mlp_in @ self.encoder[layer].T + self.encoder_bias[layer]
        return pre_activation * (pre_activation > self.threshold[layer])

    def writes_to(self, layer: int) -> list[tuple[int, Tensor]]:
        """(layer of the features, decoder) of all that write to this layer's MLP output."""
        if not self.is_cross_layer:
            return [(layer, self.decoder[layer][0])]
        return [(source, self.decoder[source][layer - source]) for source in range(layer + 1)]

    def reconstruct(self, layer: int, activations: dict[int, Tensor]) -> Tensor:
        """The MLP output of a layer from the activations of this layer (and those below)."""
        return self.decoder_bias[layer] + sum(activations[source] @ decoder for source, decoder in self.writes_to(layer))

    def replacing_hook(self) -> MlpHook:
        """Replaces every MLP by the transcoders, except at position 0 (`<bos>`), which has no features."""
        activations: dict[int, Tensor] = {}

        def hook(layer: int, mlp_in: Tensor, mlp_out: Tensor) -> Tensor:
            activations[layer] = self.encode(layer, mlp_in)
            replaced = self.reconstruct(layer, activations)
            replaced[:, 0] = mlp_out[:, 0]
            return replaced

        return hook

    def total_write(self, layer: int) -> Tensor:
        """What a feature writes over all layers together. [feature, dModel]"""
        return torch.stack(self.decoder[layer]).sum(0)


def save_set(transcoders: TranscoderSet, folder: Path, model_name: str, scan: str) -> None:
    """Writes config.yaml and float16 weights; old weights in the folder are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.safetensors"):
        old.unlink()
    kind = "cross_layer_transcoder" if transcoders.is_cross_layer else "transcoder_set"
    (folder / "config.yaml").write_text(f"model_name: {model_name}\nmodel_kind: {kind}\nfeature_input_hook: mlp.hook_in\nfeature_output_hook: mlp.hook_out\nscan: {scan}\n")
    stored = lambda tensor: tensor.detach().half().contiguous()
    for i in range(transcoders.n_layers):
        encoder, bias, threshold = stored(transcoders.encoder[i]), stored(transcoders.encoder_bias[i]), stored(transcoders.threshold[i])
        decoder_bias = stored(transcoders.decoder_bias[i])
        if transcoders.is_cross_layer:
            save_file({f"W_enc_{i}": encoder, f"b_enc_{i}": bias, f"b_dec_{i}": decoder_bias, f"threshold_{i}": threshold}, folder / f"W_enc_{i}.safetensors")
            save_file({f"W_dec_{i}": stored(torch.stack(transcoders.decoder[i], dim=1))}, folder / f"W_dec_{i}.safetensors")
        else:
            save_file({"W_enc": encoder, "b_enc": bias, "W_dec": stored(transcoders.decoder[i][0]), "b_dec": decoder_bias, "activation_function.threshold": threshold}, folder / f"layer_{i}.safetensors")
    for file in folder.glob("*.safetensors"):
        file.chmod(0o644)


def load_set(folder: Path) -> TranscoderSet:
    """A set of either kind, in float32."""
    read = lambda path: {name: tensor.float() for name, tensor in load_file(path).items()}
    is_cross_layer = (folder / "W_enc_0.safetensors").exists()
    result = TranscoderSet([], [], [], [], [], is_cross_layer)
    n_layers = len(list(folder.glob("W_enc_*.safetensors" if is_cross_layer else "layer_*.safetensors")))
    for i in range(n_layers):
        if is_cross_layer:
            file = read(folder / f"W_enc_{i}.safetensors") | read(folder / f"W_dec_{i}.safetensors")
            encoder, bias, decoder_bias = file[f"W_enc_{i}"], file[f"b_enc_{i}"], file[f"b_dec_{i}"]
            threshold = file.get(f"threshold_{i}")
            decoders = list(file[f"W_dec_{i}"].unbind(1))
        else:
            file = read(folder / f"layer_{i}.safetensors")
            encoder, bias, decoder_bias = file["W_enc"], file["b_enc"], file["b_dec"]
            threshold = file.get("activation_function.threshold")
            decoders = [file["W_dec"]]
        result.encoder.append(encoder)
        result.encoder_bias.append(bias)
        result.threshold.append(torch.zeros_like(bias) if threshold is None else threshold)
        result.decoder.append([d.contiguous() for d in decoders])
        result.decoder_bias.append(decoder_bias)
    return result


@torch.no_grad()
def activations_of(model: Llama, transcoders: TranscoderSet, ids: Tensor) -> tuple[list[Tensor], Tensor]:
    """Activations per layer [batch, pos, feature] on the model as it is (0 at position 0), and the logits."""
    activations: list[Tensor] = []

    def hook(layer: int, mlp_in: Tensor, mlp_out: Tensor) -> Tensor:
        active = transcoders.encode(layer, mlp_in)
        active[:, 0] = 0
        activations.append(active)
        return mlp_out

    logits = model(ids, hook)
    return activations, logits

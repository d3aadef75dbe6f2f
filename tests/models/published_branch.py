"""diffSOD's condition branch under the authors' names: what their file holds, and what it computes, for small sizes.

Written from the published description alone, one formula after the other, and slow.
"""

import math
from collections.abc import Callable

import timm
import torch
from torch import Tensor
from torch.nn import functional as F

State = dict[str, Tensor]
Fill = Callable[[str, tuple[int, ...]], Tensor]


def published_state(sizes: dict[str, object], fill: Fill, classes: int) -> State:
    """Every tensor of the .pth file: the backbone twice, with its classifier, six heads, two decoders, the fusion."""
    names = {"layers": tuple(sizes["layers"]), "channels": tuple(sizes["channels"]), "stem_width": sizes["stem_width"]}
    with torch.device("meta"):
        network = timm.create_model("res2net101d", num_classes=classes, **names)
    state = {f"backbone_original.{key}": fill(key, tuple(value.shape)) for key, value in network.state_dict().items()}
    state |= {key.replace("_original", "_x"): value for key, value in state.items()}
    widths = fine, middle, coarse = sizes["widths"]
    inputs = [4 * channels for channels in sizes["channels"][1:]]
    both, everything = middle + coarse, fine + middle + coarse
    decoder = {
        "conv_upsample1": (coarse, middle),
        "conv_upsample2": (coarse, fine),
        "conv_upsample3": (middle, fine),
        "conv_upsample4": (coarse, coarse),
        "conv_upsample5": (both, both),
        "conv_concat2": (both, both),
        "conv_concat3": (everything, everything),
        "conv_last": (everything, coarse),
    }
    for stream in ("original", "x"):
        for number, (source, width) in enumerate(zip(inputs, widths, strict=True), 1):
            state |= _conv_bn(f"{stream}_rfb{number}.ff", 0, source, width, fill)
            state |= _conv_bn(f"{stream}_rfb{number}.ff", 3, width, width, fill)
        for name, (source, width) in decoder.items():
            state |= _conv_bn(f"agg_{stream}.{name}", 0, source, width, fill)
    shapes = {"layer_scale_1": (coarse,), "layer_scale_2": (coarse,)}
    for name, source, width in (
        *((name, coarse, coarse) for name in ("q", "q_cut", "a", "l", "kv", "e_fore", "e_back")),
        ("proj", 3 * coarse, coarse),
        ("short_cut_linear", 2 * coarse, coarse),
    ):
        shapes |= {f"attn.{name}.weight": (width, source), f"attn.{name}.bias": (width,)}
    for name in ("conv", "e_conv"):
        shapes |= {f"attn.{name}.weight": (coarse, 1, 7, 7), f"attn.{name}.bias": (coarse,)}
    for name in ("attn.norm", "attn.norm_e", "mlp.norm"):
        shapes |= {f"{name}.weight": (coarse,), f"{name}.bias": (coarse,)}
    shapes |= {"mlp.fc1.weight": (4 * coarse, coarse), "mlp.fc1.bias": (4 * coarse,)}
    shapes |= {"mlp.pos.weight": (4 * coarse, 1, 3, 3), "mlp.pos.bias": (4 * coarse,)}
    shapes |= {"mlp.fc2.weight": (coarse, 4 * coarse), "mlp.fc2.bias": (coarse,)}
    return state | {f"afim.{key}": fill(key, shape) for key, shape in shapes.items()}


def _conv_bn(prefix: str, first: int, inputs: int, outputs: int, fill: Fill) -> State:
    shapes = {f"{first}.weight": (outputs, inputs, 3, 3), f"{first}.bias": (outputs,)}
    shapes |= {f"{first + 1}.{key}": (outputs,) for key in ("weight", "bias", "running_mean", "running_var")}
    shapes[f"{first + 1}.num_batches_tracked"] = ()
    return {f"{prefix}.{key}": fill(key, shape) for key, shape in shapes.items()}


def small_values(seed: int) -> Fill:
    """Random values of a trained network's sizes; the fusion counts for something."""
    generator = torch.Generator().manual_seed(seed)

    def fill(key: str, shape: tuple[int, ...]) -> Tensor:
        if key.endswith("num_batches_tracked"):
            return torch.tensor(1)
        value = torch.randn(shape, generator=generator)
        if len(shape) >= 2:
            return value * math.sqrt(2 / math.prod(shape[1:]))
        if key.endswith("running_var"):
            return 1 + 0.2 * value.abs()
        return 0.5 + 0.1 * value if "scale" in key or key.endswith("weight") else 0.1 * value

    return fill


def published_features(state: State, image_levels: list[Tensor], x_levels: list[Tensor], heads: int) -> Tensor:
    """features_BChw of the backbone's features of image and x, batch norms by their running statistics."""
    streams = [
        _decode(state, stream, [_expand(state, f"{stream}_rfb{n}.ff", level) for n, level in enumerate(levels, 1)])
        for stream, levels in (("original", image_levels), ("x", x_levels))
    ]
    return _afim({key.removeprefix("afim."): value for key, value in state.items()}, *streams, heads)


def _cbr(state: State, prefix: str, x: Tensor, first: int = 0) -> Tensor:
    x = F.conv2d(x, state[f"{prefix}.{first}.weight"], state[f"{prefix}.{first}.bias"], padding=1)
    norm = {key: state[f"{prefix}.{first + 1}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")}
    return F.batch_norm(x, **norm).relu()


def _expand(state: State, prefix: str, x: Tensor) -> Tensor:
    return _cbr(state, prefix, _cbr(state, prefix, x), first=3)


def _decode(state: State, stream: str, levels: list[Tensor]) -> Tensor:
    def conv(name: str, x: Tensor) -> Tensor:
        return _cbr(state, f"agg_{stream}.conv_{name}", x)

    def up(x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)

    e2, e3, e4 = levels
    p3 = conv("upsample1", up(e4)) * e3
    p2 = conv("upsample2", up(up(e4))) * conv("upsample3", up(e3)) * e2
    q3 = conv("concat2", torch.cat([p3, conv("upsample4", up(e4))], 1))
    return conv("last", conv("concat3", torch.cat([p2, conv("upsample5", up(q3))], 1)))


def _afim(state: State, x_BCHW: Tensor, e_BCHW: Tensor, heads: int) -> Tensor:
    def linear(name: str, value: Tensor) -> Tensor:
        return value @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def norm(name: str, value: Tensor) -> Tensor:
        centred = value - value.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]

    def depthwise(name: str, value: Tensor) -> Tensor:
        weight = state[f"{name}.weight"]
        merged = F.conv2d(
            value.movedim(-1, 1), weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2, groups=len(weight)
        )
        return merged.movedim(1, -1)

    x, e = x_BCHW.movedim(1, -1), e_BCHW.movedim(1, -1)
    batch, height, width, channels = x.shape
    part = channels // heads // 2
    xn, en = norm("attn.norm", x), norm("attn.norm_e", e)
    gate = F.gelu(linear("attn.l", xn))
    local = linear("attn.q", xn) * linear("attn.a", depthwise("attn.conv", gate))
    cross = linear("attn.q_cut", xn) * linear("attn.e_back", depthwise("attn.e_conv", linear("attn.e_fore", en)))
    cells = F.adaptive_avg_pool2d(torch.cat([xn, en], -1).movedim(-1, 1), 7).movedim(1, -1)
    query = linear("attn.short_cut_linear", cells)
    pairs = linear("attn.kv", gate).reshape(batch, height * width, channels)
    answers = torch.zeros(batch, channels, 7, 7)
    # A cell's query has two halves; a head reads its part of either, and writes the two answers side by side.
    for head in range(heads):
        keys = pairs[:, :, head * part : (head + 1) * part]
        values = pairs[:, :, channels // 2 + head * part : channels // 2 + (head + 1) * part]
        for half in range(2):
            start = half * channels // 2 + head * part
            scores = torch.einsum("bhwp,bnp->bhwn", query[..., start : start + part], keys) / math.sqrt(part)
            place = head * 2 * part + half * part
            answers[:, place : place + part] = torch.einsum("bhwn,bnp->bphw", scores.softmax(-1), values)
    wide = F.interpolate(answers, size=(height, width), mode="bilinear", align_corners=False).movedim(1, -1)
    y = x + state["layer_scale_1"] * linear("attn.proj", torch.cat([local, wide, cross], -1))
    hidden = linear("mlp.fc1", norm("mlp.norm", y))
    y = y + state["layer_scale_2"] * linear("mlp.fc2", F.gelu(hidden + depthwise("mlp.pos", hidden)))
    return y.movedim(-1, 1)

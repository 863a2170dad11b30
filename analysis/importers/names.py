"""Names of the published networks' weights, and ours.

==========  ================================  ============================================================
published   SGMSE, SGMSE-BBED, StoRM          EDM paper code
==========  ================================  ============================================================
order       ``all_modules.N``, one list in    ``encoder.LEVEL.unet_blocks.N``, ``aux_downs.LEVEL``, ... ,
            the order of execution            by place
block       ``GroupNorm_0 Conv_0 Dense_0      ``norm_1 conv_1 linear norm_2 conv_2 skip_conv``
            GroupNorm_1 Conv_1 Conv_2``
attention   ``GroupNorm_0 NIN_0 ... NIN_3``   ``attn.norm attn.conv_query ... attn.conv_out``
==========  ================================  ============================================================

The size of the network is read off the weights' names and shapes, so no setting of the training has to be trusted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from analysis.errors import ArgumentError, check
from analysis.networks import NCSNppConfig

__all__ = ["FIXED", "edm_config", "edm_weights", "sgmse_config", "sgmse_weights"]

#: Ends of the names that training doesn't change; an average of the weights may leave them out.
FIXED = ("all_modules.0.W", "fourier_proj.b", "resampler.kernel")

Shapes = Mapping[str, tuple[int, ...]]
BLOCK = {
    **{"GroupNorm_0": "norm1", "Conv_0": "conv1", "Dense_0": "embed"},
    **{"GroupNorm_1": "norm2", "Conv_1": "conv2", "Conv_2": "shortcut"},
}
ATTENTION = {"GroupNorm_0": "norm", "NIN_0": "query", "NIN_1": "key", "NIN_2": "value", "NIN_3": "out"}
COMBINE = {"Conv_0": ""}
UNUSED = {("", "W"), ("Dense_0", "weight"), ("Dense_0", "bias")}  # carried along where there is no noise condition
PLAIN = {"": ""}


# -- SGMSE ----------------------------------------------------------------------------------------
def sgmse_places(config: NCSNppConfig) -> list[tuple[str, dict[str, str]]]:
    """Our module and the names inside it for each entry of ``all_modules``, in order."""
    places = [("encoder.embedding", {"W": "frequencies"})]
    if config.conditional:
        places += [("encoder.embedding.linear1", PLAIN), ("encoder.embedding.linear2", PLAIN)]
    places.append(("encoder.first", PLAIN))
    levels = len(config.multipliers)
    attended = [config.bins >> level in config.attention for level in range(levels)]
    for level in range(levels):
        path = f"encoder.levels.{level}"
        for index in range(config.blocks):
            places.append((f"{path}.blocks.{index}", BLOCK))
            places += [(f"{path}.attention.{index}", ATTENTION)] if attended[level] else []
        if level < levels - 1:
            places.append((f"{path}.shrink", BLOCK))
            places += [(f"{path}.combine", COMBINE)] if config.input_pyramid else []
    middle = [("encoder.attention", ATTENTION)] if config.middle_attention else []
    places += [("encoder.middle1", BLOCK), *middle, ("encoder.middle2", BLOCK)]
    for level in range(levels):
        path, top = f"decoder.levels.{level}", level == levels - 1
        places += [(f"{path}.enlarge", BLOCK)] if level else []
        places += [(f"{path}.blocks.{index}", BLOCK) for index in range(config.blocks + 1)]
        places += [(f"{path}.attention", ATTENTION)] if attended[levels - 1 - level] else []
        places += [(f"{path}.norm", PLAIN), (f"{path}.share", PLAIN)] if config.output_pyramid or top else []
    return places


def sgmse_kinds(shapes: Shapes) -> str:
    """One letter for each entry of ``all_modules``: F, L, C, R, A, P, G as in :func:`sgmse_config`."""
    entries: dict[int, dict[str, tuple]] = {}
    for name, shape in shapes.items():
        if found := re.fullmatch(r"all_modules\.(\d+)\.(.+)", name):
            entries.setdefault(int(found[1]), {})[found[2]] = tuple(shape)
    known = list(entries) and sorted(entries) == list(range(len(entries)))
    check(bool(known), "checkpoint", "weights without a list all_modules", "an NCSN++ of SGMSE, BBED or StoRM")
    kinds = ""
    for _, names in sorted(entries.items()):
        if "NIN_0.W" in names:
            kinds += "A"
        elif "GroupNorm_1.weight" in names:
            kinds += "R"
        elif "Conv_0.weight" in names:
            kinds += "P"
        elif "W" in names:
            kinds += "F"
        else:
            kinds += {1: "G", 2: "L", 4: "C"}.get(len(names.get("weight", ())), "?")
    return kinds


def sgmse_config(shapes: Shapes, bins: int) -> NCSNppConfig:
    """Size of a published network from its weights' shapes (names without ``dnn.``).

    The list reads F(ourier) L(inear) L C(onvolution), then on the way down R(esidual block), A(ttention) and
    P(yramid), at the bottom RAR, on the way up R, A and the pairs G(roup norm) C. With L resolutions of b blocks there
    are L (2 b + 3) blocks, L - 1 of P and L of G.
    """
    kinds = sgmse_kinds(shapes)
    blocks = [index for index, kind in enumerate(kinds) if kind == "R"]
    levels = kinds.count("P") + 1 if "P" in kinds else kinds.count("G")
    count = (len(blocks) / levels - 3) / 2 if levels else 0
    usual = kinds.startswith("F") and "C" in kinds and count == int(count) >= 1
    check(usual, "checkpoint", f"the modules {kinds}", "an NCSN++ of SGMSE, BBED or StoRM")
    count, first = int(count), kinds.index("C")
    firsts = [blocks[level * (count + 1)] for level in range(levels)]
    width, inputs = shapes[f"all_modules.{first}.weight"][:2]
    outputs = [shapes[f"all_modules.{index}.Conv_0.weight"][0] for index in firsts]
    middle = blocks[levels * (count + 1) - 1]
    return NCSNppConfig(
        width=width,
        multipliers=tuple(channels // width for channels in outputs),
        blocks=count,
        attention=tuple(bins >> level for level, index in enumerate(firsts) if kinds[index + 1] == "A"),
        middle_attention=kinds[middle + 1] == "A",
        input_pyramid="P" in kinds,
        output_pyramid=kinds.count("G") == levels,
        input_channels=inputs,
        conditional="L" in kinds,
        time_bias="L" in kinds,
        bins=bins,
        frames=64,
    )


def sgmse_weights(weights: Mapping[str, torch.Tensor], config: NCSNppConfig) -> dict[str, torch.Tensor]:
    """Published weights (names without ``dnn.``) under our names."""
    places, found = sgmse_places(config), {}
    for name, value in weights.items():
        parts = name.split(".")
        if parts[0] == "output_layer":
            found[f"decoder.last.{parts[1]}"] = value
            continue
        path, inside = places[int(parts[1])] if parts[0] == "all_modules" and int(parts[1]) < len(places) else ("", {})
        module, end = (parts[2], parts[3]) if len(parts) == 4 else ("", parts[-1])
        if not config.conditional and (module, end) in UNUSED:
            continue
        if module.startswith("NIN"):
            value, end = (value.mT, "weight") if end == "W" else (value, "bias")
        if end in inside:
            module, end = "", inside[end]
        check(module in inside or end == "frequencies", "checkpoint", f"the weight {name}", f"the names of {config}")
        found[".".join(part for part in (path, inside.get(module, ""), end) if part)] = value
    return found


# -- EDM paper code -------------------------------------------------------------------------------
EDM_PARTS = {
    **{"norm_1": "norm1", "conv_1": "conv1", "linear": "embed", "norm_2": "norm2", "conv_2": "conv2"},
    **{"skip_conv": "shortcut", "conv_query": "query", "conv_key": "key", "conv_value": "value", "conv_out": "out"},
}
#: The first public version's names, as patterns, and today's.
EDM_OLD = (
    (r"^upsampling_blocks\.(\d+)\.", r"decoder.\1.unet_blocks.0."),
    (r"^encoder\.(\d+)\.(\d+)\.", r"encoder.\1.unet_blocks.\2."),
    (r"^decoder\.0\.(\d+)\.", r"decoder.0.unet_blocks.\1."),
    (r"^prog_(downs|ups)\.", r"aux_\1."),
)


def edm_names(names) -> dict[str, str]:
    """Each name in today's form; buffers that hold no weights are left out."""
    renamed = {}
    for name in names:
        new = name
        for pattern, replacement in EDM_OLD:
            new = re.sub(pattern, replacement, new)
        if found := re.match(r"^decoder\.(\d+)\.(\d+)\.(.*)", new):
            new = f"decoder.{found[1]}.unet_blocks.{int(found[2]) + 1}.{found[3]}"
        if not name.endswith("resampler.kernel"):
            renamed[name] = new
    return renamed


def edm_config(shapes: Shapes, bins: int) -> NCSNppConfig:
    """Size of a published network from its weights' shapes (names as in ``model.net``)."""
    kernel = next((shape for name, shape in shapes.items() if name.endswith("resampler.kernel")), None)
    check(kernel in (None, (1, 1, 4, 4)), "checkpoint", f"a filter of shape {kernel}", "the filter [1, 3, 3, 1]")
    names = {new: tuple(shapes[old]) for old, new in edm_names(shapes).items()}
    known = "input_conv.weight" in names and "output_conv.weight" in names
    check(known, "checkpoint", "weights without input_conv and output_conv", "an NCSN++ of the EDM paper's code")

    def count(pattern: str) -> int:
        return len({found[1] for name in names if (found := re.match(pattern, name))})

    width, inputs = names["input_conv.weight"][:2]
    levels = count(r"encoder\.(\d+)\.")
    first = [f"encoder.{level}.unet_blocks.0" for level in range(levels)]
    outputs = [names.get(f"{block}.conv_1.weight", (0,))[0] for block in first]
    shares, pyramid = count(r"aux_ups\.(\d+)\.") == levels, names["output_conv.weight"][1:2]
    check(levels and shares, "checkpoint", "a network without output pyramid", "an NCSN++ of the EDM paper's code")
    check(pyramid == (inputs,), "checkpoint", f"an output pyramid of {pyramid} channels", f"one of {inputs}")
    return NCSNppConfig(
        width=width,
        multipliers=tuple(channels // width for channels in outputs),
        blocks=count(rf"encoder\.{levels - 1}\.unet_blocks\.(\d+)\."),
        attention=tuple(bins >> level for level, block in enumerate(first) if f"{block}.attn.norm.weight" in names),
        middle_attention="bottleneck_block_1.attn.norm.weight" in names,
        input_pyramid="aux_downs.0.conv.weight" in names,
        input_channels=inputs,
        bins=bins,
    )


def edm_weights(weights: Mapping[str, torch.Tensor], config: NCSNppConfig) -> dict[str, torch.Tensor]:
    """Published weights (names as in ``model.net``) under our names."""
    found = {}
    for old, new in edm_names(weights).items():
        value = weights[old]
        if ".attn.conv_" in new and value.dim() == 4:
            value = value.flatten(1)
        found[_edm_name(new, config)] = value
    return found


def _edm_name(name: str, config: NCSNppConfig) -> str:
    """Our name for one of today's names of the EDM paper's code."""
    fixed = {
        **{"input_conv": "encoder.first", "output_conv": "decoder.last", "emb.linear_1": "encoder.embedding.linear1"},
        **{"emb.linear_2": "encoder.embedding.linear2", "emb.fourier_proj.b": "encoder.embedding.frequencies"},
        **{"bottleneck_block_1.attn": "encoder.attention"},
        **{"bottleneck_block_1": "encoder.middle1", "bottleneck_block_2": "encoder.middle2"},
    }
    for start, ours in fixed.items():
        if name == start or name.startswith(f"{start}."):
            return ours + _inside(name.removeprefix(start))
    if found := re.match(r"aux_(downs|ups)\.(\d+)\.(norm|conv)(\..*)", name):
        side = "encoder" if found[1] == "downs" else "decoder"
        part = {"norm": "norm", "conv": "combine" if side == "encoder" else "share"}[found[3]]
        return f"{side}.levels.{found[2]}.{part}{found[4]}"
    if found := re.match(r"(encoder|decoder)\.(\d+)\.unet_blocks\.(\d+)(\.attn)?(\..*)", name):
        side, level, index, attention, rest = found[1], found[2], int(found[3]), found[4], _inside(found[5])
        if side == "encoder":
            block = f"blocks.{index}" if index < config.blocks else "shrink"
            return f"encoder.levels.{level}.{f'attention.{index}' if attention else block}{rest}"
        index -= level != "0"  # from the second on, the first block doubles the picture
        block = f"blocks.{index}" if index >= 0 else "enlarge"
        return f"decoder.levels.{level}.{'attention' if attention else block}{rest}"
    raise ArgumentError("checkpoint", f"the weight {name}", f"the names of {config}")


def _inside(rest: str) -> str:
    return ".".join(EDM_PARTS.get(part, part) for part in rest.split("."))

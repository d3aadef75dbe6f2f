"""The option `difference` of every network: plain 3 x 3 convolutions of its choice become difference convolutions.

They are trained as `DifferenceConv`, and merge to plain convolutions that compute the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from limelight.foundation.errors import UserError
from limelight.models.difference.layer import (
    FOOTPRINT,
    DifferenceConv,
    Pair,
    footprint,
    initial_mixing,
    is_plain_state,
    merged_layer,
    padding_for,
    start_from_plain,
)

NAMED = 3
"""Convolutions that an error names."""


@dataclass(frozen=True)
class Difference:
    """The option's settings."""

    layers: tuple[str, ...]
    """Names of the convolutions, or of modules that hold them; shell patterns."""
    kinds: tuple[str, ...]
    """Operators of a layer, joined by '+', such as 'cv+cd+ad'; the layers take them in turn."""
    merged: bool = False
    """The layers are the plain convolutions that they merge to."""

    def operators(self, place: int) -> tuple[str, ...]:
        """Operators of the layer at `place` among the chosen ones."""
        return tuple(self.kinds[place % len(self.kinds)].split("+"))


def read_option(given: Any, layers: Sequence[str]) -> Difference:
    """Read the option as users write it.

    Args:
        given: `kinds` alone, or a mapping of `kinds`, `layers` and `merged`.
        layers: where the option does not say.

    Raises:
        UserError: an unknown key or kind, or none.
    """
    given = given if isinstance(given, Mapping) else {"kinds": given}
    if unknown := sorted(given.keys() - {"kinds", "layers", "merged"}):
        raise UserError(f"difference has no key {', '.join(map(repr, unknown))}; it takes kinds and layers")
    kinds = _names(given.get("kinds"), "kinds")
    for kind in kinds:
        operators = kind.split("+")
        if not {*operators} <= FOOTPRINT.keys() or len({*operators}) < len(operators):
            raise UserError(
                f"difference.kinds: {kind!r} is not one or several of {', '.join(FOOTPRINT)}, each once, joined by '+'"
            )
    return Difference(_names(given.get("layers", layers), "layers"), kinds, bool(given.get("merged", False)))


def _names(given: Any, key: str) -> tuple[str, ...]:
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"difference.{key} must be a name or a list of names, got {given!r}")
    return tuple(names)


def convert(network: nn.Module, difference: Difference) -> dict[str, Any]:
    """Replace the chosen convolutions, in place; each starts from the weights of the plain one, see `start_from_plain`.

    Returns:
        The option with the full name of every layer, which converts another network of the same kind alike.

    Raises:
        UserError: a pattern that fits no plain 3 x 3 convolution.
    """
    plain = dict(_plain_convolutions(network))
    for pattern in difference.layers:
        if not any(_fits(name, pattern) for name in plain):
            some = f"{len(plain)}, such as {', '.join([*plain][:NAMED])}" if plain else "none at all"
            raise UserError(
                f"difference.layers: {pattern!r} is no plain 3 x 3 convolution of {type(network).__name__} and holds "
                f"none; the network has {some}"
            )
    chosen = [name for name in plain if any(_fits(name, pattern) for pattern in difference.layers)]
    if len(difference.kinds) > len(chosen):
        raise UserError(
            f"difference.kinds names {len(difference.kinds)} for {len(chosen)} layers, which take one each in turn; "
            "join the operators of one layer by '+'"
        )
    for place, name in enumerate(chosen):
        operators = difference.operators(place)
        network.set_submodule(name, (_of_merged_form if difference.merged else _difference_of)(plain[name], operators))
    return {"kinds": list(difference.kinds), "layers": chosen, "merged": difference.merged}


def _plain_convolutions(network: nn.Module) -> Iterator[tuple[str, nn.Conv2d]]:
    for name, module in network.named_modules():
        # Subclasses compute something else, such as TensorFlow's padding.
        plain = type(module) is nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str)
        if plain and module.kernel_size == (3, 3):
            yield name, module


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def _difference_of(conv: nn.Conv2d, operators: Sequence[str]) -> DifferenceConv:
    layer = DifferenceConv(
        conv.in_channels,
        conv.out_channels,
        operators,
        groups=conv.groups,
        stride=_pair(conv.stride),
        dilation=_pair(conv.dilation),
        padding=_pair(conv.padding),
        bias=conv.bias is not None,
    )
    layer.weight = nn.Parameter(start_from_plain(conv.weight.detach(), operators), conv.weight.requires_grad)
    layer.bias = conv.bias
    return layer.train(conv.training)


def _of_merged_form(conv: nn.Conv2d, operators: Sequence[str]) -> nn.Conv2d:
    """A plain convolution for weights that are merged: the given one, or one with a larger kernel."""
    size = footprint(operators)
    if size == conv.kernel_size[0]:
        return conv
    stride, dilation = _pair(conv.stride), _pair(conv.dilation)
    padding = padding_for(size, _pair(conv.padding), dilation)
    inputs, outputs, bias = conv.in_channels, conv.out_channels, conv.bias is not None
    return nn.Conv2d(inputs, outputs, size, stride, padding, dilation, conv.groups, bias=bias)


def _pair(value: Any) -> Pair:
    height, width = value
    return height, width


def from_plain(network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of a plain network as that of `network`, whose difference layers start from it as `convert` says.

    What is no plain convolution's is passed on as it is.
    """
    fitted = dict(state)
    for name, layer in network.named_modules():
        if isinstance(layer, DifferenceConv) and is_plain_state(layer, name, state):
            fitted[f"{name}.weight"] = start_from_plain(state[f"{name}.weight"], layer.operators)
            fitted[f"{name}.mixing"] = initial_mixing(len(layer.operators))
    return fitted


def merge(network: nn.Module) -> None:
    """Replace every difference layer by the plain convolution that computes the same, in place."""
    for name, layer in list(network.named_modules()):
        if isinstance(layer, DifferenceConv):
            network.set_submodule(name, merged_layer(layer))

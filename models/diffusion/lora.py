"""Low-rank adapters (LoRA, Hu et al., arXiv 2106.09685): train a small update of a large UNet's attention only."""

from collections.abc import Sequence

from torch import nn

from limelight.foundation.errors import UserError

ADAPTERS = "adapters"
"""The adapters' role in `Network.parameter_groups`."""


def add_adapters(unet: nn.Module, *, rank: int, alpha: float, targets: Sequence[str]) -> None:
    """Add adapters to a UNet, in place, and freeze all but them and its first convolution.

    A projection W becomes W + alpha / rank * B A (section 4.1), of which A and B are trained and B is zero at first.
    The first convolution is trained too: half of its channels are new to a text-to-image model.

    Args:
        rank: of A and B.
        targets: names, or ends of names, of linear layers, as 'to_q' for all queries.

    Raises:
        UserError: peft is missing, or no layer has such a name.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise UserError(f"lora needs peft ({error}); pip install 'limelight[diffusion]'") from error
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets))
    try:
        inject_adapter_in_model(config, unet)
    except ValueError as error:  # names that match nothing, or no linear layer
        raise UserError(f"lora.targets {list(targets)}: {str(error).partition('. ')[0]}") from error
    unet.conv_in.requires_grad_(True)


def merge_adapters(unet: nn.Module) -> None:
    """Add what the adapters have learnt to the weights, in place, and remove them: a UNet like any other again."""
    if ADAPTERS not in trained_groups(unet):
        return
    for name, module in list(unet.named_modules()):
        if hasattr(module, "lora_A"):
            module.merge()
            unet.set_submodule(name, module.get_base_layer())
    unet.requires_grad_(True)


def trained_groups(unet: nn.Module) -> dict[str, list[nn.Parameter]]:
    """A UNet's trained parameters by role: 'unet', and `ADAPTERS` where it has adapters."""
    trained = [(name, value) for name, value in unet.named_parameters() if value.requires_grad]
    groups = {
        "unet": [value for name, value in trained if ".lora_" not in name],
        ADAPTERS: [value for name, value in trained if ".lora_" in name],
    }
    return {role: values for role, values in groups.items() if values}

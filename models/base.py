"""What every network of this project is."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from limelight.models.card import IMAGENET_MEAN, IMAGENET_STD
from limelight.models.card import MODALITIES as MODALITIES  # they stand where no torch is needed to read them


@dataclass(frozen=True)
class Capabilities:
    """What a network takes and can do. Code asks these flags, never for a class."""

    modalities: tuple[str, ...] = ("rgb",)
    text: bool = False
    reparameterizable: bool = False
    objectives: tuple[str, ...] = ("masks",)
    """What it can be trained for, of a run's `objective`."""
    sampling: bool = False
    """It has a `denoise` that draws from noise in several steps, besides its `forward`."""
    input_divisor: int = 1
    """Height and width are rounded to a multiple of this before the network sees them."""
    least_input: int = 1
    """Pixels; what a shorter side is brought to. A multiple of the divisor."""


class Network(nn.Module):
    """A dense-prediction network.

    `forward(image_B3HW)` takes normalised float images of any height and width that `capabilities.input_divisor`
    divides, and returns a list of logits_B1HW at the input's size, finest first. It is a pure function of tensors: no
    resizing policy, no sigmoid, no files.

    Networks whose modalities go beyond 'rgb' also take companion_B1HW, float in [0, 1], the share of the sensor's
    range, and modality_B, int64 indices into `MODALITIES`. Where the modality is 0 the companion does not matter.

    Networks of text prompts take prompt_KTC in their place, which their `encode_prompts(texts)` makes, and return
    logits_BKHW, a map per prompt.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()
    mean: ClassVar[tuple[float, float, float]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, float, float]] = IMAGENET_STD
    """Of RGB in [0, 1], per channel: how its images are normalised."""

    def forward(
        self, image_B3HW: Tensor, companion_B1HW: Tensor | None = None, modality_B: Tensor | None = None
    ) -> list[Tensor]:
        raise NotImplementedError

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Every trained parameter exactly once, by the role a recipe speaks of ('backbone', 'head', 'norm', ...)."""
        return {"head": list(self.parameters())}

    def write_assets(self, folder: Path) -> None:
        """Write into `folder` what the network cannot be built without besides options and weights, if there is any.

        It is then built with `assets`, the folder that holds the same files.
        """

    def reparameterize(self) -> "Network":
        """A new network in evaluation mode that computes the same function with fewer operations.

        Only where `capabilities.reparameterizable`. The result's `build_options` re-create its graph, so that its
        weights can be saved and loaded like any other's.
        """
        raise NotImplementedError(f"{type(self).__name__} has no merged form")

    build_options: dict[str, object]
    """The options that `create_model` was called with; set by it, and by `reparameterize`."""

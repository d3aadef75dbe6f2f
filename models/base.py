"""Base class of every network, and what networks declare about themselves."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from limelight.foundation.errors import UserError
from limelight.models.card import IMAGENET_MEAN, IMAGENET_STD, Triple
from limelight.models.difference.layer import run_branchwise
from limelight.models.difference.option import convert, from_plain, merge, read_option
from limelight.models.inputs import IMAGE, Input, Size, bind
from limelight.models.state import load_strict

UNRECORDED_OPTIONS = ("pretrained", "assets")
"""Options that say where initial weights come from; not recorded, since a weights folder holds the network's own."""


@dataclass(frozen=True)
class Capabilities:
    """What a network can do. Code checks these, never a class or a family."""

    task: str = "saliency"
    """What its maps show; see `limelight.tasks`."""
    modalities: tuple[str, ...] = ("rgb",)
    objectives: tuple[str, ...] = ("supervised", "distilled")
    """What it can be trained for, by the names of a run's `objective`."""
    merge: bool = False
    """`reparameterize` gives a form with fewer operations."""
    stream: bool = False
    """`step` takes the frames of a clip one by one, each as it comes."""
    windows: bool = False
    """Windows of a clip's frames can share what each frame needs alone: `encode_frame` and `decode_frame`."""
    sample: bool = False
    """`denoise` draws from noise in several steps."""
    divisor: int = 1
    """Height and width are rounded to a multiple of this before the network sees them."""
    min_side: int = 1
    """Smallest side, pixels; shorter sides are enlarged to it. A multiple of the divisor."""
    independent: bool = True
    """No row of a batch depends on the others in evaluation mode."""
    fixed_export: bool = False
    """Exports have one fixed height and width: with a dynamic number of tokens or windows, tracing takes six times as
    long for a diffusion model, and hours for a Swin backbone."""
    size: Size | None = None
    """The only (height, width) that it takes; None = any."""
    opaque: bool = False
    """Another engine computes it: it has no gradients and no operations to count, and writes its export itself."""


class Network(nn.Module):
    """A dense-prediction network.

    `forward(image_B3HW, ...)` takes what `inputs` declares, each under its name with its dimensions, and returns a list
    of logits_B1HW at the image's size, finest first; a network that takes prompts returns logits_BKHW, a map per
    prompt. It is a pure function of tensors: no resizing policy, no sigmoid, no files. Call it through `logits` or
    `maps`.

    The constructor's options are recorded: `build_options` re-create its graph.
    """

    inputs: tuple[Input, ...] = (IMAGE,)
    capabilities: Capabilities = Capabilities()
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD
    """With `mean`, how its images are normalised: per channel of RGB in [0, 1]."""
    rows_per_chunk: int | None = None
    """Maps that are computed at once, whatever the batch size; None = all. May be changed at any time."""
    published_steps: ClassVar[int] = 1
    """Denoising steps for weights that were trained to predict velocities."""
    difference_layers: tuple[str, ...] = ("*",)
    """What the option `difference` converts where it names no layers; patterns, see `limelight.models.difference`."""
    neutral: tuple[str, ...] = ()
    """Parts that change nothing as they are initialised: training goes on from weights that lack them."""
    score_layers: tuple[str, ...] = ()
    """Names of the modules that make the logits, each linear in all its parameters together; () = there are none."""
    base: str | None = None
    """Name of the published weights that it was built on; None if there are none."""
    build_options: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            _remember_options(cls)

    # --------------------------------------------------------------------------------------------------------- calling
    def logits(self, given: Mapping[str, Tensor | None]) -> list[Tensor]:
        """`forward` of named inputs, such as `Batch.inputs`.

        Raises:
            UserError: an input that it needs is not given.
        """
        return self(**bind(self.inputs, given))

    def maps(self, given: Mapping[str, Tensor | None]) -> Tensor:
        """probability_B1HW (of prompts probability_BKHW), float32 in [0, 1]: what is scored, exported and served.

        A sigmoid of the finest logits, in float32: near 1, bfloat16 has steps of 1/256.
        """
        return self.logits(given)[0].float().sigmoid()

    def draw(
        self,
        given: Mapping[str, Tensor | None],
        *,
        steps: int,
        ensemble_size: int = 1,
        seeds: Sequence[int] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """`denoise` of named inputs: the maps, and the disagreement of an ensemble's members."""
        return self.denoise(**bind(self.inputs, given), steps=steps, ensemble_size=ensemble_size, seeds=seeds)

    def denoise(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
        """Draw maps from noise, only where `capabilities.sample`; see `MaskDenoiser.sample`."""
        raise NotImplementedError(f"{type(self).__name__} does not sample")

    def check_steps(self, steps: int) -> None:
        """Check a number of denoising steps.

        Raises:
            UserError: the network does not sample, or not with this number of steps.
        """
        raise UserError("this network does not sample: it has no denoising steps and no ensembles; leave them out")

    def encode_prompts(self, prompts: Sequence[str]) -> Tensor:
        """Encode K texts as prompt_KTC, for a network that takes prompts.

        Raises:
            UserError: a text is too long, or the network takes none.
        """
        raise UserError("this network takes no text prompts")

    # -------------------------------------------------------------------------------------------------------- training
    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Every trained parameter exactly once, by its role in a recipe ('backbone', 'head', 'norm', ...)."""
        return {"head": list(self.parameters())}

    def check_sizes(self, sizes: Sequence[int]) -> None:
        """Check that input sides, in pixels, are possible for the network.

        Raises:
            UserError: one is no multiple of `capabilities.divisor`, below `capabilities.min_side`, or not the only size
            that the network takes.
        """
        divisor, min_side, name = self.capabilities.divisor, self.capabilities.min_side, type(self).__name__
        if (only := self.capabilities.size) and any((size, size) != only for size in sizes):
            raise UserError(f"this {name} takes {only[0]}x{only[1]} pixels alone, got sizes {list(sizes)}")
        if wrong := [size for size in sizes if size % divisor]:
            raise UserError(f"sizes {wrong} are not multiples of {divisor}, which {name} needs")
        if wrong := [size for size in sizes if size < min_side]:
            raise UserError(f"sizes {wrong} are below {min_side}, the least that {name} takes")

    def take_part(self, part: str, source_network: Network, source_name: str) -> None:
        """Initialise one part with the weights of the same part of another network.

        Args:
            part: name of a module that both have, such as 'vae'.
            source_name: what to call the donor's weights folder.

        Raises:
            UserError: one of them has no such part, or the two differ.
        """
        own_part, source_part = (dict(each.named_children()).get(part) for each in (self, source_network))
        if own_part is None or source_part is None:
            raise UserError(
                f"{type(source_network).__name__} in {source_name} and {type(self).__name__}, which is to be trained, "
                f"do not both have a part {part!r}; leave it out of `parts`"
            )
        load_strict(own_part, from_plain(own_part, source_part.state_dict()), f"{source_name} ({part})")

    def velocity_error(
        self, given: Mapping[str, Tensor | None], mask_BKHW: Tensor, *, levels: int, discount: float
    ) -> Tensor:
        """Squared error_NChw of the velocity predicted for noisy masks, N = B * K, an image's masks one after another.

        Only where `capabilities.objectives` have 'velocity' or 'prompted-velocity'. Timesteps and noise are drawn from
        torch's generators.

        Args:
            given: named inputs, with one prompt per mask if the network takes prompts.
            mask_BKHW: float in [0, 1].
            levels, discount: of the noise, see `pyramid_noise`.
        """
        raise NotImplementedError(f"{type(self).__name__} predicts no velocities")

    def reconstruct(self, picture_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Encode and decode a picture: the reconstruction and its scaled latent_BChw, both with gradients.

        Only where `capabilities.objectives` have 'reconstruction'.
        """
        raise NotImplementedError(f"{type(self).__name__} does not reconstruct pictures")

    def check_prompts(self, prompts: Sequence[str]) -> None:
        """Check prompts as `encode_prompts` does, without computing anything.

        Raises:
            UserError: a text is too long, or the network takes none.
        """
        self.encode_prompts(prompts)

    def add_adapters(self, *, rank: int, alpha: float, targets: Sequence[str]) -> None:
        """Add low-rank adapters and freeze the rest of the network, in place.

        Raises:
            UserError: it has no form with adapters, or no layer of these names.
        """
        raise UserError(f"lora needs a network with a UNet, which {type(self).__name__} does not have; leave it out")

    def merge_adapters(self) -> None:
        """Add what the adapters have learnt to the weights, in place; without adapters nothing changes."""

    def add_differences(self, option: Any) -> None:
        """Replace plain 3 x 3 convolutions by difference convolutions, in place, and record it in `build_options`.

        Args:
            option: see `limelight.models.difference.option.read_option`.

        Raises:
            UserError: the option is malformed, or names layers that are no such convolutions.
        """
        self.build_options["difference"] = convert(self, read_option(option, self.difference_layers))
        self.capabilities = replace(self.capabilities, merge=True)

    @torch.no_grad()
    def sharpen(self, sharpness: float) -> None:
        """Multiply the logits by `sharpness`, in place, in the weights of `score_layers`: maps become surer.

        The order of pixels stays, and so does the map above one half; soft edges become harder.

        Args:
            sharpness: above 0; below 1, maps become less sure.

        Raises:
            UserError: the network has no layer that only makes logits.
        """
        modules = dict(self.named_modules())
        layers = [modules[name] for name in self.score_layers if name in modules]
        if not layers:
            raise UserError(f"the logits of {type(self).__name__} cannot be multiplied; leave out deploy.sharpness")
        for parameter in (parameter for layer in layers for parameter in layer.parameters()):
            parameter.mul_(sharpness)

    def memory_savers(self) -> list[str]:
        """Settings of a run that would reduce the memory of training this network, given how it is built."""
        return []

    # ------------------------------------------------------------------------------------------------------- inference
    def reparameterize(self) -> Network:
        """A new network in evaluation mode that computes the same function with fewer operations.

        Only where `capabilities.merge`. The result's `build_options` re-create its graph. Here the layers of the option
        `difference` are merged; a network that merges more overrides this.
        """
        if "difference" not in self.build_options:
            raise NotImplementedError(f"{type(self).__name__} has no merged form")
        merged = copy.deepcopy(self).eval()
        merge(merged)
        merged.build_options["difference"]["merged"] = True
        return merged

    def step(self, image_B3HW: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """The next frame of streams: its logits_B1HW, and the state for the frame after it.

        Only where `capabilities.stream`.

        Args:
            state: what the call for the frame before returned; at the first frame None, or `first_state`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not take single frames of a stream")

    def first_state(self, batch: int, size: Size) -> dict[str, Tensor]:
        """A state of `step` that stands for no frame yet: zeros by name, of the shapes of every later state.

        Only where `capabilities.stream`; for exports, whose state is inputs and outputs of these names.

        Args:
            size: of the frames, (height, width).
        """
        raise NotImplementedError(f"{type(self).__name__} does not take single frames of a stream")

    def encode_frame(self, image_B3HW: Tensor) -> Any:
        """What windows of B clips that hold this frame share of it; for `decode_frame`.

        Only where `capabilities.windows`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not look at windows of frames")

    def decode_frame(self, window: Sequence[Any], place: int, size: Size) -> Tensor:
        """Logits_B1HW of one frame of a window, equal to that row of `forward` of the window.

        Only where `capabilities.windows`.

        Args:
            window: its frames' `encode_frame`, one or more.
            place: of the frame, from 0.
            size: of the frames, (height, width).
        """
        raise NotImplementedError(f"{type(self).__name__} does not look at windows of frames")

    @contextmanager
    def unmerged(self) -> Iterator[None]:
        """Within the block, compute separately what `reparameterize` merges, as published, for comparisons with it: the
        branches of difference layers run one by one, not as a sum of kernels formed on the fly."""
        run_branchwise(self)
        try:
            yield
        finally:
            run_branchwise(self, False)

    def write_onnx(self, path: Path) -> None:
        """Write the export's graph, only where `capabilities.opaque`; see `limelight.deploy.export`."""
        raise NotImplementedError(f"{type(self).__name__} is exported by tracing")

    def count_parameters(self) -> int:
        """The number of its parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    def take_autoencoder(self, folder: Path | str) -> None:
        """Use another autoencoder of the same latents.

        Raises:
            UserError: the network has none, or the folder holds none that fits.
        """
        raise UserError(f"this network has no autoencoder to replace; leave out --vae {folder}")

    def write_assets(self, folder: Path) -> None:
        """Write into `folder` the files that building the network needs besides options and weights, if any.

        It is then built with `assets`, the folder that holds the same files.
        """


def _remember_options(cls: type[Network]) -> None:
    """Make `cls(...)` record its options in `build_options`, with defaults: a new default must not change old weights.

    For a subclass with its own `__init__`, that one's options count.
    """
    build = cls.__init__
    signature = inspect.signature(build)

    @functools.wraps(build)
    def remembering(self: Network, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        if type(self).__init__ is remembering:
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            options = list(bound.arguments.items())[1:]
            self.build_options = {name: value for name, value in options if name not in UNRECORDED_OPTIONS}

    cls.__init__ = remembering  # type: ignore[assignment,method-assign]

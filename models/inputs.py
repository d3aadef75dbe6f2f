"""Declaration of a network's inputs, which preprocessing, loader, training, exports and cost all read."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from limelight.foundation.errors import UserError

BEGUN = "begun"
"""In a stream's state (`Network.first_state`): 0 where it has not begun, and the rest of the state is of no account."""
Size = tuple[int, int]
"""(height, width), pixels."""
InputSource = Literal["image", "clip", "companion", "modality", "prompt"]
"""What an input is made from: the picture, the frames of a clip, the picture's companion (depth or thermal picture),
the companion's kind, or texts.
`limelight.imaging.feeds` makes each of them."""


SHAPES: dict[InputSource, str] = {
    "image": "B3HW", "clip": "BT3HW", "companion": "B1HW", "modality": "B", "prompt": "KTC"
}  # fmt: skip


class Input(BaseModel):
    """One named input of a network's `forward`.

    Example:
        Input(name="overview", source="image", scale=0.25)  # forward(image_B3HW, overview_B3HW)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="also the name of an export's input")
    source: InputSource
    scale: float = Field(default=1.0, gt=0, description="its height and width, relative to the requested size")
    side: int | None = Field(default=None, ge=1, description="pixels of its own square, whatever the requested size")
    frames: int = Field(default=1, ge=1, description="of a clip in training and in exports; others are possible")
    optional: bool = Field(default=False, description="it may be left out of a call if no row of the batch has one")

    @property
    def shape(self) -> str:
        """A letter or digit per dimension: B batch, H height, W width, K prompts, T positions or frames, C channels."""
        return SHAPES[self.source]

    @property
    def dtype(self) -> Literal["float32", "int64"]:
        return "int64" if self.source == "modality" else "float32"

    @property
    def argument(self) -> str:
        """The parameter of `forward`: the name with its dimensions."""
        return f"{self.name}_{self.shape}"

    def dimensions(self, batch: int, size: Size) -> tuple[int, ...]:
        """Its shape in a batch at (height, width).

        Raises:
            KeyError: a dimension is not given by batch and size, such as the number of prompts.
        """
        height, width = self.scaled(size)
        letters = {"B": batch, "H": height, "W": width}
        if self.source == "clip":
            letters["T"] = self.frames
        return tuple(int(letter) if letter.isdigit() else letters[letter] for letter in self.shape)

    def scaled(self, size: Size) -> Size:
        """Its (height, width) where the picture is fed at `size`."""
        if self.side is not None:
            return self.side, self.side
        return max(1, round(size[0] * self.scale)), max(1, round(size[1] * self.scale))


IMAGE = Input(name="image", source="image")
"""float32, normalised."""

COMPANION = Input(name="companion", source="companion", optional=True)
"""float32 in [0, 1], the share of the sensor's range; zeros where a row has none."""
MODALITY = Input(name="modality", source="modality", optional=True)
"""Indices into `limelight.models.card.MODALITIES`; 0 = the image alone, whose companion is ignored."""
PROMPT = Input(name="prompt", source="prompt")
"""From the network's `encode_prompts`."""

WITH_COMPANION = (IMAGE, COMPANION, MODALITY)
"""Inputs of a network that takes depth or thermal pictures beside its images."""


def bind(inputs: Iterable[Input], given: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of `forward`: those of `given` that the network declares.

    The only place where a batch, a picture or an example becomes a call.

    Args:
        given: name -> tensor or array; None counts as absent, and what the network does not declare is left out.

    Raises:
        UserError: a required input is absent.
    """
    inputs = tuple(inputs)
    present = {name for name, value in given.items() if value is not None}
    if missing := [each.name for each in inputs if not each.optional and each.name not in present]:
        raise UserError(f"the network needs {', '.join(missing)}, got {', '.join(sorted(present)) or 'nothing'}")
    return {each.argument: given[each.name] for each in inputs if each.name in present}


def union(*declarations: Iterable[Input]) -> tuple[Input, ...]:
    """Merge the inputs of several networks into those that one batch must hold for all of them.

    Raises:
        UserError: two of them declare different inputs by one name.
    """
    inputs_by_name: dict[str, Input] = {}
    for each in (each for declared in declarations for each in declared):
        other = inputs_by_name.setdefault(each.name, each)
        if other.model_copy(update={"optional": each.optional}) != each:
            raise UserError(
                f"two networks share a batch and mean different things by the input {each.name!r}: {other!r} and "
                f"{each!r}; rename one"
            )
        if other.optional:
            inputs_by_name[each.name] = each
    return tuple(inputs_by_name.values())


def as_stills(inputs: Iterable[Input]) -> tuple[Input, ...]:
    """The inputs with single images in place of clips, whose frames are rows of a batch."""
    return tuple(IMAGE if each.source == "clip" else each for each in inputs)


def clip_frames(inputs: Iterable[Input]) -> int | None:
    """Frames of the clips that a network is trained on and exported for; None for a network of stills."""
    return next((each.frames for each in inputs if each.source == "clip"), None)

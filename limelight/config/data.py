"""The sections `data` and `validation`: which datasets are used, and what they must fulfil."""

import re
from typing import Literal

from pydantic import Field, model_validator

from limelight.config.patterns import NAME, problem
from limelight.foundation.section import Section, check_name
from limelight.models.card import Modality

SPLIT = r"[A-Za-z0-9_-]+"
"""Pattern of a split's name, which is a folder's too."""
Labels = Literal["none", "mask", "classes"]
"""Kind of a sample's labels: none, a saliency mask, a map of class ids."""


class Renderer(Section):
    """The embedded renderer's settings: how many scenes, and how large."""

    scenes: int = Field(ge=1)
    size: int = Field(default=160, ge=32, le=1024, description="pixels, height = width")
    seed: int = Field(default=0, ge=0, description="of what is drawn")
    clip_frames: int = Field(default=0, ge=0, description="frames of the moving clip of each scene; 0 = stills only")
    kind: Literal["scenes", "toys"] = Field(default="scenes", description="toys: few plain objects in named colours")
    hidden: float = Field(
        default=0.0, ge=0, le=1, description="share of the toys' scenes whose image hardly shows the objects"
    )

    @model_validator(mode="after")
    def _check(self) -> "Renderer":
        if self.hidden and self.kind != "toys":
            raise ValueError("hidden is of kind toys; leave it out, or set kind: toys")
        return self


class Layout(Section):
    """Images, masks and companions, relative to a dataset's root: folders, or patterns of file names with `{name}`."""

    image: str = Field(default="images", description="pictures, or frames of clips")
    mask: str | None = Field(default="masks", description="null = it has none")
    companion: str | None = Field(default=None, description="depth or thermal pictures, see sensor")

    @model_validator(mode="after")
    def _check(self) -> "Layout":
        for other in filter(None, (self.image, self.mask, self.companion)):
            if wrong := problem(other):
                raise ValueError(wrong)
            for field in ("{split}", "{clip}"):
                if field in other and field not in self.image:
                    raise ValueError(f"{field} is in {other!r}, but not in image {self.image!r}; give it in both")
        if NAME in self.image and self.image in (self.mask, self.companion):
            raise ValueError(f"{self.image!r} is used twice; give image, mask and companion different patterns")
        return self


class DatasetRequest(Section):
    """One dataset: a name from the catalogue, or a new name with a path and a layout."""

    name: str = Field(description="of the catalogue (`limelight data`), or a new one")
    path: str | None = Field(default=None, description="a local folder; overrides the catalogue's source")
    url: str | None = Field(default=None, description="an archive (.zip, .tar, .tar.gz) to fetch")
    sha256: str | None = Field(default=None, description="hash of that archive; required with url")
    layout: Layout | None = Field(
        default=None, description="where its files are; null = as the catalogue says, or the defaults"
    )
    render: Renderer | None = Field(default=None, description="draw it with the embedded renderer")
    sensor: Modality = Field(default="rgb", description="rgbd, rgbt: with depth or thermal pictures")
    labels: Labels = Field(
        default="mask", description="classes: maps of class ids; none: unlabelled, existing labels are ignored"
    )
    include: str | None = Field(
        default=None, description="pattern of the images' names below their folder, without suffix, such as 'a/cam1_*'"
    )
    classes: dict[int, str] | None = Field(
        default=None,
        min_length=1,
        description="pixel value -> class (labels: classes); null = the folder's own classes.json",
    )
    ignore: list[int] | None = Field(
        default=None,
        description="pixel values without a label (labels: classes); null = 255, or the catalogue's",
    )
    split: str | dict[str, float] | None = Field(
        default=None,
        description="one split for all, or shares that sum to 1; null = as the dataset itself divides it",
    )

    @model_validator(mode="after")
    def _check(self) -> "DatasetRequest":
        check_name(self.name)
        if self.url and not self.sha256:
            raise ValueError("an archive by url needs its sha256")
        if self.sha256 and not self.url:
            raise ValueError("sha256 is that of an archive by url; leave it out, or give the url")
        if sum(bool(given) for given in (self.path, self.url, self.render)) > 1:
            raise ValueError("give one of path, url and render")
        both = sorted({*(self.classes or ())} & {*(self.ignore or ())})
        if both:
            raise ValueError(f"{both[0]} is both a class and ignored; take it out of `classes` or of `ignore`")
        named = [self.split] if isinstance(self.split, str) else self.split or ()
        if wrong := [split for split in named if not re.fullmatch(SPLIT, split)]:
            raise ValueError(f"the split {wrong[0]!r} needs a plain word as its name: letters, digits, - and _")
        if isinstance(self.split, dict) and not all(0 <= share <= 1 for share in self.split.values()):
            raise ValueError("the shares of split must be from 0 to 1")
        if isinstance(self.split, dict) and abs(sum(self.split.values()) - 1) > 1e-6:
            raise ValueError(f"the shares of split sum to {sum(self.split.values()):g}, not to 1")
        return self


class Data(Section):
    """The datasets, and how they are divided."""

    datasets: list[DatasetRequest] = Field(min_length=1)
    seed: int = Field(default=0, ge=0, description="seed of the random division into splits")

    @model_validator(mode="after")
    def _check(self) -> "Data":
        names = [request.name for request in self.datasets]
        duplicates = sorted({name for name in names if names.count(name) > 1})
        if duplicates:
            raise ValueError(f"{', '.join(duplicates)} named twice; give each dataset a name of its own")
        return self


class Validate(Section):
    """What Great Expectations demands of the manifest and of decoded samples."""

    min_rows: int = Field(default=1, ge=1, description="fewest samples in all")
    samples: int = Field(default=64, ge=1, description="images decoded and checked, per dataset")
    min_side: int = Field(default=16, ge=1, description="pixels")
    max_pixels: int = Field(default=50_000_000, ge=1, description="of an image")
    max_empty_masks: float = Field(default=0.2, ge=0, le=1, description="share of masks without any salient pixel")
    max_faint_masks: float = Field(
        default=0, ge=0, le=1, description="share of samples whose mask shows something, but never above 0.5"
    )
    max_full_masks: float = Field(default=0.05, ge=0, le=1, description="share of masks that are salient everywhere")
    binary_masks: float = Field(
        default=0.5, ge=0, le=1, description="share of masks that must be nearly black and white"
    )

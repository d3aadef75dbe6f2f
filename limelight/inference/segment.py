"""Pictures and words in, labels out: the one way to use weights that take prompts.

Dimensions: K classes, H height, W width of the picture, h and w of the network's input, 3 = R, G, B.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from limelight.inference.preprocess import fit_size, to_input, to_saliency
from models.card import Card
from models.errors import UserError
from models.weights import load_weights, read_card

Device = Literal["auto", "cpu", "cuda"]

THRESHOLD = 0.5
MAPS_AT_ONCE = 64
"""Maps that are kept between the network and the labels: pictures times classes."""


@dataclass(frozen=True)
class Segmentation:
    """What the given words name in one picture."""

    labels_HW: np.ndarray
    """int16 at the picture's own size: 1 to K, the most probable class; 0 where none reaches the threshold."""
    classes: tuple[str, ...]
    """As they were asked for; label n is classes[n - 1]."""
    probability_Khw: np.ndarray
    """float32 in [0, 1], one map per class, at the network's input size."""
    milliseconds: dict[str, float]
    """Of this picture: 'pre' (resize, normalise), 'net' (its share of its batch), 'post' (resize back, choose)."""

    def probability_HW(self, name: str) -> np.ndarray:
        """float32 in [0, 1]: where one class is, at the picture's size.

        Raises:
            UserError: the class was not asked for.
        """
        if name not in self.classes:
            raise UserError(f"{name!r} was not asked for; choose one of {', '.join(self.classes)}")
        return to_saliency(self.probability_Khw[self.classes.index(name)], self.labels_HW.shape)

    @property
    def probability_KHW(self) -> np.ndarray:
        """All of them: 4 bytes for each class and pixel."""
        return np.stack([to_saliency(map_hw, self.labels_HW.shape) for map_hw in self.probability_Khw])


class Segmenter:
    """Weights that find what words name, ready to use.

    Example:
        segmenter = Segmenter.load("artifacts/words")
        found = segmenter.predict([read_image("photo.jpg")], ["cat", "armchair"])[0]
        found.labels_HW, found.probability_HW("cat")
    """

    def __init__(self, network: torch.nn.Module, card: Card, size: tuple[int, int], device: str, threads: int | None):
        self.card = card
        self.size = size
        """(height, width) that pictures are stretched to, pixels."""
        where = device if threads is None else f"{device} ({threads} threads)"
        self.description = (
            f"{card.model} ({card.form} form, {card.parameters:,} parameters), torch on {where}, fp32, "
            f"weights {card.sha256[:12]}"
        )
        self._network, self._device, self._threads = network, device, threads

    @classmethod
    def load(
        cls,
        source: Path | str,
        *,
        device: Device = "auto",
        threads: int | None = None,
        size: int | tuple[int, int] | None = None,
    ) -> "Segmenter":
        """Open a weights folder.

        Args:
            device: 'auto' takes a GPU where there is one.
            threads: on the CPU; None leaves the choice to PyTorch.
            size: feed the network pictures of this size (pixels, or height and width) instead of the card's.

        Raises:
            UserError: no such weights, weights that take no words, or `device` is 'cuda' and there is no GPU.
        """
        if not read_card(source).text:
            raise UserError(f"{source} takes no words; leave the prompts out, or choose weights that take them")
        if device == "cuda" and not torch.cuda.is_available():
            raise UserError("device 'cuda' was asked for, but PyTorch finds no CUDA GPU; use 'auto' or 'cpu'")
        network, card = load_weights(source)
        where = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
        network.to(device=where, memory_format=torch.channels_last)
        fed = card.input_size if size is None else fit_size(size, network.capabilities.input_divisor)
        return cls(network, card, fed, where, threads)

    def predict(
        self,
        images: Sequence[np.ndarray],
        prompts: Sequence[str],
        *,
        template: str | None = None,
        threshold: float = THRESHOLD,
        batch_size: int = 8,
    ) -> list[Segmentation]:
        """Find what each word names in each picture.

        No class's map depends on the other classes, nor on the other pictures.

        Args:
            images: uint8 HxWx3 RGB, each of any size.
            prompts: names of classes, in any language and number.
            template: what the network is told of a class, with {} for its name; '{}' for prompts that are whole
                sentences; None = as it was trained.
            threshold: where no class is as probable, the label is 0; 0 leaves no pixel without a class.
            batch_size: pictures that the network sees at once; fewer where there are many classes.

        Returns:
            One segmentation per picture, in order.

        Raises:
            UserError: an image is no uint8 HxWx3 array, there is no word, one is empty, too long or given twice, or
                the template has no {}.
        """
        classes = checked_classes(prompts)
        template = self.card.prompt if template is None else template
        if template.count("{}") != 1:
            raise UserError(f"the template {template!r} needs one {{}}, where the class's name goes")
        step = max(1, min(batch_size, MAPS_AT_ONCE // len(classes)))
        with self._computing():
            prompt_KTC = self._network.encode_prompts([template.format(name) for name in classes])
            found: list[Segmentation] = []
            for start in range(0, len(images), step):
                found += self._predict_batch(images[start : start + step], classes, prompt_KTC, threshold)
        return found

    def _predict_batch(
        self, images: Sequence[np.ndarray], classes: tuple[str, ...], prompt_KTC: torch.Tensor, threshold: float
    ) -> list[Segmentation]:
        started = time.perf_counter()
        image_B3HW = torch.from_numpy(to_input(images, self.card, self.size))
        prepared = time.perf_counter()
        image_B3HW = image_B3HW.to(device=self._device, memory_format=torch.channels_last)
        probability_BKhw = self._network(image_B3HW, prompt_KTC)[0].float().sigmoid().cpu().numpy()
        finished = time.perf_counter()
        shared = {"pre": 1000 * (prepared - started) / len(images), "net": 1000 * (finished - prepared) / len(images)}
        found = []
        for image_HW3, probability_Khw in zip(images, probability_BKhw, strict=True):
            before = time.perf_counter()
            labels_HW = most_probable(probability_Khw, image_HW3.shape[:2], threshold)
            taken = {**shared, "post": 1000 * (time.perf_counter() - before)}
            found.append(Segmentation(labels_HW, classes, probability_Khw, taken))
        return found

    @contextmanager
    def _computing(self) -> Iterator[None]:
        before = torch.get_num_threads()
        try:
            if self._threads:
                torch.set_num_threads(self._threads)
            with torch.inference_mode():
                yield
        finally:
            torch.set_num_threads(before)


def checked_classes(prompts: Sequence[str]) -> tuple[str, ...]:
    """Names of classes without blanks around them, each once.

    Raises:
        UserError: there is none, one is empty, or two differ in their letters' case alone, which no network sees.
    """
    if isinstance(prompts, str):
        raise UserError(f"give the classes as a list, such as [{prompts!r}]; a text by itself would be read by letters")
    names = [" ".join(name.split()) for name in prompts]
    if not names:
        raise UserError("no classes were given; name at least one, such as 'cat'")
    if "" in names:
        raise UserError(f"class {names.index('') + 1} of {len(names)} is empty; name it or leave it out")
    seen = [name.casefold() for name in names]
    twice = [name for name, folded in zip(names, seen, strict=True) if seen.count(folded) > 1]
    if twice:
        raise UserError(f"classes {', '.join(map(repr, twice[:4]))} are the same; name each once")
    return tuple(names)


def most_probable(probability_Khw: np.ndarray, size: tuple[int, int], threshold: float) -> np.ndarray:
    """labels_HW int16 at (height, width), from maps of another size: 1 to K, the first of equals; 0 below `threshold`.

    The maps are enlarged one after another, so that hundreds of classes of a large photo fit into memory.
    """
    best_HW = np.full(size, np.float32(threshold))
    labels_HW = np.zeros(size, np.int16)
    for label, map_hw in enumerate(probability_Khw, start=1):
        map_HW = to_saliency(map_hw, size)
        # The first class may equal the threshold, a later one must exceed what is there.
        better_HW = (map_HW > best_HW) | ((map_HW == best_HW) & (labels_HW == 0))
        labels_HW[better_HW], best_HW[better_HW] = label, map_HW[better_HW]
    return labels_HW

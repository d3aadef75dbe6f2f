"""The predictor of saliency: pictures, clips, and frames one by one.

Dimensions: H height, W width, 3 = R, G, B.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from limelight.foundation.errors import UserError, raising_shortage
from limelight.imaging.feeds import check_picture, picture_feeds
from limelight.imaging.images import read_image
from limelight.inference.backends.backend import Maps
from limelight.inference.prediction import Prediction, prediction
from limelight.inference.predictor import Predictor
from limelight.models.inputs import Size, clip_frames

_SIZES_DIFFER = "the frames of a clip differ in size; bring them to one"


@dataclass(frozen=True)
class EncodedFrame:
    """What windows share of a frame; see `SaliencyPredictor.encode_frame`."""

    features: Any
    """The backend's own."""
    image_HW3: np.ndarray
    input_size: Size
    milliseconds: dict[str, float]


class SaliencyPredictor(Predictor[Prediction]):
    """Finds what is salient.

    Example:
        predictor = load("artifacts/sdnet-deploy")
        saliency_HW = predictor.predict(["photo.jpg"])[0].saliency_HW

        predictor = load("artifacts/sdnet-rgbd")
        predictor.predict([read_image("photo.jpg")], [read_companion("depth.png", depth=True)])
    """

    def predict(
        self,
        images: Sequence[np.ndarray | Path | str | Image.Image],
        companions: Sequence[np.ndarray | None] | None = None,
        *,
        modality: str | None = None,
        batch_size: int = 8,
        output_processing_res: bool = False,
    ) -> list[Prediction]:
        """Predict the saliency map of each picture. No result depends on the other pictures of its batch.

        Args:
            images: uint8 HxWx3 RGB, each of any size; or files, read as by `read_image`; or PIL pictures, taken as
                their RGB pixels are, neither turned nor brought to sRGB.
            companions: one depth or thermal picture per image, uint8, uint16 or float in [0, 1], HxW of any size with
                the image's proportions; None for an image that has none.
            modality: what the companions are, 'rgbd' (depth) or 'rgbt' (thermal), for a network that takes both.
            batch_size: most pictures per batch; 0 = as many as fit in free memory, up to
                `MAX_BATCH_SIZE`.
            output_processing_res: return results at the network's input size, not at the pictures' own.

        Returns:
            One prediction per picture, in order.

        Raises:
            UserError: an image is none of these or cannot be read, a companion is of another kind, has no reading or
                        does not match its image, or the network does not support an input or lacks a required one.
            Shortage: one picture does not fit in memory.
        """
        finish = partial(prediction, finish=self.finish)
        return self._predict(
            [_pixels(image) for image in images],
            companions,
            modality,
            (),
            finish,
            batch_size=batch_size,
            output_processing_res=output_processing_res,
        )

    def predict_clip(self, frames: Sequence[np.ndarray]) -> list[Prediction]:
        """Predict the saliency maps of a clip's frames, which a network of clips sees together; others one by one.

        Args:
            frames: uint8 HxWx3 RGB, of one size, in their order.

        Raises:
            UserError: a frame is not a uint8 HxWx3 array, or they differ in size.
        """
        if clip_frames(self.card.architecture.inputs) is None or len(frames) < 2:
            return self.predict(frames)
        if len({frame.shape for frame in frames}) > 1:
            raise UserError(_SIZES_DIFFER)
        check_picture(frames[0])
        size = self._size_of((frames[0].shape[0], frames[0].shape[1]))
        finish = partial(prediction, finish=self.finish)
        with raising_shortage():
            none, rgb = [None] * len(frames), ["rgb"] * len(frames)
            return list(self._predict_batch(frames, none, rgb, size, (), finish, keep_size=False, is_clip=True))

    @property
    def streams(self) -> bool:
        """Whether `predict_next` takes the frames of a clip one by one.

        Causal networks do: in PyTorch, and as exports at the size that these were made for.
        """
        return self._backend.streams

    def predict_next(self, frame_HW3: np.ndarray, state: Any = None) -> tuple[Prediction, Any]:
        """Predict the next frame of a stream, only where `streams`.

        Args:
            frame_HW3: uint8 RGB, of the stream's size.
            state: what the call for the frame before returned, which it is good for once; None at the first.

        Raises:
            UserError: the frame is not a uint8 HxWx3 array.
        """
        image_13HW, size, milliseconds = self._prepared(frame_HW3)
        started = time.perf_counter()
        with self._turn:
            maps, after = self._backend.step(image_13HW, state)
        milliseconds["net"] = 1000 * (time.perf_counter() - started)
        return self._finished(maps, frame_HW3, size, milliseconds), after

    @property
    def windows(self) -> bool:
        """Whether windows of frames that overlap can share work, by `encode_frame`: networks of clips in PyTorch do."""
        return self._backend.windows

    def encode_frame(self, frame_HW3: np.ndarray) -> EncodedFrame:
        """Compute what all windows that hold a frame share of it, only where `windows`.

        Raises:
            UserError: the frame is not a uint8 HxWx3 array.
        """
        image_13HW, size, milliseconds = self._prepared(frame_HW3)
        started = time.perf_counter()
        with self._turn:
            features = self._backend.encode(image_13HW)
        milliseconds["net"] = 1000 * (time.perf_counter() - started)
        return EncodedFrame(features, frame_HW3, size, milliseconds)

    def decode_frame(self, window: Sequence[EncodedFrame], place: int) -> Prediction:
        """Predict one frame of a window: what `predict_clip` of its frames gives there.

        Args:
            place: of the frame, from 0.

        Raises:
            UserError: frames differ in size.
        """
        frame = window[place]
        if len({each.image_HW3.shape for each in window}) > 1:
            raise UserError(_SIZES_DIFFER)
        started = time.perf_counter()
        with self._turn:
            maps = self._backend.decode([each.features for each in window], place, frame.input_size)
        net = frame.milliseconds["net"] + 1000 * (time.perf_counter() - started)
        return self._finished(maps, frame.image_HW3, frame.input_size, frame.milliseconds | {"net": net})

    def _prepared(self, frame_HW3: np.ndarray) -> tuple[np.ndarray, Size, dict[str, float]]:
        """A frame as the network's image_13HW, the size of that, and the time that this took."""
        started = time.perf_counter()
        check_picture(frame_HW3)
        height, width, _ = frame_HW3.shape
        size = self._size_of((height, width))
        feeds = picture_feeds([frame_HW3], [None], ["rgb"], self.card, size)
        image_13HW = feeds[self.card.architecture.inputs[0].name][:, 0]
        return image_13HW, size, {"pre": 1000 * (time.perf_counter() - started)}

    def _finished(self, maps: Maps, frame_HW3: np.ndarray, size: Size, milliseconds: dict[str, float]) -> Prediction:
        started = time.perf_counter()
        height, width, _ = frame_HW3.shape
        map_1hw = self._refined(maps.probability_BKhw[0], frame_HW3, size, (height, width))
        result = prediction(map_1hw, None, (height, width), milliseconds, finish=self.finish)
        result.milliseconds["post"] = 1000 * (time.perf_counter() - started)
        return result


def _pixels(image: np.ndarray | Path | str | Image.Image) -> np.ndarray:
    if isinstance(image, str | Path):
        return read_image(image)
    return np.asarray(image.convert("RGB")) if isinstance(image, Image.Image) else image

"""A window that shows pictures one after another, by OpenCV where its build has windows."""

import os
import re
import sys
from typing import Self

import cv2
import numpy as np

from limelight.foundation.errors import UserError

_ESCAPE = 27
_GREY = 128
"""Behind what is transparent."""
_INSTEAD = "write a file instead (-o clip.mp4), or pipe into a player (-o - | ffplay -)"


class Window:
    """A window; q, Escape or its own button closes it. A context manager, of the main thread alone.

    Raises:
        UserError: there is no display, or this build of OpenCV has no windows.
    """

    def __init__(self, title: str) -> None:
        if sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
            raise UserError(f"there is no display for a window; {_INSTEAD}")
        if re.search(r"GUI:\s+NONE", cv2.getBuildInformation()):
            raise UserError(
                f"this build of OpenCV (opencv-python-headless) has no windows; replace it by opencv-python, {_INSTEAD}"
            )
        self._title = title
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        cv2.destroyAllWindows()

    def show(self, pixels: np.ndarray) -> bool:
        """Show a picture.

        Args:
            pixels: uint8 grey (H, W), RGB (H, W, 3) or with alpha (H, W, 4), which is shown on grey.

        Returns:
            Whether the window is still open.
        """
        if pixels.ndim == 3:
            if pixels.shape[2] == 4:
                alpha = pixels[..., 3:].astype(np.float32) / 255
                pixels = np.rint(alpha * pixels[..., :3] + (1 - alpha) * _GREY).astype(np.uint8)
            pixels = np.ascontiguousarray(pixels[..., ::-1])
        cv2.imshow(self._title, pixels)
        closed = cv2.waitKey(1) & 0xFF in (ord("q"), _ESCAPE)
        return not closed and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1

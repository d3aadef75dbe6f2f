"""The embedded renderer: pictures of salient objects with masks, depth, heat, classes and motion, from a seed."""

from limelight.data.renderer.dataset import render_dataset
from limelight.data.renderer.families import CLASSES
from limelight.data.renderer.scene import Scene, render_clip, render_scene

__all__ = ["CLASSES", "Scene", "render_clip", "render_dataset", "render_scene"]

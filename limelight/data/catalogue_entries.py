"""The entries of the catalogue. Counts are those their authors or the field's papers publish."""

from typing import Any

from limelight.config import Labels
from limelight.data.class_source import ClassSource
from limelight.data.dataset import OWN_LICENCE, UNKNOWN_LICENCE, Dataset
from limelight.data.layouts import Part, Parts
from limelight.models.card import Modality

_VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table", "dog",
    "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv/monitor",
)  # fmt: skip

_CONTEXT_CLASSES = (
    "aeroplane", "bag", "bed", "bedclothes", "bench", "bicycle", "bird", "boat", "book", "bottle", "building", "bus",
    "cabinet", "car", "cat", "ceiling", "chair", "cloth", "computer", "cow", "cup", "curtain", "dog", "door", "fence",
    "floor", "flower", "food", "grass", "ground", "horse", "keyboard", "light", "motorbike", "mountain", "mouse",
    "person", "plate", "platform", "potted plant", "road", "rock", "sheep", "shelves", "sidewalk", "sign", "sky",
    "snow", "sofa", "table", "track", "train", "tree", "truck", "tv/monitor", "wall", "water", "window", "wood",
)  # fmt: skip
_COCO_UNUSED = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
"""Pixel values in COCO's list of names that no annotation uses: street sign, hat, shoe and others."""


def _part(image: str, mask: str | None = None, companion: str | None = None, **more: Any) -> Parts:
    return (Part(image, mask, companion, **more),)


def _divided(image: str, mask: str, companion: str, train: str, test: str) -> Parts:
    return tuple(
        Part(f"{folder}/{image}", f"{folder}/{mask}", f"{folder}/{companion}", split=split)
        for folder, split in ((train, "train"), (test, "test"))
    )


def _listed(image: str, mask: str, listing: str, splits: dict[str, str]) -> Parts:
    return tuple(Part(image, mask, split=split, members=listing.format(name)) for name, split in splits.items())


def _pack(name: str, sensor: Modality, title: str, *folders: str, classes: ClassSource | None = None) -> Dataset:
    layout = _part(*(f"{{split}}/{folder}" for folder in folders))
    labels: Labels = "classes" if classes else "mask"
    return Dataset(name, sensor, labels, title, (layout,), {}, OWN_LICENCE, pack=True, classes=classes)


_EMBEDDED = (
    _pack("embedded", "rgb", "The small drawn set that comes with the repository", "images", "masks"),
    _pack("embedded-rgbd", "rgbd", "The same scenes with depth", "images", "masks", "depth"),
    _pack("embedded-rgbt", "rgbt", "The same scenes with a thermal image", "images", "masks", "thermal"),
    _pack("embedded-video", "rgb", "Moving clips of it", "clips/{clip}/frames", "clips/{clip}/masks"),
    _pack("embedded-text", "rgb", "The same scenes with class ids", "images", "labels", classes=ClassSource(ignore=())),
)
_RENDERED = Dataset(
    "rendered",
    "rgb",
    "mask",
    "Scenes drawn by the renderer, as `render` in params.yaml says",
    (_part("{split}/images", "{split}/masks"),),
    {},
    OWN_LICENCE,
)

_SALIENCY_STILLS = [
    Dataset(
        "DUTS-TR", "rgb", "mask", "DUTS, training part",
        (_part("DUTS-TR-Image", "DUTS-TR-Mask"),), {"train": 10553}, UNKNOWN_LICENCE,
        "http://saliencydetection.net/duts/", "DUTS-TR.zip: the folders DUTS-TR-Image and DUTS-TR-Mask", "train",
    ),
    Dataset(
        "DUTS-TE", "rgb", "mask", "DUTS, test part",
        (_part("DUTS-TE-Image", "DUTS-TE-Mask"),), {"test": 5019}, UNKNOWN_LICENCE,
        "http://saliencydetection.net/duts/", "DUTS-TE.zip: the folders DUTS-TE-Image and DUTS-TE-Mask", "test",
    ),
    Dataset(
        "DUT-OMRON", "rgb", "mask", "Natural images with complex backgrounds",
        (_part("DUT-OMRON-image", "pixelwiseGT-new-PNG"),), {"test": 5168}, UNKNOWN_LICENCE,
        "http://saliencydetection.net/dut-omron/",
        "images and pixel-wise ground truth: the folders DUT-OMRON-image and pixelwiseGT-new-PNG", "test",
    ),
    Dataset(
        "HKU-IS", "rgb", "mask", "Several salient objects, or low contrast",
        (_part("imgs", "gt"),), {"test": 4447}, UNKNOWN_LICENCE,
        "https://i.cs.hku.hk/~gbli/deep_saliency.html", "HKU-IS.rar: the folders imgs and gt", "test",
    ),
    Dataset(
        "ECSSD", "rgb", "mask", "Extended Complex Scene Saliency",
        (_part("images", "ground_truth_mask"),), {"test": 1000}, UNKNOWN_LICENCE,
        "https://www.cse.cuhk.edu.hk/leojia/projects/hsaliency/dataset.html",
        "images.zip and ground_truth_mask.zip: the folders images and ground_truth_mask", "test",
    ),
    Dataset(
        "PASCAL-S", "rgb", "mask", "Images of PASCAL VOC 2010 validation; soft masks",
        (_part("datasets/imgs/pascal", "datasets/masks/pascal"),), {"test": 850},
        "unknown, research use; photos under Flickr's terms",
        "https://cbs.ic.gatech.edu/salobj/", "the folders datasets/imgs/pascal and datasets/masks/pascal", "test",
        soft_masks=True,
    ),
    Dataset(
        "SOD", "rgb", "mask", "Images of the Berkeley segmentation dataset",
        (), {"test": 300}, "unknown, research use; photos under the Berkeley dataset's non-commercial terms",
        "http://elderlab.yorku.ca/SOD/",
        "a version with one PNG mask per image: the folders images and GT", "test",
    ),
    Dataset(
        "KD-SOD80K", "rgb", "none", "Unlabelled images of ImageNet, for distillation",
        (_part("image"), _part("images"), _part("."),), {"unlabelled": 80000},
        "ImageNet's terms: non-commercial research",
        "https://github.com/zhangjinCV/KD-SCFNet", "the dataset's folder linked there: its images in a folder images",
        "unlabelled",
    ),
]  # fmt: skip

_DEPTH = [
    Dataset(
        "LFSD", "rgbd", "mask", "Light field saliency", (), {"test": 100}, UNKNOWN_LICENCE,
        "https://sites.duke.edu/nianyi/publication/saliency-detection-on-light-field/",
        "all-focus images, depth maps and masks: the folders RGB, depth and GT", "test",
    ),
    Dataset(
        "NJUD", "rgbd", "mask", "NJU2K, stereo images",
        (_divided("RGB", "GT", "depth", "train", "test"),), {"train": 1485, "test": 500}, UNKNOWN_LICENCE,
        "http://mcg.nju.edu.cn/publication/2014/icip14-jur/index.html",
        "the usual division: train/RGB, train/depth, train/GT and test/RGB, test/depth, test/GT",
    ),
    Dataset(
        "NLPR", "rgbd", "mask", "Kinect, indoors and outdoors",
        (_divided("RGB", "GT", "depth", "train", "test"),), {"train": 700, "test": 300}, UNKNOWN_LICENCE,
        "https://sites.google.com/site/rgbdsaliency/home",
        "the usual division: train/RGB, train/depth, train/GT and test/RGB, test/depth, test/GT",
    ),
    Dataset(
        "DUTLF", "rgbd", "mask", "DUT-RGBD, from a light field camera",
        (_divided("RGB", "GT", "depth", "train", "test"),), {"train": 800, "test": 400}, UNKNOWN_LICENCE,
        "https://github.com/jiwei0921/DMRA", "DUT-RGBD: train/RGB, train/depth, train/GT and the same below test",
    ),
    Dataset(
        "SIP", "rgbd", "mask", "Salient persons, from a phone",
        (), {"test": 929}, UNKNOWN_LICENCE,
        "http://dpfan.net/SIPDataset/", "the folders RGB, depth and GT", "test",
    ),
]  # fmt: skip

_THERMAL = [
    Dataset(
        "VT5000", "rgbt", "mask", "RGB and thermal pairs, aligned",
        (_divided("RGB", "GT", "T", "Train", "Test"),), {"train": 2500, "test": 2500}, UNKNOWN_LICENCE,
        "https://github.com/lz118/RGBT-Salient-Object-Detection",
        "Train/RGB, Train/T, Train/GT and the same below Test",
    ),
    Dataset(
        "VT821", "rgbt", "mask", "RGB and thermal pairs, some with noise", (), {"test": 821}, UNKNOWN_LICENCE,
        "https://github.com/lz118/RGBT-Salient-Object-Detection", "the folders RGB, T and GT", "test",
    ),
    Dataset(
        "VT1000", "rgbt", "mask", "RGB and thermal pairs of simple scenes", (), {"test": 1000}, UNKNOWN_LICENCE,
        "https://github.com/lz118/RGBT-Salient-Object-Detection", "the folders RGB, T and GT", "test",
    ),
]  # fmt: skip

_VIDEO = [
    Dataset(
        "DAVIS", "rgb", "mask", "DAVIS-2016: every frame annotated; its val part is what papers test on",
        (
            _listed(
                "JPEGImages/480p/{clip}", "Annotations/480p/{clip}", "ImageSets/480p/{}.txt",
                {"train": "train", "val": "test"},
            ),
            _listed(
                "JPEGImages/480p/{clip}", "Annotations/480p/{clip}", "ImageSets/2016/{}.txt",
                {"train": "train", "val": "test"},
            ),
            _part("{clip}/Imgs", "{clip}/ground-truth"),
        ), {"train": 30, "test": 20}, UNKNOWN_LICENCE,
        "https://davischallenge.org/davis2016/code.html", "DAVIS-data.zip: JPEGImages, Annotations and ImageSets",
        "test",
    ),
    Dataset(
        "DAVSOD", "rgb", "mask", "Attention-consistent video saliency; tested on its easy part",
        tuple(
            tuple(
                Part(f"{folder}/{{clip}}/Imgs", f"{folder}/{{clip}}/GT_object_level", split=split)
                for folder, split in zip(folders, ("train", "val", "test"), strict=True)
            )
            for folders in (
                ("DAVSOD_Training_Set", "DAVSOD_Validation_Set", "DAVSOD_Test_Set_Easy_35"),
                ("Training Set", "Validation Set", "Easy-35"),
            )
        ), {"train": 61, "val": 46, "test": 35}, UNKNOWN_LICENCE,
        "https://github.com/DengPingFan/DAVSOD", "the folders Training Set, Validation Set and Easy-35",
    ),
    Dataset(
        "VOS", "rgb", "mask", "Long videos, 7,650 annotated key frames; no official division, so clips are drawn 3:1:1",
        (_part("JPEGImages/{clip}", "Annotations/{clip}", labelled_only=True),),
        {"train": 120, "val": 40, "test": 40}, UNKNOWN_LICENCE,
        "http://cvteam.net/projects/TIP18-VOS/VOS.html", "the folders JPEGImages and Annotations",
        {"train": 0.6, "val": 0.2, "test": 0.2},
    ),
]  # fmt: skip

_TEXT = [
    Dataset(
        "ADE20K", "rgb", "classes", "Scene parsing, 150 classes",
        (
            (
                Part("images/training", "annotations/training", split="train"),
                Part("images/validation", "annotations/validation", split="val"),
            ),
        ), {"train": 20210, "val": 2000}, "annotations BSD-3-Clause; images for non-commercial research",
        "http://sceneparsing.csail.mit.edu/",
        "ADEChallengeData2016.zip: images, annotations and objectInfo150.txt",
        classes=ClassSource("objectInfo150.txt", ignore=(0,)),
    ),
    Dataset(
        "PASCAL-VOC", "rgb", "classes", "VOC 2012 segmentation, 20 classes",
        (
            _listed(
                "JPEGImages", "SegmentationClass", "ImageSets/Segmentation/{}.txt",
                {"train": "train", "val": "val"},
            ),
        ), {"train": 1464, "val": 1449}, "photos under Flickr's terms; research use",
        "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
        "VOC2012: JPEGImages, SegmentationClass and ImageSets (below VOCdevkit/VOC2012)",
        classes=ClassSource(names=_VOC_CLASSES),
    ),
    Dataset(
        "PASCAL-Context", "rgb", "classes", "VOC 2010 with whole scenes annotated, 59 classes",
        (
            _listed(
                "JPEGImages", "SegmentationClassContext", "ImageSets/SegmentationContext/{}.txt",
                {"train": "train", "val": "val"},
            ),
        ), {"train": 4998, "val": 5105}, "photos under Flickr's terms; research use",
        "https://cs.stanford.edu/~roozbeh/pascal-context/",
        "VOC2010's JPEGImages, label maps as PNG in SegmentationClassContext, lists in ImageSets/SegmentationContext "
        "(as MMSegmentation converts them: the 59 classes by the alphabet, not by 59_labels.txt)",
        classes=ClassSource(names=_CONTEXT_CLASSES, ignore=(0, 255)),
    ),
    Dataset(
        "COCO-Stuff", "rgb", "classes", "COCO 2017 with things and stuff, 171 classes",
        tuple(
            tuple(Part(f"{images}{split}2017", f"{maps}/{split}2017", split=split) for split in splits)
            for splits in (("train", "val"), ("val",), ("train",))  # often only the small split is downloaded
            for images, maps in (("images/", "annotations"), ("", "stuffthingmaps"))
        ), {"train": 118287, "val": 5000}, "annotations CC BY 4.0; photos under Flickr's terms",
        "https://github.com/nightrome/cocostuff",
        "train2017.zip and val2017.zip below images, stuffthingmaps_trainval2017.zip below annotations, and labels.txt",
        classes=ClassSource("labels.txt", shift=1, ignore=(*_COCO_UNUSED, 255)),
    ),
]  # fmt: skip

ENTRIES: tuple[Dataset, ...] = (
    *_EMBEDDED,
    _RENDERED,
    *_SALIENCY_STILLS,
    *_DEPTH,
    *_THERMAL,
    *_VIDEO,
    *_TEXT,
)

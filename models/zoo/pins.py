"""The table of published weights, by the names that they are used by.

Addresses and hashes are those of the authors' pages, of rembg 2.0.86 and of transparent-background 1.3.4.
"""

from limelight.models.card import IMAGENET_MEAN, IMAGENET_STD
from limelight.models.zoo.pin import ByHand, Checkpoint, Onnx, Pin

_DUTS = ("DUTS-TR",)
_PLUS_ULTRA = (
    *("DUTS-TR", "HRSOD-TR", "UHRSD-TR", "DUTS-TE", "DUT-OMRON", "ECSSD", "HKU-IS", "PASCAL-S", "DAVIS-S"),
    *("HRSOD-TE", "UHRSD-TE", "FSS-1000", "MSRA-10K"),
)
"""Test sets too: figures on them say nothing."""


def _drive(identifier: str) -> str:
    return f"https://drive.google.com/file/d/{identifier}"


def _remover(version: str, file: str, size: int, hash: str, trained_on: tuple[str, ...]) -> Pin:
    """InSPyReNet as transparent-background uses it: stretched to a square."""
    release = "https://github.com/plemeri/transparent-background/releases/download/1.2.12"
    return Pin(
        name=f"inspyrenet-swinb.{version}",
        content=Checkpoint("inspyrenet-swinb", size, {"base_size": size}, trained_on=trained_on),
        url=f"{release}/{file}",
        file=file,
        licence="MIT",
        hash=hash,
        about=367,
        program="transparent-background",
    )


def _inspyrenet(content: Checkpoint, identifier: str) -> Pin:
    """InSPyReNet of the paper, trained at 384 pixels."""
    return Pin(
        name=f"{content.network}.duts",
        content=content,
        url=_drive(identifier),
        file="latest.pth",
        licence="MIT",
    )


def _sdnet(network: str, size: int, start: str, length: int, sha256: str) -> Pin:
    file = f"{network.replace('-', '')}_{start}.pth"
    return Pin(
        name=f"{network}.duts",
        content=Checkpoint(network, size, trained_on=_DUTS),
        url=f"https://github.com/hellozhuo/stdnet/raw/main/checkpoints/{file}",
        file=file,
        licence="MIT",
        terms="contact the authors for any commercial use",
        hash=f"sha256:{sha256}",
        bytes=length,
    )


def _scfnet(name: str, size: int, identifier: str, trained_on: tuple[str, ...]) -> Pin:
    return Pin(
        name=name,
        content=Checkpoint(name.partition(".")[0], size, trained_on=trained_on),
        url=_drive(identifier),
        file=f"{name}.pdparams",
        licence="none stated",
        terms="all rights reserved, no commercial use",
    )


def _rembg(name: str, file: str, hash: str, content: Onnx, licence: str, terms: str = "") -> Pin:
    return Pin(
        name=name,
        content=content,
        url=f"https://github.com/danielgatis/rembg/releases/download/v0.0.0/{file}",
        file=file,
        licence=licence,
        terms=terms,
        hash=hash,
        program="rembg",
    )


_U2NET = Onnx(320, IMAGENET_MEAN, IMAGENET_STD, logits=False)
_BIREFNET = Onnx(1024, IMAGENET_MEAN, IMAGENET_STD, logits=True)
_ISNET = Onnx(1024, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0), logits=False)
_ANIME = Onnx(1024, IMAGENET_MEAN, (1.0, 1.0, 1.0), logits=False)
_RMBG = Onnx(1024, IMAGENET_MEAN, IMAGENET_STD, logits=False)

# Of the authors' test configurations, Res2Net's resizes to 384 x 384 and has no threshold; SwinB's keeps proportions
# and blends larger pictures with a second pass.
_RES2NET50 = Checkpoint("inspyrenet-res2net50", 384, trained_on=_DUTS)
_SWINB = Checkpoint("inspyrenet-swinb", 384, {"blend_above": 512}, {"policy": "shorter", "size": (1280, 1280)}, _DUTS)

_ALL = (
    _remover("plus-ultra", "ckpt_base.pth", 1024, "md5:d692e3dd5fa1b9658949d452bebf1cda", _PLUS_ULTRA),
    _remover("plus-ultra-lr", "ckpt_fast.pth", 384, "md5:9efdbfbcc49b79ef0f7891c83d2fd52f", _PLUS_ULTRA),
    _remover("nightly", "ckpt_base_nightly.pth", 1024, "", ()),
    _inspyrenet(_RES2NET50, "12moRuU8F0-xRvE16bVg6mkGWDuqYHJor"),
    _inspyrenet(_SWINB, "1k5hNJImgEgSmz-ZeJEEb_dVkrOnswVMq"),
    _sdnet("sdnet", 320, "from_scratch", 3_031_139, "1be3d679e894ac7e5255ebe9f181d4f18e8a5e58627de1aec109f5cad7a1671b"),
    _sdnet(
        "sdnet-a", 384, "from_pretrained", 3_559_983, "fab5d3e8744a203a329ada6750e408430c2bb173da79bdf64b2d9ec313ba65d9"
    ),
    _scfnet("scfnet-mobilenetv3.fs", 352, "16Sd3jk44kDDhpkbO6fkZ4JrGDGT8rTcA", _DUTS),
    _scfnet("scfnet-mobilenetv3.kd-r50", 352, "1pzR914hF078dJ762DLFoVOk72AREtjVn", ("KD-SOD80K",)),
    # The size is inferred: its teacher, of Swin-B, takes 384 pixels alone, and its published cost, 0.30 GMACs, is that
    # at 384.
    _scfnet("scfnet-mobilenetv3.kd-stb", 384, "1WX8iFMkuE8RxFtOwJT_bPlyyBu84n0Eq", ("KD-SOD80K",)),
    _scfnet("scfnet-resnet50", 352, "1LeSxaZ8jLin5UOKm2TBQckv0IhPFDI54", _DUTS),
    _scfnet("scfnet-swinb", 384, "1d-jhK5WBLes-ME-cNIIXh5pMZHnXGPi4", _DUTS),
    Pin(
        name="diffsod",
        content=ByHand(
            "diffsod",
            384,
            "limelight import <branch.pth> --model diffsod --unet <folder> -o artifacts/diffsod-published",
        ),
        url=_drive("1bfnhDv6KKCJrsIy6DBj_41CMIt9EFxlG"),
        file=f"the branch from {_drive('1aNRStCeNGLVE8x1z-cxNa42f2u0-AvZI')} and the UNet",
        licence="openrail++",
    ),
    Pin(
        name="segdiffusion",
        content=ByHand(
            "segdiffusion", 384, "limelight import --model segdiffusion --unet <folder> -o artifacts/seg-published"
        ),
        url=_drive("1o8gBxJAgppyGZYZ_NeuHRv3gL6mhf_B3"),
        file="the UNet",
        licence="openrail++",
    ),
    _rembg("u2net", "u2net.onnx", "md5:60024c5c889badc19c04ad937298a77b", _U2NET, "Apache-2.0"),
    _rembg("u2netp", "u2netp.onnx", "md5:8e83ca70e441ab06c318d82300c84806", _U2NET, "Apache-2.0"),
    _rembg("u2net_human_seg", "u2net_human_seg.onnx", "md5:c09ddc2e0104f800e3e1bb4652583d1f", _U2NET, "Apache-2.0"),
    _rembg("silueta", "silueta.onnx", "md5:55e59e0d8062d2f5d013f4725ee84782", _U2NET, "Apache-2.0"),
    _rembg("isnet-general-use", "isnet-general-use.onnx", "md5:fc16ebd8b0c10d971d3513d564d01e29", _ISNET, "Apache-2.0"),
    _rembg("isnet-anime", "isnet-anime.onnx", "md5:6f184e756bb3bd901c8849220a83e38e", _ANIME, "Apache-2.0"),
    *(
        _rembg(f"birefnet-{kind}", f"BiRefNet-{file}.onnx", f"md5:{digest}", _BIREFNET, "MIT")
        for kind, file, digest in (
            ("general", "general-epoch_244", "7a35a0141cbbc80de11d9c9a28f52697"),
            ("general-lite", "general-bb_swin_v1_tiny-epoch_232", "4fab47adc4ff364be1713e97b7e66334"),
            ("portrait", "portrait-epoch_150", "c3a64a6abf20250d090cd055f12a3b67"),
            ("dis", "DIS-epoch_590", "2d4d44102b446f33a4ebb2e56c051f2b"),
            ("hrsod", "HRSOD_DHU-epoch_115", "c017ade5de8a50ff0fd74d790d268dda"),
            ("cod", "COD-epoch_125", "f6d0d21ca89d287f17e7afe9f5fd3b45"),
            ("massive", "massive-TR_DIS5K_TR_TEs-epoch_420", "33e726a2136a3d59eb0fdf613e31e3e9"),
        )
    ),
    _rembg(
        "bria-rmbg",
        "bria-rmbg-2.0.onnx",
        "sha256:5b486f08200f513f460da46dd701db5fbb47d79b4be4b708a19444bcd4e79958",
        _RMBG,
        "BRIA RMBG-2.0",
        "no commercial use without an agreement",
    ),
)
PINS: dict[str, Pin] = {pin.name: pin for pin in _ALL}
"""Name -> its pin, in listing order."""

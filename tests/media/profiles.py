"""ICC profiles made by hand (ICC.1:2001-04): Display P3, Adobe RGB, grey gamma."""

import struct

import numpy as np

D65, D50 = (0.9504559, 1.0, 1.0890578), (0.9642, 1.0, 0.8249)
PRIMARIES = {
    "sRGB": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    "Display P3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    "Adobe RGB": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)),
}
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def _to_xyz(name: str) -> np.ndarray:
    """RGB -> XYZ of the profile's white D50, columns red, green, blue."""
    columns = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in PRIMARIES[name]]).T
    native = columns * np.linalg.solve(columns, D65)
    adapt = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ D65)) @ BRADFORD
    return adapt @ native


def _s15f16(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _curve(name: str, size: int = 1024) -> bytes:
    if name == "Adobe RGB":
        return b"curv" + bytes(4) + struct.pack(">IH", 1, round(563 / 256 * 256))
    signal = np.linspace(0, 1, size)
    linear = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    return b"curv" + bytes(4) + struct.pack(">I", size) + np.rint(linear * 65535).astype(">u2").tobytes()


def _profile(colour_space: bytes, tags: dict[bytes, bytes]) -> bytes:
    header = bytearray(128)
    header[8:12] = b"\x02\x40\0\0"
    header[12:24] = b"mntr" + colour_space + b"XYZ "
    header[36:40] = b"acsp"
    header[68:80] = _s15f16(*D50)
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for signature, content in tags.items():
        table += signature + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    whole = bytearray(header + struct.pack(">I", len(tags)) + table + body)
    whole[:4] = struct.pack(">I", len(whole))
    return bytes(whole)


def _text(name: str) -> bytes:
    text = name.encode() + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(12 + 67)


def rgb_profile(name: str) -> bytes:
    """A matrix profile of one of `PRIMARIES`."""
    columns = {
        key: b"XYZ " + bytes(4) + _s15f16(*column)
        for key, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), _to_xyz(name).T, strict=True)
    }
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(name))
    white = b"XYZ " + bytes(4) + _s15f16(*D50)
    return _profile(b"RGB ", {b"desc": _text(name), b"wtpt": white, **columns, **curves})


def grey_profile(gamma: float) -> bytes:
    """A grey of this gamma."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    white = b"XYZ " + bytes(4) + _s15f16(*D50)
    return _profile(b"GRAY", {b"desc": _text("grey"), b"wtpt": white, b"kTRC": curve})


def cmyk_profile(inks: dict[tuple[int, int, int, int], tuple[float, float, float]]) -> bytes:
    """A print profile that knows some corners of the CMYK cube by their Lab, and takes the others for white."""
    table = np.empty((2, 2, 2, 2, 3), np.uint8)
    table[...] = _lab_8(100, 0, 0)
    for corner, lab in inks.items():
        table[corner] = _lab_8(*lab)
    identity = np.arange(256, dtype=np.uint8).tobytes()
    matrix = _s15f16(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix + identity * 4 + table.tobytes() + identity * 3
    white = b"XYZ " + bytes(4) + _s15f16(*D50)
    profile = bytearray(_profile(b"CMYK", {b"desc": _text("print"), b"wtpt": white, b"A2B0": lut}))
    profile[12:16], profile[20:24] = b"prtr", b"Lab "
    return bytes(profile)


def _lab_8(lightness: float, a: float, b: float) -> tuple[int, int, int]:
    """ICC.1:2001-04, 6.3.4: 8-bit Lab."""
    return round(lightness * 2.55), round(a + 128), round(b + 128)

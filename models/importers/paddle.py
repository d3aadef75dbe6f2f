"""PaddlePaddle's .pdparams files: a pickle of name -> NumPy array, read without Paddle and without running anything.

A pickle is a program that may call whatever it names. This reader lets it name the few things that an array is made of,
and hands it inert stand-ins even for those: arrays are built here, from the bytes, once the whole file has been read.
"""

import pickle
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from limelight.foundation.errors import UserError, reason_of

BOOKKEEPING = "StructuredToParameterName@@"
RENAMED = {"_mean": "running_mean", "_variance": "running_var"}
DERIVED = ("attn_mask", "relative_position_index")
"""Buffers that a network computes for itself."""
LINEAR = re.compile(r"(attn\.(qkv|proj)|mlp\.fc[12]|downsample\.reduction|(^|\.)fc)\.weight")
"""Linear weights: Paddle stores (in, out), torch (out, in). Matched by name, since a square one fits either way."""
KINDS = {"f2": "f2", "f4": "f4", "f8": "f8", "i4": "i4", "i8": "i8", "u1": "u1", "b1": "?"}


class _DType:
    """Stands for numpy.dtype."""

    def __init__(self, code: str, align: bool = False, copy: bool = True) -> None:
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


class _Array:
    """Stands for numpy.ndarray: shape, type and bytes as the file gives them."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.dtype, self.fortran, self.data = state

    def tensor(self) -> Tensor:
        """The array, in memory of its own.

        Raises:
            ValueError, KeyError: a type other than plain numbers, or another number of bytes than the shape needs.
        """
        order: Literal["<", ">"] = "<" if self.dtype.order in "<|=" else ">"
        data = self.data.encode("latin1") if isinstance(self.data, str) else self.data
        flat = np.frombuffer(data, np.dtype(KINDS[self.dtype.code]).newbyteorder(order))
        array = flat.reshape(self.shape, order="F" if self.fortran else "C")
        return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): dict,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which a file of weights never needs")
        return _ALLOWED[module, name]


def read_pdparams(path: Path | str) -> dict[str, Tensor]:
    """Read a .pdparams file into torch's conventions: running statistics renamed, linear weights transposed.

    Buffers that a network derives (attention masks, position indices) and Paddle's bookkeeping are left out. Accepts
    plain arrays and the (name, array) pairs of older Paddle.

    Raises:
        UserError: no such file; not a pickle, or a truncated one; anything in it but names and arrays of numbers.
    """
    try:
        with Path(path).open("rb") as handle:
            content = _Unpickler(handle, encoding="latin1").load()
        arrays = {str(key): value for key, value in dict(content).items() if key != BOOKKEEPING}
        return {
            _torch_name(key): _torch_layout(key, value) for key, value in arrays.items() if not key.endswith(DERIVED)
        }
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give the path of a .pdparams file") from error
    except Exception as error:  # a hostile or damaged pickle can make the unpickler raise anything
        reason = reason_of(error)
        raise UserError(f"{path} is not a file of Paddle weights: {reason}; download it again") from error


def _torch_name(key: str) -> str:
    stem, _, last = key.rpartition(".")
    return f"{stem}.{RENAMED[last]}" if last in RENAMED else key


def _torch_layout(key: str, value: Any) -> Tensor:
    array = value[1] if isinstance(value, tuple) else value
    if not isinstance(array, _Array):
        raise ValueError(f"{key} is a {type(array).__name__}, not an array")
    tensor = array.tensor()
    return tensor.T.contiguous() if LINEAR.search(key) and tensor.ndim == 2 else tensor

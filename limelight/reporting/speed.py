"""Latency of a predictor on this machine, and a description of the machine."""

import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from limelight.foundation.this_process import cores

WARM_UP = 3


def median_and_p90(predict: Callable[[], float], runs: int) -> dict[str, float]:
    """Time single predictions, one after another, after three for warm-up.

    Args:
        predict: predicts once, with files already read and decoded, and returns the network's milliseconds.
        runs: timed predictions.

    Returns:
        Milliseconds: network_median and network_p90 of the network alone, total_median and total_p90 with resizing,
        normalisation and resizing back.
    """
    network, total = [], []
    for index in range(WARM_UP + runs):
        started = time.perf_counter()
        taken = predict()
        elapsed = 1000 * (time.perf_counter() - started)
        if index >= WARM_UP:
            network.append(taken)
            total.append(elapsed)
    figures = {}
    for name, values in (("network", network), ("total", total)):
        figures[f"{name}_median"] = round(float(np.median(values)), 3)
        figures[f"{name}_p90"] = round(float(np.percentile(values, 90)), 3)
    return figures


def peak_memory_mb() -> float:
    """Return the peak resident set size of this process in 10^6 bytes."""
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.is_file() else ():
        if line.startswith("VmHWM:"):  # getrusage counts what the parent process held when it started this one
            return round(int(line.split()[1]) * 1024 / 1e6, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6, 1)


def hardware() -> str:
    """Describe in one line: processor, cores this process may use, memory, system; the GPU too where torch sees one."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [_processor(), f"{cores()} cores", f"{memory:.0f} GiB", f"{platform.system()} {platform.machine()}"]
    if (torch := sys.modules.get("torch")) and torch.cuda.is_available():
        parts.insert(0, torch.cuda.get_device_name())
    return ", ".join(parts)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.is_file() else ():
        if line.startswith("model name"):
            return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()

"""Benchmark of the packaged champion's service: requests per second, and latency.

    python -m benchmarks.serving                                  # the bento of the last pipeline run, a drawn picture
    python -m benchmarks.serving --image photo.jpg --clients 1 4 16
    python -m benchmarks.serving --url http://127.0.0.1:3000      # a service that runs already

Each client sends its next request when the last one is answered. Clients and service share the machine.
"""

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np

from limelight.imaging.images import encode
from limelight.packaging.bento import served, unpack
from limelight.reporting.speed import hardware

BENTO = Path("artifacts/bento/limelight.bento")


def measure(url: str, picture: bytes, clients: int, requests: int) -> dict[str, float]:
    """Measure requests per second and the distribution of latencies, milliseconds, over `requests` answered requests.

    Raises:
        httpx.HTTPStatusError: a request was not answered with 200.
    """
    latencies: list[float] = []

    def client(count: int) -> None:
        with httpx.Client(base_url=url, timeout=60) as session:
            for _ in range(count):
                started = time.perf_counter()
                session.post("/predict", files={"image": ("picture.jpg", picture)}).raise_for_status()
                latencies.append(1000 * (time.perf_counter() - started))

    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, [max(1, requests // clients)] * clients))
    elapsed = time.perf_counter() - started
    return {
        "clients": clients,
        "requests_per_second": round(len(latencies) / elapsed, 1),
        **{f"p{share}_ms": round(float(np.percentile(latencies, share)), 1) for share in (50, 95, 99)},
    }


def _service(url: str | None, bento: Path, folder: Path) -> AbstractContextManager[str]:
    """The URL of a service: the given one, or one started here from the bento, unpacked into `folder`."""
    if url:
        return nullcontext(url)
    return served(str(unpack(bento, folder / "bento")), {"BENTOML_HOME": str(folder / "home")})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="of a running service")
    parser.add_argument("--bento", type=Path, default=BENTO)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--requests", type=int, default=200, help="per group of clients")
    given = parser.parse_args()
    drawn = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    picture = given.image.read_bytes() if given.image else encode(drawn)
    with TemporaryDirectory() as folder, _service(given.url, given.bento, Path(folder)) as url:
        measure(url, picture, 1, 10)
        report = [measure(url, picture, clients, given.requests) for clients in given.clients]
    print(json.dumps({"picture_bytes": len(picture), "hardware": hardware(), "load": report}, indent=2))


if __name__ == "__main__":
    main()

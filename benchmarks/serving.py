"""Benchmark of a service: requests per second, and latency.

    python -m benchmarks.serving                                  # limelight-base, a drawn picture
    python -m benchmarks.serving --model artifacts/mine-deploy --image photo.jpg --clients 1 4 16
    python -m benchmarks.serving --bento artifacts/bento/limelight.bento          # that of the last pipeline run
    python -m benchmarks.serving --url http://127.0.0.1:3000      # a service that runs already

Each client sends its next request when the last one is answered. Clients and service share the machine. Of a model's
service, the rate is also compared with that of one process that decodes, predicts and encodes the same picture.
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

from benchmarks._command import run_command
from limelight.deploy.export_cache import with_export
from limelight.foundation.errors import UserError
from limelight.imaging.encoding import encode
from limelight.imaging.images import read_picture
from limelight.inference.loading import load
from limelight.inference.plan import Request
from limelight.inference.saliency import SaliencyPredictor
from limelight.packaging.bento import unpack
from limelight.packaging.serving import running, served
from limelight.predict.styles import Style
from limelight.reporting.speed import hardware


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


def in_one_process(model: str, runtime: str, picture: bytes, requests: int) -> float:
    """Pictures per second of decoding, predicting and encoding a map, one after the other, without a service."""
    predictor = load(with_export(model, runtime, lasting=True), Request(runtime, "cpu"))
    if not isinstance(predictor, SaliencyPredictor):
        raise UserError("--model takes text prompts; name a network of saliency")
    style = Style("map")
    started = 0.0
    for turn in range(requests + 3):
        if turn == 3:  # the first are slower
            started = time.perf_counter()
        photo = read_picture(picture).photo
        style.render(photo, predictor.predict([photo.image_HW3])[0])
    return requests / (time.perf_counter() - started)


def _service(
    url: str | None, bento: Path | None, model: str, runtime: str, folder: Path
) -> AbstractContextManager[str]:
    """The URL of a service: the given one, or one started here of a model or of the bento, unpacked into `folder`."""
    if url:
        return nullcontext(url)
    environment = {"BENTOML_HOME": str(folder / "home")}
    if bento:
        return served(str(unpack(bento, folder / "bento")), environment)
    return running(["-m", "limelight.services.launch", "--model", model], environment | {"LIMELIGHT_RUNTIME": runtime})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="of a running service")
    parser.add_argument("--bento", type=Path, help="of the pipeline")
    parser.add_argument("--model", default="limelight-base", help="serve a weights folder or a name")
    parser.add_argument("--runtime", default="openvino-fp32", help="of --model")
    parser.add_argument("--image", type=Path)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--requests", type=int, default=200, help="per group of clients")
    given = parser.parse_args()
    drawn = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    picture = given.image.read_bytes() if given.image else encode(drawn)
    named = not (given.url or given.bento)
    alone = in_one_process(given.model, given.runtime, picture, given.requests) if named else None
    with (
        TemporaryDirectory() as folder,
        _service(given.url, given.bento, given.model, given.runtime, Path(folder)) as url,
    ):
        measure(url, picture, 1, 10)
        load_by_clients = [measure(url, picture, clients, given.requests) for clients in given.clients]
    report = {"picture_bytes": len(picture), "hardware": hardware(), "load": load_by_clients}
    if alone:
        ratios = {f"{each['clients']} clients": each["requests_per_second"] / alone for each in load_by_clients}
        report |= {"one_process_per_second": alone, "share_of_one_process": ratios}
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    run_command(main)

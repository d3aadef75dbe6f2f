"""package: the champion as an exported bento, proved by a request to it."""

import json
import shutil
import urllib.request
from pathlib import Path

from limelight.config import Params
from models.errors import UserError
from stages.runner import stage_main

TARGET, REPORT, WORK = Path("artifacts/bento/limelight.bento"), Path("reports/package"), Path("work/package")


def run(params: Params) -> None:
    """reports/leaderboard/champion.json -> artifacts/bento/limelight.bento and reports/package/metrics.json.

    Raises:
        UserError: there is no champion, or the bento does not start, or answers otherwise than its weights do.
    """
    from limelight.inference.champion import champion
    from limelight.packaging import build_bento, served, unpack
    from limelight.tracking import tracked_run
    from models.files import sha256_file, write_json
    from models.weights import read_card

    chosen = champion()
    card = read_card(chosen.folder)
    with tracked_run(params, "package") as tracker:
        tag = build_bento(chosen.folder, chosen.runtime, params.active.package, TARGET, WORK)
        with served(str(unpack(TARGET, WORK / "unpacked")), {"BENTOML_HOME": str((WORK / "served").resolve())}) as url:
            difference = _difference(url, chosen.folder, chosen.runtime)
        facts = {
            "artifact": chosen.folder.name,
            "runtime": chosen.runtime,
            "tag": tag,
            "weights_sha256": card.sha256,
            "bento_sha256": sha256_file(TARGET),
            "megabytes": round(TARGET.stat().st_size / 1e6, 3),
            "served_difference": difference,
        }
        write_json(REPORT / "metrics.json", facts)
        tracker.log_params({key: value for key, value in facts.items() if isinstance(value, str)})
        tracker.log_metrics({key: value for key, value in facts.items() if not isinstance(value, str)})
    shutil.rmtree(WORK)
    print(f"{TARGET}: {tag}, {facts['megabytes']:.1f} MB, served {chosen.runtime} of {chosen.folder.name}")


def _difference(url: str, folder: Path, runtime: str) -> float:
    """The largest difference between a map that the bento serves and the one that its weights give here, in [0, 1]."""
    import cv2
    import numpy as np

    from limelight.inference.predictor import Predictor
    from limelight.media.images import read_image
    from limelight.media.outputs import encode

    image, companion = np.full((96, 128, 3), (40, 60, 90), np.uint8), np.full((96, 128), 60, np.uint8)
    cv2.circle(image, (70, 50), 24, (220, 160, 40), thickness=-1)
    cv2.circle(companion, (70, 50), 24, 180, thickness=-1)
    predictor = Predictor.load(folder, runtime=runtime)
    parts, second, modality = [("image", "image.png", encode(image))], None, None
    if predictor.card.companions:
        second, modality = companion, predictor.card.companions[0]
        parts += [("companion", "companion.png", encode(companion)), ("modality", None, modality.encode())]
    expected = predictor.predict([image], [second], modality=modality)[0].saliency_HW
    told = json.loads(_post(f"{url}/describe", b"{}", "application/json"))
    served = read_image(_post(f"{url}/predict", _form(parts), f"multipart/form-data; boundary={_BOUNDARY}"))
    served = served[..., 0] / 255
    difference = float(np.abs(served - expected).max())
    if difference > 1.01 / 255:  # rounding to 8 bits, and threads adding in another order
        raise UserError(
            f"the bento ({told['description']}) answers {difference:.3g} off; its weights are not {folder}'s"
        )
    return round(difference, 6)


_BOUNDARY = "boundary-of-the-parts"


def _form(parts: list[tuple[str, str | None, bytes]]) -> bytes:
    """A multipart body of (field, file name or None, content)."""
    lines = []
    for field, name, content in parts:
        place = f'; filename="{name}"' if name else ""
        lines += [f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"{place}\r\n\r\n'.encode(), content]
        lines.append(b"\r\n")
    return b"".join([*lines, f"--{_BOUNDARY}--\r\n".encode()])


def _post(url: str, body: bytes, kind: str) -> bytes:
    request = urllib.request.Request(url, body, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


if __name__ == "__main__":
    stage_main(run)

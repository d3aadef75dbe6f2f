"""Archives by URL: downloaded once, resumed after an interruption, verified by SHA-256 before they are unpacked."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from limelight.config import DatasetRequest
from limelight.data.hashes import HashCache
from limelight.data.index import DATASETS
from limelight.data.sources.unpacked import ensure_unpacked, is_unpacked
from limelight.download import download
from limelight.download.hashes import Hash
from limelight.download.order import Order
from limelight.foundation.errors import UserError

DOWNLOADS = Path("work/downloads")


def fetch(request: DatasetRequest, cache: HashCache) -> Path:
    """Return the unpacked archive; nothing is downloaded if it has been unpacked before.

    Raises:
        UserError: it cannot be fetched, has another hash, or is not safe to unpack.
    """
    url, sha256 = request.url or "", (request.sha256 or "").lower()
    name = re.sub(r"[^\w.-]", "_", Path(urlsplit(url).path).name) or "archive"
    target, file = DATASETS / request.name, DOWNLOADS / f"{sha256[:16]}-{name}"
    if not is_unpacked(sha256, target):
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise UserError(
                f"sha256 {sha256!r} of {request.name} is not 64 hex digits; copy it from the archive's publisher"
            )
        download(Order(url, Hash("sha256", sha256)), file)
    return ensure_unpacked(file, sha256, target, cache)

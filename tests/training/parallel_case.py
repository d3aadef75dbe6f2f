"""Under torchrun: `toy_process.train`, with its options as JSON."""

import json
import sys
from pathlib import Path

import toy_process

if __name__ == "__main__":
    toy_process.train(Path(sys.argv[1]), **json.loads(sys.argv[2]))

"""`python -m limelight.data.renderer`: make the embedded pack, or a contact sheet."""

import argparse
from pathlib import Path

from limelight.data.renderer.pack import write_pack
from limelight.data.renderer.sheet import write_sheet


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m limelight.data.renderer", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    pack = commands.add_parser("pack", help="draw the embedded pack into FOLDER/embedded.zip")
    pack.add_argument("folder", type=Path, nargs="?", default=Path("data/raw"))
    pack.add_argument("--workers", type=int, help="processes; by default one per core")
    sheet = commands.add_parser("sheet", help="draw a contact sheet into FILE.png")
    sheet.add_argument("file", type=Path)
    sheet.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.command == "pack":
        written = write_pack(arguments.folder, arguments.workers)
        print(f"{written}: {written.stat().st_size / 1e6:.1f} MB")
    else:
        write_sheet(arguments.file, seed=arguments.seed)


if __name__ == "__main__":
    main()

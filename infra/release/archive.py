"""Writes a zip archive whose bytes depend on the files' names, contents and executable bits alone.
usage: archive.py ARCHIVE (DIRECTORY | NAME=FILE)..."""

import sys
import zipfile
from pathlib import Path

# The first time that a zip archive can have.
TIME = (1980, 1, 1, 0, 0, 0)


def files(sources: list[str]) -> list[tuple[str, Path]]:
    found = []
    for source in sources:
        name, separator, file = source.partition("=")
        if separator:
            found.append((name, Path(file)))
        else:
            root = Path(source)
            found += [
                (str(path.relative_to(root.parent)), path)
                for path in root.rglob("*")
                if path.is_file()
            ]
    return sorted(found)


def main() -> None:
    archive, *sources = sys.argv[1:]
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as written:
        for name, path in files(sources):
            entry = zipfile.ZipInfo(name, TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            # Lambda runs a bootstrap that its user may execute; everybody may read.
            mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            entry.external_attr = (0o100000 | mode) << 16
            entry.create_system = 3  # Unix, whose mode this is.
            written.writestr(entry, path.read_bytes(), compresslevel=9)


main()

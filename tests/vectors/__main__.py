"""Writes the vectors anew: ``python -m tests.vectors``; says which files changed."""

import sys

from tests.vectors.files import FOLDER, path_of, render, vectors


def main() -> int:
    """Write each vector whose text differs, remove what is no vector any more."""
    made = vectors()
    for name, vector in made.items():
        path, text = path_of(name), render(vector)
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if old != text:
            path.write_text(text, encoding="utf-8")
            print(f"{'changed' if old else 'new'}: {path.name}")
    for path in sorted(FOLDER.glob("*.json")):
        if path.stem not in made:
            path.unlink()
            print(f"removed: {path.name}")
    print(f"{len(made)} vectors")
    return 0


if __name__ == "__main__":
    sys.exit(main())

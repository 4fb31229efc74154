"""The files of the vectors: what stands in each."""

import json
from pathlib import Path
from typing import Final

from tests.vectors.evidence import evidence_vector
from tests.vectors.make import Vector, wire_vectors

FOLDER: Final = Path(__file__).parent


def vectors() -> dict[str, Vector]:
    """Return all vectors by the name of their file, without its ending."""
    return {**wire_vectors(), "evidence": evidence_vector()}


def path_of(name: str) -> Path:
    """Return where the vector of that name is kept."""
    return FOLDER / f"{name}.json"


def render(vector: Vector) -> str:
    """Return the text of a vector's file."""
    return json.dumps(vector, ensure_ascii=False, indent=2) + "\n"

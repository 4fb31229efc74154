"""Evidence files: ours and the checker in JavaScript judge each of the vectors alike (9.1)."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from shared.app.evidence_command import told
from shared.domain.evidence import decode_evidence, encode_evidence, prove
from shared.errors import FaultError
from tests.support.services import need
from tests.vectors.files import path_of

FILES: Final = {
    one["is"]: one for one in json.loads(path_of("evidence").read_text(encoding="utf-8"))["files"]
}
CHECKER: Final = Path(__file__).parents[2] / "docs" / "evidence" / "check.mjs"
SMALL: Final = "a filing that the district holds"
ASK_ALL: Final = """
const { check } = await import(process.env.CHECKER);
const { readFileSync } = await import('node:fs');
const judged = readFileSync(0, 'utf8').trim().split('\\n').map((line) => {
  try { return check(Buffer.from(line.trim(), 'hex')); } catch { return null; }
});
console.log(JSON.stringify(judged));
"""


def data_of(name: str) -> bytes:
    """Return the bytes of a file."""
    return bytes.fromhex(FILES[name]["data"])


def proven(data: bytes) -> dict[str, Any] | None:
    """Return what ours says of a file."""
    try:
        return told(prove(decode_evidence(data)))
    except FaultError:
        return None


def altered(data: bytes) -> list[bytes]:
    """Return ``data`` with each byte altered, one after the other, and cut before it."""
    other = (bytes((byte ^ 1 << at % 8,)) for at, byte in enumerate(data))
    cut = [data[:at] for at in range(0, len(data), 7)]
    return [data[:at] + byte + data[at + 1 :] for at, byte in enumerate(other)] + cut


@pytest.fixture(scope="module")
def node() -> str:
    """The command, of Node 18 or later."""
    found = shutil.which("node")
    need(found is not None, "node is not installed: apt-get install nodejs")
    return str(found)


def judged(node: str, files: list[bytes]) -> list[dict[str, Any] | None]:
    """Return what the checker in JavaScript says of files, asked in one process."""
    done = subprocess.run(
        [node, "--input-type=module", "-e", ASK_ALL],
        input="\n".join(data.hex() or " " for data in files), env={"CHECKER": CHECKER.as_uri()},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    found: list[dict[str, Any] | None] = json.loads(done.stdout)
    assert len(found) == len(files)
    return found


@pytest.mark.parametrize("name", [*FILES])
def test_ours_judges_it_as_the_file_says(name: str) -> None:
    """A good file proves what stands beside it, a bad one nothing (protocol 9.1)."""
    assert proven(data_of(name)) == FILES[name]["proves"]


def test_a_good_file_is_written_in_one_way() -> None:
    """What was read is written as the same bytes: there is no second form of it."""
    good = [data_of(name) for name, one in FILES.items() if one["proves"]]
    assert len(good) > 5
    assert [encode_evidence(decode_evidence(data)) for data in good] == good


def test_no_byte_can_be_altered_unnoticed() -> None:
    """Each byte of a file that has all parts; and cut anywhere. Never a traceback (9.1)."""
    data = data_of(SMALL)
    assert [n for n, one in enumerate(altered(data)) if proven(one) is not None] == []


def test_another_implementation_judges_alike(node: str) -> None:
    """The checker in docs/evidence proves the same of each file, and of no altered one."""
    judgements = judged(node, [data_of(name) for name in FILES])
    wrong = [
        name for (name, one), said in zip(FILES.items(), judgements, strict=True)
        if said != one["proves"]
    ]  # fmt: skip
    assert wrong == []
    assert set(map(str, judged(node, altered(data_of(SMALL))))) == {"None"}


def test_the_checker_as_a_command(node: str, tmp_path: Path) -> None:
    """It prints what is proven; another anchor or a bad file is one line and no success."""
    file, bad = tmp_path / "good", tmp_path / "bad"
    file.write_bytes(data_of(SMALL))
    bad.write_bytes(data_of("cut short"))
    anchor = FILES[SMALL]["proves"]["anchor"]

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        line = [node, str(CHECKER), *map(str, arguments)]
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)

    good = run(file, anchor)
    assert (good.returncode, json.loads(good.stdout)) == (0, FILES[SMALL]["proves"])
    for refused in (run(file, "00" * 32), run(bad), run(tmp_path / "nowhere"), run()):
        assert (refused.returncode, refused.stdout) == (1, "")
        assert re.fullmatch(r"not proven: .+\n", refused.stderr)


def test_the_checker_is_short_and_stands_alone() -> None:
    """At most 150 lines, and nothing is imported but what Node brings."""
    lines = CHECKER.read_text(encoding="utf-8").splitlines()
    imported = [line for line in lines if line.startswith("import")]
    assert len(lines) <= 150
    assert [line for line in imported if not re.search(r" from 'node:\w+';$", line)] == []

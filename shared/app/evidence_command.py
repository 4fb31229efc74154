"""The commands of evidence files: a node writes one, anybody checks it without a node."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.app.cli import (
    HomeOption,
    JsonOption,
    moment,
    out,
    perform,
    read_file,
    run,
    show_result,
    write_file,
)
from shared.domain.catalogue import KINDS
from shared.domain.evidence import Proof, decode_evidence, prove
from shared.errors import InvalidError
from shared.node.home import Home
from shared.record.body import decode_body
from shared.trust.certificate import Certificate

AnchorOption = Annotated[
    str, typer.Option("--anchor", help="64 hex digits: what the file has to rest on.")
]


def add_evidence(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def evidence(home: HomeOption, rid: str, file: Path, *, as_json: JsonOption = False) -> None:
        """Write a file by which anybody can check a record without a node."""

        async def work() -> None:
            data = bytes.fromhex((await perform(Home(home), "evidence", rid=rid))["evidence"])
            write_file(file, data)
            if not as_json:
                out.print(_plain(f"{file}: {len(data):,} bytes."), markup=False)
            _show(prove(decode_evidence(data)), "", as_json=as_json)

        run(work())

    @app.command("verify-evidence")
    def verify_evidence(
        file: Path, anchor: AnchorOption = "", *, as_json: JsonOption = False
    ) -> None:
        """Check an evidence file, without a node; says what is proven and what is not."""

        async def work() -> None:
            proof = prove(decode_evidence(read_file(file)))
            expected = "".join(anchor.split()).lower()
            if expected and expected != proof.anchor.hex():
                raise InvalidError(
                    f"this file rests on the anchor {proof.anchor.hex()}, not on the one given.",
                    advice="It is of another district, or forged.",
                )
            _show(proof, expected, as_json=as_json)

        run(work())


def _show(proof: Proof, anchor: str, *, as_json: bool) -> None:
    if as_json:
        show_result(told(proof), as_json=True)
        return
    out.print("Proven, for whoever trusts the anchor:")
    for line in _proven(proof):
        out.print(_plain(f"  {line}"), markup=False)
    out.print("Not proven:")
    for line in _open(proof, anchor):
        out.print(_plain(f"  {line}"), markup=False)


def told(proof: Proof) -> dict[str, Any]:
    """Return what is proven, as JSON; the checker in docs/evidence says the same."""
    header = proof.record.header
    body = proof.record.body
    return {
        "anchor": proof.anchor.hex(),
        "rid": proof.record.rid.hex(),
        "author": header.feed.author,
        "epoch": header.feed.epoch.hex(),
        "lane": header.feed.lane,
        "audience": header.feed.audience,
        "seq": header.seq,
        "kind": header.kind,
        "claimed_at_ms": header.claimed_at_ms,
        "body": None if body is None else body.decode("utf-8", "replace"),
        "certified": [[one.division, one.label, one.rid.hex()] for one in proof.path],
        "held": [[one.certificate.division, one.certificate.label, one.since_ms]
                 for one in proof.holders],
    }  # fmt: skip


def _proven(proof: Proof) -> list[str]:
    header, author = proof.record.header, proof.path[0]
    lines = [
        f"who: {_name(author)}, a {author.level.word}, signed record {proof.record.rid.hex()}.",
        f"what: {header.kind}, claimed at {moment(header.claimed_at_ms)}.",
        f"where: number {header.seq} of the feed {header.feed}, epoch {header.feed.epoch.hex()}.",
    ]
    if proof.record.body is not None:
        lines.append(f"it says: {_said(proof.record.body)}")
    chain = " ← ".join(_name(one) for one in proof.path)
    lines.append(f"certified: {chain}, up to the anchor {proof.anchor.hex()}.")
    lines += [
        f"held: {_name(one.certificate)} states to hold it since {moment(one.since_ms)}."
        for one in proof.holders
    ]
    return lines


def _open(proof: Proof, anchor: str) -> list[str]:
    header, author = proof.record.header, proof.path[0]
    objection = KINDS.objection(header.kind, header.feed, author.level)
    lines = [] if anchor else ["whose the anchor is: compare it with the district's, or --anchor."]
    if objection is not None:
        lines.append(f"that its author may say so: {objection}.")
    if proof.record.body is None:
        lines.append("what it says: that is not in the file.")
    if not proof.holders:
        lines.append("that anybody but its author holds it.")
    return [
        *lines,
        "the times: each is what a node's own clock said.",
        "what came later: corrections, answers, another certificate, a fork. Ask a node.",
    ]


def _name(certificate: Certificate) -> str:
    return f"{certificate.label} ({certificate.division})"


def _said(body: bytes) -> str:
    try:
        return json.dumps(decode_body(body), ensure_ascii=False)
    except InvalidError:
        return f"{len(body):,} bytes that this version cannot read"


def _plain(line: str) -> str:
    """Return ``line`` without what a terminal would obey: the file is of a stranger."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in line)

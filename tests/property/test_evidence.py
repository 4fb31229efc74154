"""Evidence files of anybody: whatever their shape, they prove nothing and nothing breaks (9.1)."""

from typing import Any

import cbor2
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.evidence import FORMAT, decode_evidence, prove
from shared.errors import FaultError
from tests.vectors.make import records

MADE = tuple(records().values())
HEADERS = st.sampled_from([one.header_cose for one in MADE])
RECORDS = st.sampled_from([[one.header_cose, one.salt, one.body] for one in MADE])
ODD = st.none() | st.booleans() | st.integers() | st.binary(max_size=40) | st.text(max_size=9)


def mostly(items: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[Any]:
    """Return lists of ``items``, and sometimes of what does not belong there, or no list."""
    return st.lists(items | items | items | ODD, max_size=most) | ODD


FILES = st.tuples(
    st.just(FORMAT) | st.text(max_size=20),
    mostly(RECORDS | st.lists(ODD, max_size=4), 7), mostly(HEADERS, 3),
    ODD, ODD, mostly(RECORDS, 2),
).map(lambda fields: cbor2.dumps(list(fields)))  # fmt: skip


@given(FILES | st.binary(max_size=200))
def test_no_shape_of_a_file_breaks_the_check(data: bytes) -> None:
    """A fault in one line, or a proof of a record that was really signed."""
    said, proof = "", None
    try:
        proof = prove(decode_evidence(data))
    except FaultError as error:
        said = str(error)
    assert "\n" not in said
    assert (proof is None) == bool(said)
    if proof is not None:
        assert proof.record.rid in {one.rid for one in MADE}
        assert proof.anchor == MADE[0].rid

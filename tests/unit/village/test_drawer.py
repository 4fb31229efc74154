"""What a kiosk remembers, and that it forgets."""

import pytest

from shared.errors import NotFoundError
from shared.node.clock import HandClock
from shared.web.slip import qr, read_slip, slip_text
from village.drawer import KEPT_SECONDS, SLIPS_MAX, Drawer, Slip

SECRET = "1957 8349 8687 5541 1040 7945 3739 4808 6557 0314"
SLIP = Slip("沈集 26-0001-5", SECRET)


async def test_a_slip_is_kept_while_somebody_looks_at_it() -> None:
    """Each look prolongs it; then it is gone."""
    clock = HandClock()
    drawer = Drawer(clock)
    name = drawer.put(SLIP)
    for _ in range(3):
        await clock.advance(KEPT_SECONDS - 1)
        assert drawer.get(name) == SLIP
    await clock.advance(KEPT_SECONDS)
    with pytest.raises(NotFoundError):
        drawer.get(name)


def test_a_slip_is_wiped() -> None:
    """When the person leaves; a second time nothing happens."""
    drawer = Drawer(HandClock())
    name, other = drawer.put(SLIP), drawer.put(SLIP)
    drawer.wipe(name)
    drawer.wipe(name)
    with pytest.raises(NotFoundError):
        drawer.get(name)
    assert drawer.get(other) == SLIP


def test_it_is_bounded_and_tells_no_secret() -> None:
    """The oldest makes room; a traceback would show the number only."""
    drawer = Drawer(HandClock())
    names = [drawer.put(SLIP) for _ in range(SLIPS_MAX + 1)]
    assert len(set(names)) == len(names)
    with pytest.raises(NotFoundError):
        drawer.get(names[0])
    assert drawer.get(names[-1]) == SLIP
    assert "1957" not in repr(SLIP)


def test_what_the_qr_says_is_read_back() -> None:
    """As it is, as a browser writes it, and among blanks."""
    text = slip_text("http://10.0.0.5:8342", "沈集 26-0001-5", SECRET)
    assert "#" in text
    digits = SECRET.replace(" ", "")
    for typed in (text, text.replace("沈集", "%E6%B2%88%E9%9B%86"), f" {text}\n"):
        assert read_slip(typed) == ("沈集 26-0001-5", digits)
    assert read_slip(" 沈集 26-0001-5 ") == ("沈集 26-0001-5", "")
    assert read_slip("x" * 10_000)[1] == ""
    drawn = qr(text)
    assert drawn.startswith("<svg")
    assert "stroke=" not in drawn
    assert "style=" not in drawn

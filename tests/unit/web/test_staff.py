"""The login of staff: who comes in, for how long, and who does not."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from shared.node.accounts import NAME_CHARS_MAX, Account, Accounts, make_first
from shared.node.clock import HandClock
from shared.node.home import Home
from shared.record.feed import Level
from shared.web import sessions
from shared.web.server import STAFF, make_app
from shared.web.sessions import Sessions, Throttle
from shared.web.site import Site
from shared.web.staff import CHECKS_MAX
from tests.unit.web.conftest import founded

SAME = {"Sec-Fetch-Site": "same-origin"}


class Pages:
    """A surface with one page for each of two roles."""

    package = "village"

    def routes(self, site: Site) -> Iterable[web.RouteDef]:
        """See the port."""

        async def say(request: web.Request) -> web.Response:
            return web.Response(text=site.staff.session_of(request).account)

        return (
            web.get("/desk", site.staff.page(say, "dispatcher", "drafter")),
            web.get("/drafts", site.staff.page(say, "drafter")),
            web.post("/sent", site.staff.page(say, "drafter")),
        )


class Door:
    """The login as a browser meets it."""

    def __init__(
        self, app: web.Application, client: TestClient[web.Request, web.Application],
        clock: HandClock, passwords: dict[str, str],
    ) -> None:  # fmt: skip
        """Stand before it."""
        self.app = app
        self.client = client
        self.clock = clock
        self.passwords = passwords

    async def log_in(self, name: str, password: str, back: str = "/desk") -> tuple[int, str, str]:
        """Send the form; return status, path and text of where it led."""
        form = {"name": name, "password": password, "next": back}
        async with self.client.post("/login", data=form, headers=SAME) as response:
            return response.status, response.url.path, await response.text()

    async def get(self, path: str) -> tuple[int, str, str]:
        """Return status, path and text."""
        async with self.client.get(path) as response:
            return response.status, response.url.path, await response.text()


async def _no_link(_: web.Request) -> web.StreamResponse:
    return web.Response()


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """A district with its first accounts."""
    clock, home = HandClock(), Home(tmp_path)
    file = make_first(home, Level.DISTRICT)
    lines = (line.split() for line in file.read_text("utf-8").splitlines())
    passwords = {name: password for name, password in lines}  # noqa: C416 - each line is a pair
    node, database = await founded(tmp_path / "log.db", clock)
    await node.open()
    app = make_app(node, link=_no_link, surface=Pages(), accounts=Accounts(home))
    async with node.working(), TestClient(TestServer(app)) as client:
        yield Door(app, client, clock, passwords)
    await database.close()


def test_the_first_accounts(tmp_path: Path) -> None:
    """One for each role, for the owner's eyes only; the hash is no password."""
    home = Home(tmp_path)
    file = make_first(home, Level.TOWN)
    assert [line.split()[0] for line in file.read_text("utf-8").splitlines()] == [
        "handler",
        "clerk",
    ]
    for name in ("accounts.json", "accounts.txt"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    password = file.read_text("utf-8").split()[1]
    assert len(password) == 19
    assert password not in (tmp_path / "accounts.json").read_text("utf-8")
    accounts = Accounts(home)
    found = accounts.check("handler", password)
    assert found is not None
    assert found.role == "handler"
    assert "argon2" not in repr(found)
    assert accounts.check("handler", password + "x") is None
    assert accounts.check("nobody", password) is None
    assert accounts.check("handler", "x" * 201) is None
    accounts.renew("handler", "handler")
    assert Accounts(home).check("handler", password) is None


async def test_who_has_the_password_comes_in(door: Door) -> None:
    """And is led to where they wanted; the cookie names the division and is for the server only."""
    assert (await door.get("/desk"))[1] == "/login"
    status, path, said = await door.log_in("drafter", door.passwords["drafter"], "/drafts")
    assert (status, path, said) == (200, "/drafts", "drafter")
    cookie = next(iter(door.client.session.cookie_jar))
    assert cookie.key == "staff-340602"
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"


@pytest.mark.parametrize(
    ("name", "password"), [("drafter", "wrong"), ("nobody", "wrong"), ("", "")]
)
async def test_who_has_not_stays_out(door: Door, name: str, password: str) -> None:
    """The same words for a wrong name and a wrong password; the name stays in the form."""
    status, path, said = await door.log_in(name, password)
    assert (status, path) == (403, "/login")
    assert "名字或密码不对" in said
    assert f'value="{name}"' in said
    assert (await door.get("/desk"))[1] == "/login"


async def test_guessing_is_slowed_down(door: Door) -> None:
    """After five tries a name waits, also with the right password; then it may try again."""
    for _ in range(sessions.FAILURES_MAX):
        assert (await door.log_in("drafter", "wrong"))[0] == 403
    assert (await door.log_in("drafter", door.passwords["drafter"]))[0] == 429
    assert (await door.log_in("dispatcher", door.passwords["dispatcher"]))[0] == 200
    await door.clock.advance(sessions.FAILURE_SECONDS)
    assert (await door.log_in("drafter", door.passwords["drafter"]))[0] == 200


async def test_a_role_sees_its_pages(door: Door) -> None:
    """403 in words for the others'."""
    await door.log_in("dispatcher", door.passwords["dispatcher"])
    assert (await door.get("/desk"))[0] == 200
    status, _, said = await door.get("/drafts")
    assert status == 403
    assert "您的岗位看不了这一页" in said


async def test_a_session_ends(door: Door) -> None:
    """By idling, by the clock however busy, and by leaving."""
    await door.log_in("drafter", door.passwords["drafter"])
    await door.clock.advance(sessions.IDLE_SECONDS)
    assert (await door.get("/desk"))[1] == "/login"
    await door.log_in("drafter", door.passwords["drafter"])
    for _ in range(int(sessions.SESSION_SECONDS // (sessions.IDLE_SECONDS - 1))):
        await door.clock.advance(sessions.IDLE_SECONDS - 1)
        assert (await door.get("/desk"))[1] == "/desk"
    await door.clock.advance(sessions.IDLE_SECONDS - 1)
    assert (await door.get("/desk"))[1] == "/login"
    await door.log_in("drafter", door.passwords["drafter"])
    async with door.client.post("/logout", headers=SAME) as response:
        assert response.url.path == "/"
    assert (await door.get("/desk"))[1] == "/login"


async def test_a_link_is_good_once_and_soon(door: Door) -> None:
    """For the demo's control page: nobody hunts passwords."""
    staff = door.app[STAFF]
    link = staff.link_for("drafter")
    assert (await door.get(link))[1:] == ("/desk", "drafter")
    door.client.session.cookie_jar.clear()
    assert (await door.get(link))[1] == "/login"
    late = staff.link_for("drafter")
    await door.clock.advance(sessions.LINK_SECONDS)
    assert (await door.get(late))[1] == "/login"


async def test_it_leads_to_our_own_pages_only(door: Door) -> None:
    """Not to another site, however the address is written."""
    for back in ("//evil.example", "https://evil.example/", "/\\evil.example"):
        form = {"name": "drafter", "password": door.passwords["drafter"], "next": back}
        async with door.client.post(
            "/login", data=form, headers=SAME, allow_redirects=False
        ) as response:
            assert response.headers["Location"] == "/"


async def test_a_foreign_form_does_not_log_in(door: Door) -> None:
    """Nor out."""
    form = {"name": "drafter", "password": door.passwords["drafter"]}
    headers = {"Sec-Fetch-Site": "cross-site"}
    async with door.client.post("/login", data=form, headers=headers) as response:
        assert response.status == 403
    assert (await door.get("/desk"))[1] == "/login"


async def test_a_new_password_ends_what_was_open(door: Door) -> None:
    """Whoever had the old one is out."""
    await door.log_in("drafter", door.passwords["drafter"])
    door.app[STAFF].forget("drafter")
    assert (await door.get("/desk"))[1] == "/login"


async def test_a_page_that_refreshes_itself_is_nobody_at_work(door: Door) -> None:
    """Who left a page open and went home is logged out all the same."""
    await door.log_in("drafter", door.passwords["drafter"])
    for path in ("/desk", "/login"):
        await door.clock.advance(sessions.IDLE_SECONDS / 2)
        async with door.client.get("/desk", headers={"X-Refresh": "1"}) as response:
            assert response.url.path == path


async def test_a_form_sent_too_late_leads_to_the_login(door: Door) -> None:
    """And from there to a page that can be shown; what was sent did nothing."""
    async with door.client.post("/sent", headers=SAME) as response:
        assert (response.url.path, response.url.query["next"]) == ("/login", "/desk")


async def test_it_leads_to_a_page_that_is_there(door: Door) -> None:
    """A node without a desk leads to its first page."""
    node = door.app[STAFF]._pages.node  # type: ignore[attr-defined]
    app = make_app(node, link=_no_link)
    async with TestClient(TestServer(app)) as client, client.get("/login") as response:
        assert 'name="next" value="/"' in await response.text()
    assert 'name="next" value="/desk"' in (await door.get("/login"))[2]


async def test_a_preview_does_not_use_a_link_up(door: Door) -> None:
    """Only who opens it comes in."""
    link = door.app[STAFF].link_for("drafter")
    async with door.client.head(link, allow_redirects=False) as response:
        assert response.status == 405
    assert (await door.get(link))[1] == "/desk"


async def test_the_form_says_how_often_it_may_be_tried(door: Door) -> None:
    """The same for a name that nobody has."""
    for name in ("drafter", "nobody"):
        said = [(await door.log_in(name, "wrong"))[2] for _ in range(sessions.FAILURES_MAX)]
        left = [f"还能试 {number} 次" for number in reversed(range(sessions.FAILURES_MAX))]
        assert all(words in page for words, page in zip(left, said, strict=True))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"name=x&password=y", "application/x-www-form-urlencoded; charset=none-such"),
        (b"name=\xff&password=y", "application/x-www-form-urlencoded"),
    ],
)
async def test_a_form_that_cannot_be_read_is_refused(door: Door, body: bytes, kind: str) -> None:
    """In words, not as a failure, whose traceback would go into the journal."""
    headers = SAME | {"Content-Type": kind}
    async with door.client.post("/login", data=body, headers=headers) as response:
        assert response.status == 400
        assert "这个表单读不出来" in await response.text()


async def test_what_nobody_can_be_called_is_not_remembered(door: Door) -> None:
    """Long names would fill the memory."""
    name = "x" * (NAME_CHARS_MAX + 1)
    for _ in range(sessions.FAILURES_MAX + 1):
        assert (await door.log_in(name, "wrong"))[0] == 403
    assert not door.app[STAFF]._throttle._strangers


async def test_many_tries_at_once_are_not_more(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five are checked, two at a time; the others are sent away."""
    lock, ready = threading.Lock(), threading.Barrier(CHECKS_MAX)
    now = most = checked = 0

    def check(name: str, password: str) -> Account | None:
        nonlocal now, most, checked
        with lock:
            now, checked = now + 1, checked + 1
            most = max(most, now)
        if checked <= CHECKS_MAX:
            ready.wait(10)
        with lock:
            now -= 1
        return None

    monkeypatch.setattr(door.app[STAFF].accounts, "check", check)
    tries = [door.log_in("drafter", "wrong") for _ in range(3 * sessions.FAILURES_MAX)]
    statuses = [status for status, _, _ in await asyncio.gather(*tries)]
    assert statuses.count(403) == checked == sessions.FAILURES_MAX
    assert statuses.count(429) == 2 * sessions.FAILURES_MAX
    assert most == CHECKS_MAX


async def test_a_new_login_gives_a_new_token(door: Door) -> None:
    """The token that was there before the login is worth nothing after it."""
    tokens = []
    for _ in range(2):
        await door.log_in("drafter", door.passwords["drafter"])
        tokens.append(next(iter(door.client.session.cookie_jar)).value)
    assert tokens[0] != tokens[1]
    door.client.session.cookie_jar.clear()
    headers = {"Cookie": f"staff-340602={tokens[0]}"}
    async with door.client.get("/desk", headers=headers) as response:
        assert response.url.path == "/login"


def test_over_tls_the_cookie_stays_there(tmp_path: Path) -> None:
    """Secure, wherever the browser itself speaks TLS to the node."""

    async def cookie(scheme: str) -> str:
        node, database = await founded(tmp_path / f"{scheme}.db", HandClock())
        app = make_app(node, link=_no_link)
        request = make_mocked_request("POST", "/login", app=app).clone(scheme=scheme)
        response = app[STAFF]._begin(request, Account("drafter", "drafter", ""), "/")
        await database.close()
        return response.cookies["staff-340602"].OutputString()

    assert "Secure" in asyncio.run(cookie("https"))
    plain = asyncio.run(cookie("http"))
    assert "Secure" not in plain
    assert "Path=/" in plain


async def test_two_nodes_on_one_host_do_not_share(door: Door, tmp_path: Path) -> None:
    """Cookies ignore ports: both stand side by side, and neither opens the other's pages."""
    node, database = await founded(tmp_path / "other.db", HandClock())
    node.identity = replace(node.identity, division="340603")
    app = make_app(node, link=_no_link, surface=Pages(), accounts=door.app[STAFF].accounts)
    await door.log_in("drafter", door.passwords["drafter"])
    jar = door.client.session.cookie_jar
    async with TestClient(TestServer(app), cookie_jar=jar) as other:
        async with other.get("/desk") as response:
            assert response.url.path == "/login"
        token = next(iter(jar)).value
        headers = {"Cookie": f"staff-340603={token}"}
        async with other.get("/desk", headers=headers) as response:
            assert response.url.path == "/login"
        form = {"name": "drafter", "password": door.passwords["drafter"]}
        async with other.post("/login", data=form, headers=SAME) as response:
            assert response.url.path == "/desk"
        assert {cookie.key for cookie in jar} == {"staff-340602", "staff-340603"}
        assert (await door.get("/desk"))[1] == "/desk"
    await database.close()


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest session, link and stranger make room; a known name's failures stay."""
    for name in ("SESSIONS_MAX", "LINKS_MAX", "STRANGERS_MAX"):
        monkeypatch.setattr(sessions, name, 2)
    clock = HandClock()
    opened, links, throttle = Sessions(clock), sessions.OnceLinks(clock), Throttle(clock)
    tokens = [opened.start("drafter", "drafter") for _ in range(3)]
    assert [opened.find(token) is not None for token in tokens] == [False, True, True]
    made = [links.make("drafter") for _ in range(3)]
    assert [links.take(token) for token in made] == [None, "drafter", "drafter"]
    throttle.begin("drafter", known=True)
    for name in "abc":
        throttle.begin(name, known=False)
    assert [throttle.left(name) for name in ("drafter", "a", "b", "c")] == [4, 5, 4, 4]
    assert not any(token in repr(vars(opened)) for token in tokens)

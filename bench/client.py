"""A program of another office: ``python -m bench.client`` posts and says when it was answered.

It is a process of its own, as such a program is: the nodes do not share their core with it.
Standard input has what to post, standard output the answer, both as JSON of the classes here.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Final

import aiohttp

POST_SECONDS_MAX: Final = 120.0


class NotTakenError(Exception):
    """A POST was answered with something else than that it was done."""


@dataclass(frozen=True)
class Posts:
    """What to post.

    Attributes:
        url: Where, the same for all.
        token: Sent with each as the API wants it.
        bodies: JSON, one a POST.
        clients: So many post at once, each on one connection, the next body when it was answered.
    """

    url: str
    token: str
    bodies: Sequence[str]
    clients: int


@dataclass(frozen=True)
class Posted:
    """When it was done.

    Attributes:
        began: Before the first POST, by ``time.perf_counter``, which all processes share.
        ended: After the last answer.
    """

    began: float
    ended: float


async def post_all(posts: Posts) -> Posted:
    """Post everything.

    Raises:
        NotTakenError: an answer was neither 200 nor 201.
        aiohttp.ClientError: there was none.
    """
    headers = {"Authorization": f"Bearer {posts.token}", "Content-Type": "application/json"}
    bodies = iter([body.encode() for body in posts.bodies])
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=posts.clients),
        headers=headers,
        timeout=aiohttp.ClientTimeout(POST_SECONDS_MAX),
    ) as session:

        async def client() -> None:
            for body in bodies:  # all clients take from the same ones
                async with session.post(posts.url, data=body) as response:
                    answer = await response.read()
                    if response.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
                        raise NotTakenError(f"{response.status} {answer[:200]!r}")

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(posts.clients)))
        return Posted(began, time.perf_counter())


def main() -> None:
    """Do what standard input says; a failure is one line on standard error and exit code 1."""
    posts = Posts(**json.load(sys.stdin))
    try:
        posted = asyncio.run(post_all(posts))
    except (NotTakenError, aiohttp.ClientError, TimeoutError) as error:
        sys.exit(f"{posts.url}: {str(error) or type(error).__name__}")
    json.dump(asdict(posted), sys.stdout)


if __name__ == "__main__":
    main()

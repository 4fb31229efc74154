"""Files that come with the pages, sent again only when they changed."""

import hashlib
import mimetypes
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from typing import Self

from aiohttp import web


@dataclass(frozen=True)
class _Asset:
    data: bytes
    content_type: str
    etag: str

    @classmethod
    def of(cls, name: str, data: bytes) -> Self:
        content_type = mimetypes.types_map[name[name.rindex(".") :]]
        return cls(data, content_type, f'"{hashlib.sha256(data).hexdigest()[:16]}"')


class Assets:
    """The ``static`` folders of packages, read once."""

    def __init__(self, packages: Iterable[str]) -> None:
        """Read them; of two files of one name the later counts."""
        self._by_name = {
            file.name: _Asset.of(file.name, file.read_bytes())
            for package in packages
            for file in (files(package) / "static").iterdir()
        }

    async def serve(self, request: web.Request) -> web.Response:
        """Answer ``GET /static/{name}``."""
        asset = self._by_name.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == asset.etag:
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        return web.Response(
            body=asset.data, content_type=asset.content_type, charset="utf-8", headers=headers
        )

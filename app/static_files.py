"""Our own static files: packed once, named by the version of all of them, kept by browsers for a year.

    /static/{version}/{name}    never changes, since another content has another version: immutable
    /static/{name}              the file as it is now, asked for anew with its ETag each time

The version stands in the path and not behind a `?`, so that modules which import each other by relative names come
from the same version too.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from litestar import Request, Response, route
from litestar.datastructures import State

from app.compression import accepts_gzip
from app.errors import NotThere

STATIC = Path(__file__).parent / "static"
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "public, no-cache"
TEXTS = ("text/", "application/json", "image/svg+xml")


@dataclass(frozen=True, kw_only=True)
class File:
    """packed: as gzip, None where that saves nothing. tag: of the content, whichever way it is sent."""

    body: bytes
    packed: bytes | None
    media_type: str
    tag: str


@route("/static/{path:path}", http_method=["GET", "HEAD"], sync_to_thread=False)
def send_static(request: Request[None, None, State], path: str) -> Response[bytes | None]:
    """Open to everyone, and the same for everyone."""
    first, _, rest = path.lstrip("/").partition("/")
    fresh = bool(rest) and first == version()
    name = rest if fresh else path.lstrip("/")
    file = _file(name)
    headers = {"cache-control": FOR_EVER if fresh else ASK_AGAIN, "vary": "accept-encoding"}
    packed = file.packed if accepts_gzip(request.headers.get("accept-encoding", "")) else None
    etag = f'"{file.tag}-gzip"' if packed else f'"{file.tag}"'
    headers["etag"] = etag
    if etag in request.headers.get("if-none-match", ""):
        return Response(None, status_code=304, headers=headers)
    if packed:
        headers["content-encoding"] = "gzip"
    return Response(packed or file.body, media_type=file.media_type, headers=headers)


def asset(name: str) -> str:
    """Address of a static file."""
    return f"/static/{version()}/{name}"


@lru_cache(maxsize=1)
def version() -> str:
    """Changes with any of the files; those of this process's start count."""
    whole = hashlib.sha256()
    for file in sorted(file for file in STATIC.rglob("*") if file.is_file()):
        whole.update(file.relative_to(STATIC).as_posix().encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()[:12]


def _file(name: str) -> File:
    """Raises NotThere, also for names that lead elsewhere."""
    place = STATIC / name
    if any(part.startswith(".") for part in PurePosixPath(name).parts) or not place.is_file():
        raise NotThere
    if not place.resolve().is_relative_to(STATIC.resolve()):
        raise NotThere
    return _read(place, place.stat().st_mtime_ns)


@lru_cache(maxsize=256)
def _read(place: Path, changed_at: int) -> File:
    """changed_at: so that an edited file is read anew."""
    body = place.read_bytes()
    media_type = mimetypes.guess_type(place.name)[0] or "application/octet-stream"
    if media_type == "application/javascript":  # RFC 9239 §6
        media_type = "text/javascript"
    packed = gzip.compress(body, 9, mtime=0) if media_type.startswith(TEXTS) else b""
    return File(
        body=body,
        packed=packed if packed and len(packed) < len(body) else None,
        media_type=f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type,
        tag=hashlib.sha256(body).hexdigest()[:16],
    )

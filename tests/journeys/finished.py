"""What can be played of a session, once all of it is there: fetched before, a film may lack its last take."""

from __future__ import annotations

from app.demo.people import Owner

UNFINISHED = ("still being recorded", "recording is being made ready", "still missing")
"""What the list of recordings says until the last take is in the film (app.sessions.words)."""


async def finished(owner: Owner) -> list[str]:
    """Addresses of the recordings; none while one of them is not finished or not served yet."""
    page = await owner.browser.open(f"/sessions/{owner.session}")
    assert page.status == 200, page.status
    if any(unfinished in page.words for unfinished in UNFINISHED):
        return []
    links = await owner.media_links()
    for link in links:
        if (await owner.browser.http.get(link, headers={"Range": "bytes=0-99"})).status_code != 206:
            return []
    return links


async def playable(owner: Owner) -> str | None:
    """Address of the only recording."""
    return next(iter(await finished(owner)), None)

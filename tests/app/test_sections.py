"""The navigation marks where somebody is, however deep the page."""

from __future__ import annotations

import re

import pytest

from app.sections import Section, section_of
from tests.fixtures.web import Cast


@pytest.mark.parametrize(
    ("path", "section"),
    [
        ("/", Section.STUDIES),
        ("/studies/1/questions/2/edit", Section.STUDIES),
        ("/studies/1/sessions/new", Section.STUDIES),
        ("/studies/1/retention", Section.RETENTION),
        ("/sessions", Section.SESSIONS),
        ("/sessions/1/review", Section.SESSIONS),
        ("/sessions/1/hold", Section.SESSIONS),
        ("/sessions/1/retention", Section.RETENTION),
        ("/rooms/1", Section.SESSIONS),
        ("/recordings/1/erase", Section.SESSIONS),
        ("/retention/account", Section.RETENTION),
        ("/holds", Section.RETENTION),
        ("/requests/1", Section.REQUESTS),
        ("/erasures/1", Section.ERASURES),
        ("/audit", Section.AUDIT),
        ("/members/1", Section.MEMBERS),
        ("/sign-in", None),
        ("/no-such-page", None),
    ],
)
def test_every_page_belongs_to_one_place_of_the_navigation(path: str, section: Section | None) -> None:
    assert section_of(path) == section


async def test_the_place_itself_is_the_page_and_what_is_below_it_is_within(cast: Cast) -> None:
    owner = await cast.browser("owner")
    marked = {}
    for path in ("/", f"/studies/{cast.study}", "/sessions", f"/sessions/{cast.session}/review", "/holds"):
        page = (await owner.get(path)).text.partition("</nav>")[0]
        [(where, how)] = re.findall(r'<a href="([^"]+)" aria-current="(\w+)">', page)
        marked[path.replace(str(cast.study), "1").replace(str(cast.session), "1")] = (where, how)
    assert marked == {
        "/": ("/", "page"),
        "/studies/1": ("/", "true"),
        "/sessions": ("/sessions", "page"),
        "/sessions/1/review": ("/sessions", "true"),
        "/holds": ("/retention", "true"),
    }

"""Whatever changes something leaves a line in the audit log: the routes are asked of the application itself, and each
is called once with success, or stands in a short list with the reason."""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.audit import verify
from tests.promises.acts.account import closing, members, passkeys, signing_in, support
from tests.promises.acts.people import corrected, erasing, requests, taking_part
from tests.promises.acts.research import afterwards, erased_by_the_owner, given_to_others, live, sessions, studies
from tests.promises.acts.story import Story
from tests.promises.test_j4_access import pages
from tests.promises.world import World

SAFE = {"GET", "HEAD", "OPTIONS"}
WITHOUT: Mapping[str, str] = {
    "POST /sign-in": "nobody is known yet, and the answer is the same for everybody; using the link is logged",
    "POST /sign-in/passkey/challenge": "nobody is known yet; signing in with the answer is logged",
    "POST /passkeys/challenge": "something to sign, which ends by itself; adding the passkey is logged",
    "POST /support/sign-in": "as POST /sign-in; what operators do to sign in is in the platform's own log",
    "POST /support/sign-in/{token}": "in the platform's own log (tests/app/test_support_operators.py)",
    "POST /support/sign-out": "in the platform's own log",
    "POST /support/passkey/challenge": "something to sign, which ends by itself",
    "POST /support/passkey": "in the platform's own log",
    "POST /requests/new": "looks up whom it is about; noting the request is logged",
    "POST /language": "a choice of how pages read",
    "POST /studies/{study}/questions/{question}/move": "the order of questions; what they ask is logged",
    "POST /whip": "the take says who published what, when and where; starting to record is logged",
    "DELETE /whip/{resource}": "the take says when it ended",
    "PATCH /whip/{resource}": "changes nothing and says so",
    "POST /whep/{recording}": "who of the team watches is logged (tests/app/test_whip.py), and letting in is",
    "DELETE /whep/{recording}/{view_name}": "ends what was carried",
    "PATCH /whep/{recording}/{view_name}": "changes nothing and says so",
}


def changing(world: World) -> set[str]:
    """Every route that may change something, as `METHOD /path/{name}`."""
    found = pages(world.app)
    return {f"{method} {re.sub(r':[a-z]+}', '}', path)}" for method, path in found if method not in SAFE}


async def test_j4_09_every_change_leaves_a_line(world: World) -> None:
    story = Story(world=world, ids={}, done={})
    for act in (
        signing_in,
        passkeys,
        members,
        studies,
        sessions,
        taking_part,
        live,
        afterwards,
        corrected,
        support,
        given_to_others,
        erased_by_the_owner,
        requests,
        erasing,
        closing,
    ):
        await act(story)
    silent = [route for route, actions in story.done.items() if not actions]
    assert silent == []
    assert set(story.done) & set(WITHOUT) == set()
    assert changing(world) == set(story.done) | set(WITHOUT), "a new route: call it here, or say why it leaves no line"
    async with world.wiring.database.transaction(world.lab.account) as db:
        assert (await verify(db, world.lab.account)).intact

"""What WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) ask, clause by clause, as tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

import httpx

ELSEWHERE = {"origin": "https://studio.example", "sec-fetch-site": "cross-site"}


@dataclass(frozen=True, kw_only=True)
class Clause:
    """One thing asked and how it must be answered. who: whose credentials go along, "" for nobody's; path and values
    of headers hold places in braces that the test fills in."""

    says: str
    method: str
    path: str
    status: int
    body: Callable[[str], str | bytes] = lambda offer: offer
    headers: dict[str, str] = field(default_factory=dict)
    who: str = "owner"
    answered: dict[str, str] = field(default_factory=dict)


def refused_offers(path: str) -> tuple[Clause, ...]:
    """§4.2 of both: what is no offer of SDP is refused wherever offers are posted."""
    posted = partial(Clause, method="POST", path=path)
    return (
        posted(says="§4.2 another type", status=415, headers={"content-type": "text/plain"}),
        posted(says="§4.2 no type", status=415, headers={"content-type": ""}),
        posted(says="§4.2 no offer", status=400, body=lambda offer: "hello"),
        posted(says="§4.2 nothing", status=400, body=lambda offer: ""),
        posted(says="§4.2 no text", status=400, body=lambda offer: b"\xff\xfe"),
        posted(says="RFC 9110 §15.5.14", status=413, body=lambda o: o + "a=x\r\n" * 14_000),
        posted(says="no bundle", status=400, body=lambda o: o.replace("BUNDLE", "LS")),
    )


async def broken(
    http: httpx.AsyncClient,
    clauses: Collection[Clause],
    *,
    offer: str,
    shown: Mapping[str, Mapping[str, str]],
    places: Mapping[str, str],
) -> list[tuple[object, ...]]:
    """Asks one after the other; what was answered otherwise. shown: the headers of each `who`."""
    wrong: list[tuple[object, ...]] = []
    for clause in clauses:
        headers = dict(shown[clause.who]) | {name: value.format(**places) for name, value in clause.headers.items()}
        content = clause.body(offer) if clause.method in ("POST", "PUT") else None
        answer = await http.request(clause.method, clause.path.format(**places), content=content, headers=headers)
        told = (clause.says, clause.method, clause.path, answer.status_code, dict(answer.headers))
        if answer.status_code != clause.status or not clause.answered.items() <= dict(answer.headers).items():
            wrong.append(told)
        if answer.status_code == 405 and not answer.headers.get("allow"):
            wrong.append(("RFC 9110 §15.5.6: no Allow", *told))
    return wrong

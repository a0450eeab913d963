"""Which promises are kept, for everybody: the last run of their tests, as `make promises` wrote it beside this file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from litestar import Router, get
from litestar.response import Template

from app.database import Db
from app.language import N_
from app.pages import FOR_PARTICIPANTS, AnyRequest, page

FILE = Path(__file__).with_name("promises.json")


class Standing(StrEnum):
    """How a promise stands."""

    KEPT = "kept"
    NOT_YET = "not yet"
    NOT_APPLICABLE = "not applicable"

    @property
    def words(self) -> str:
        return _WORDS[self]


_WORDS = {
    Standing.KEPT: N_("kept"),
    Standing.NOT_YET: N_("not yet"),
    Standing.NOT_APPLICABLE: N_("not applicable"),
}
DOCUMENTS = {
    "J4": N_("The privacy policy of this platform"),
    "T0": N_("What a platform for talking to therapists promises"),
    "C1": N_("What a platform for telehealth promises"),
    "A2": N_("What a clinic promises"),
    "R3": N_("What a shop promises"),
}


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A test function. file: from the root of the sources; passed: in this run, with every parameter."""

    file: str
    name: str
    passed: bool

    @property
    def sentence(self) -> str:
        """Names of tests are sentences; which promise they belong to stands above them."""
        return re.sub(r"^test_([a-z]\d_\d\d[a-z]?_)?", "", self.name).replace("_", " ")


@dataclass(frozen=True, kw_only=True)
class Promise:
    """A row of docs/promises.csv. reason: why it is not kept; "" when it is."""

    id: str
    promise: str
    standing: Standing
    reason: str
    tests: tuple[Proof, ...]

    @property
    def document(self) -> str:
        return self.id.partition("-")[0]


@dataclass(frozen=True, kw_only=True)
class Promises:
    """All rows in the order of the list, and the run they come from. commit: of the sources that were tested."""

    commit: str
    ran_on: date
    rows: tuple[Promise, ...]

    def count(self, standing: Standing) -> int:
        return sum(row.standing is standing for row in self.rows)

    def of(self, standing: Standing | None) -> Iterator[tuple[str, list[Promise]]]:
        """Documents with their rows; all, or those that stand so."""
        kept = [row for row in self.rows if standing in (None, row.standing)]
        for document, rows in groupby(kept, key=lambda row: row.document):
            yield document, list(rows)


def written(promises: Promises) -> str:
    """As the data file has it: stable, one change one line."""
    return json.dumps(asdict(promises), indent=1, ensure_ascii=False, default=str) + "\n"


def read(text: str) -> Promises:
    data: dict[str, Any] = json.loads(text)
    return Promises(
        commit=data["commit"],
        ran_on=date.fromisoformat(data["ran_on"]),
        rows=tuple(_promise(row) for row in data["rows"]),
    )


def _promise(row: Mapping[str, Any]) -> Promise:
    return Promise(
        id=row["id"],
        promise=row["promise"],
        standing=Standing(row["standing"]),
        reason=row["reason"],
        tests=tuple(Proof(**test) for test in row["tests"]),
    )


@cache
def last_run() -> Promises:
    return read(FILE.read_text(encoding="utf-8"))


@get("/promises")
async def show_promises(request: AnyRequest, db: Db, status: str = "") -> Template:
    """?status=kept, not-yet or not-applicable shows those alone; anything else shows all. Everybody may read it;
    db: whoever is signed in reads it in their language."""
    chosen = next((one for one in Standing if one.replace(" ", "-") == status), None)
    run = last_run()
    return page(
        "privacy/promises.html",
        request,
        run=run,
        chosen=chosen,
        groups=run.of(chosen),
        documents=DOCUMENTS,
        standings=list(Standing),
    )


router = Router("/", route_handlers=[show_promises], opt=FOR_PARTICIPANTS)

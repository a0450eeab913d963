"""What the platform still holds of one person, looked up where it is kept rather than where it is shown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from app.demo.browser import Browser
from app.demo.stage import Stage, StageFailed
from app.settings import Settings
from app.wiring import open_keys, open_store
from recordings.encryption.keystore import KeyPath
from recordings.model import AccountId, PersonId

FINAL = ("complete", "partial")


@dataclass
class Remains:
    """One person's place in the object store and key store, found while it was still full."""

    settings: Settings
    prefix: str
    objects_before: int
    state: str = ""
    erased_objects: int = 0

    @classmethod
    def of(cls, settings: Settings, recording: str) -> Remains:
        """Where the person of this recording keeps things: account/session/person/."""
        store = open_store(settings)
        key = next(s.key for s in store.list("") if f"/{recording}/" in s.key)
        prefix = "/".join(key.split("/")[:3]) + "/"
        return cls(settings=settings, prefix=prefix, objects_before=sum(1 for _ in store.remains(prefix)))

    async def certificate(self, browser: Browser, receipt: str) -> str | None:
        """State of the finished certificate behind the receipt page, which is kept as a file; None before that."""
        answer = await browser.http.get(f"{receipt}/certificate.json")
        if answer.status_code != 200:
            return None
        content = json.loads(answer.content)["document"]
        if content["state"] not in FINAL:
            return None
        self.file.write_bytes(answer.content)
        self.state, self.erased_objects = content["state"], content["erased"]["objects"]
        return self.state

    @property
    def file(self) -> Path:
        return self.settings.data_dir / "certificate.json"

    async def verified(self, stage: Stage) -> bool:
        """Checked by a process of its own that knows nothing but the file."""
        try:
            await stage.command("certificate", "verify", str(self.file))
        except StageFailed:
            return False
        return True

    def objects_left(self) -> int:
        """Versions, markers and open uploads under the person's prefix."""
        return sum(1 for _ in open_store(self.settings).remains(self.prefix))

    def keys_left(self) -> int:
        """1 while the person's key can be unwrapped; every key of theirs hangs below it."""
        account, _, person = self.prefix.strip("/").split("/")
        path = KeyPath(AccountId(UUID(account)), PersonId(UUID(person)))
        return int(open_keys(self.settings).exists(path))

"""ObjectStore in memory, for tests; a `fault` hook stands in for a failing store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from recordings.storage.layout import checked_key, checked_prefix
from recordings.storage.store import ObjectExists, ObjectMissing, Stored, StoreError


def _no_fault(verb: str, key: str) -> None:
    return None


class MemoryStore:
    """Safe to call from several threads. `fault(verb, key or prefix)` runs before every verb and may
    raise a StoreError; in `delete` it runs for each thing and refuses just that one."""

    def __init__(self, fault: Callable[[str, str], None] = _no_fault) -> None:
        self.fault = fault
        self.objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def put(self, key: str, data: bytes) -> None:
        self.fault("put", checked_key(key))
        with self._lock:
            if self.objects.setdefault(key, bytes(data)) != data:
                raise ObjectExists()

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self.fault("get", checked_key(key))
        with self._lock:
            if key not in self.objects:
                raise ObjectMissing()
            return self.objects[key][start : None if length is None else start + length]

    def list(self, prefix: str) -> Iterator[Stored]:
        self.fault("list", checked_prefix(prefix))
        return self._held(prefix)

    def remains(self, prefix: str) -> Iterator[Stored]:
        self.fault("remains", checked_prefix(prefix))
        return self._held(prefix)

    def delete(self, things: Iterable[Stored]) -> Sequence[tuple[Stored, str]]:
        refused = []
        for thing in things:
            try:
                self.fault("delete", thing.key)
            except StoreError as error:
                refused.append((thing, str(error)))
                continue
            with self._lock:
                self.objects.pop(thing.key, None)
        return refused

    def check(self) -> str:
        self.fault("check", "")
        return "Objects are kept in memory and are lost when this program ends."

    def _held(self, prefix: str) -> Iterator[Stored]:
        with self._lock:
            keys = sorted(key for key in self.objects if key.startswith(prefix))
            return iter([Stored(key=key, size=len(self.objects[key])) for key in keys])

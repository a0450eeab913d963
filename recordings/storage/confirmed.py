"""A store that takes nothing before it has itself confirmed where and how it keeps things, and nothing while it does
not: a setting says where a bucket should be, only the bucket says where it is.

Reading, listing and deleting stay possible, so that what should not lie there can be taken away."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from recordings.storage.store import ObjectStore, Stored, StoreRefused


class ConfirmedStore:
    """ObjectStore around another one. Whoever holds it asks `check` at the start and now and then; safe to use from
    several threads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._confirmed, self._refusal = False, ""
        self._checking = threading.Lock()

    @property
    def refusal(self) -> str:
        """Why nothing may be stored now, as the last check that got an answer said; "" when all is well."""
        return self._refusal

    def check(self) -> str:
        """As the store's own; one that cannot be asked stands as it stood."""
        try:
            said = self._store.check()
        except StoreRefused as error:
            self._refusal = str(error)
            raise
        self._confirmed, self._refusal = True, ""
        return said

    def put(self, key: str, data: bytes) -> None:
        """As the store's own. Raises StoreRefused while it is not fit, StoreError when it was never asked and cannot
        be."""
        if not self._confirmed and not self._refusal:
            with self._checking:  # one asks, the others wait for the answer
                if not self._confirmed:
                    with suppress(StoreRefused):  # told below
                        self.check()
        if self._refusal:
            raise _said(self._refusal)
        self._store.put(key, data)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return self._store.get(key, start, length)

    def list(self, prefix: str) -> Iterator[Stored]:
        return self._store.list(prefix)

    def remains(self, prefix: str) -> Iterator[Stored]:
        return self._store.remains(prefix)

    def delete(self, things: Iterable[Stored]) -> Sequence[tuple[Stored, str]]:
        return self._store.delete(things)


def refusal_of(store: ObjectStore) -> str:
    """Why nothing may be stored there now; "" when nothing is known against it."""
    return store.refusal if isinstance(store, ConfirmedStore) else ""


def _said(words: str) -> StoreRefused:
    error = StoreRefused()
    error.args = (words,)  # which begin with the docstring already
    error.retry = True  # it is asked again soon: what waits goes on then by itself
    return error

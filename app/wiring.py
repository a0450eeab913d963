"""Wiring: the ports of one process, opened once by the composition root and passed along."""

from __future__ import annotations

from dataclasses import dataclass

from app.database import Database
from app.ledger import ledger_of
from app.sealed_columns import SealedColumns
from app.settings import EU_COUNTRIES, Settings
from recordings.encryption.keystore import KeyStore
from recordings.storage.confirmed import ConfirmedStore
from recordings.storage.regions import Place, place_of
from recordings.storage.store import ObjectStore


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """Everything a route or a job may need, none of it global."""

    settings: Settings
    database: Database
    keys: KeyStore
    store: ObjectStore

    def __post_init__(self) -> None:
        self.database.ledger = ledger_of(self.settings)

    @property
    def columns(self) -> SealedColumns:
        return SealedColumns(self.keys)


def place_of_store(settings: Settings) -> Place | None:
    """Where an S3 service keeps objects; None for the local folder. Raises PlaceRefused outside the EU list."""
    if settings.object_store != "s3":
        return None
    loopback_allowed = settings.development or settings.country in EU_COUNTRIES
    return place_of(settings.s3_endpoint, settings.s3_region, loopback_allowed=loopback_allowed)


def open_store(settings: Settings) -> ObjectStore:
    """The object store the settings name."""
    place = place_of_store(settings)
    if place is not None:
        from recordings.storage.s3 import S3Store

        return S3Store(
            place, bucket=settings.s3_bucket, access_key=settings.s3_access_key, secret=settings.s3_secret_key
        )
    from recordings.storage.local import LocalStore

    return LocalStore(settings.data_dir / "objects")


def open_keys(settings: Settings) -> KeyStore:
    """The key store, its master key made on the very first start. Raises KeyStoreError."""
    if settings.keys_database_url:
        from recordings.encryption.postgres import PostgresKeyStore

        return PostgresKeyStore(settings.keys_database_url, settings.master_key_path)
    from recordings.encryption.directory import DirectoryKeyStore

    return DirectoryKeyStore(settings.keys_folder, master_key=settings.master_key_path)


def open_wiring(settings: Settings, database_url: str | None = None) -> Wiring:
    """database_url: where the embedded PostgreSQL listens, when the settings name none."""
    return Wiring(
        settings=settings,
        database=Database(database_url or settings.database_url),
        keys=open_keys(settings),
        store=_confirmed(settings, open_store(settings)),
    )


def _confirmed(settings: Settings, store: ObjectStore) -> ObjectStore:
    """A bucket elsewhere takes nothing before it has said where it is; a folder of this machine is where we are."""
    return ConfirmedStore(store) if settings.object_store == "s3" else store

"""ObjectStore in one bucket of an S3-compatible service.

Requests go only to the origin that regions.py allowed: botocore would follow a bucket to another
region by itself, so a guard looks at every request before a byte of it is sent. Objects are sealed
before they come here; nothing is ever presigned, and an object is one PUT, never several parts.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

from recordings.storage.layout import checked_key, checked_prefix
from recordings.storage.regions import Place, PlaceRefused, confirm_region
from recordings.storage.store import (
    ObjectExists,
    ObjectMissing,
    Stored,
    StoreError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)

_MISSING = {"NoSuchKey", "NoSuchVersion", "NoSuchUpload", "404"}
_FULL = {"QuotaExceeded", "InsufficientStorage", "InsufficientCapacity", "XMinioStorageFull", "507"}
_ELSEWHERE = {"PermanentRedirect", "TemporaryRedirect", "Redirect", "AuthorizationHeaderMalformed", "301", "307"}
_UNAVAILABLE = {
    "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "RequestTimeout", "RequestTimeTooSkewed",
    "InternalError", "ServiceUnavailable", "BadDigest", "OperationAborted", "ConditionalRequestConflict",
    "429", "500", "502", "503", "504",
}  # fmt: skip
_UNSUPPORTED = {"NotImplemented", "MethodNotAllowed", "501", "405"}
READ_TIMEOUT_S = 15.0
"""For the next byte of an answer; the three tries together stay under a minute."""
_BATCH = 1000  # services list and delete no more at once


class S3Store:
    """Safe to use from several threads. Nothing is asked before the first call; call `check` at start."""

    def __init__(
        self,
        place: Place,
        *,
        bucket: str,
        access_key: str,
        secret: str,
        read_timeout_s: float = READ_TIMEOUT_S,
        tries: int = 3,
    ) -> None:
        import boto3  # here, because importing it costs half a second and much memory
        from botocore.config import Config

        self._place = place
        self._bucket = bucket
        self._refuses_overwriting = True
        self._client: Any = boto3.session.Session().client(
            "s3",
            endpoint_url=place.origin,
            region_name=place.region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret,
            use_ssl=place.origin.startswith("https://"),
            config=Config(
                signature_version="s3v4",
                connect_timeout=5,
                read_timeout=read_timeout_s,
                retries={"mode": "standard", "total_max_attempts": tries},
                max_pool_connections=32,
                proxies={},  # a proxy named in the environment would be one more place
                request_checksum_calculation="when_required",  # Content-MD5 is understood everywhere
                response_checksum_validation="when_required",
                s3={
                    "addressing_style": "path",
                    "use_accelerate_endpoint": False,
                    "us_east_1_regional_endpoint": "regional",
                },
            ),
        )
        self._client.meta.events.register("before-send.s3", self._guard)

    def put(self, key: str, data: bytes) -> None:
        checked_key(key)
        if not self._refuses_overwriting and self._holds(key, data):
            return
        condition = {"IfNoneMatch": "*"} if self._refuses_overwriting else {}
        digest = hashlib.md5(data, usedforsecurity=False)
        checksum = base64.b64encode(digest.digest()).decode()
        try:
            with _told():
                answer = self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=data, ContentMD5=checksum, **condition
                )
            # a proxy on the way may say yes by itself; the bytes' own checksum only the store can know
            stored = answer.get("ETag", "").strip('"') == digest.hexdigest() or self._holds(key, data)
        except ObjectExists:
            stored = self._holds(key, data)
        if not stored:
            raise StoreUnavailable("What was written is not there.")

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        last = "" if length is None else start + max(length, 1) - 1
        with _told():
            try:
                answer = self._client.get_object(
                    Bucket=self._bucket, Key=checked_key(key), Range=f"bytes={start}-{last}"
                )
            except self._client.exceptions.ClientError as error:
                if _code(error) in ("InvalidRange", "416"):  # it starts behind the end
                    return b""
                raise
            with closing(answer["Body"]) as body:  # its own `with` gives the raw stream, whose faults have other names
                data: bytes = body.read()
        return data if length is None else data[:length]

    def read(self, thing: Stored) -> bytes:
        """The bytes of exactly this version, also of one that was replaced or deleted."""
        named = {"VersionId": thing.version} if thing.version not in ("", "null") else {}
        with _told():
            answer = self._client.get_object(Bucket=self._bucket, Key=checked_key(thing.key), **named)
            with closing(answer["Body"]) as body:
                data: bytes = body.read()
        return data

    def list(self, prefix: str) -> Iterator[Stored]:
        for page in self._pages("list_objects_v2", checked_prefix(prefix)):
            for found in page.get("Contents", ()):
                yield Stored(key=found["Key"], size=found["Size"])

    def remains(self, prefix: str) -> Iterator[Stored]:
        yield from self._versions(checked_prefix(prefix))
        for page in self._pages("list_multipart_uploads", prefix):
            for found in page.get("Uploads", ()):
                size = self._uploaded_bytes(found["Key"], found["UploadId"])
                yield Stored(key=found["Key"], size=size, version=found["UploadId"], what="open upload")

    def delete(self, things: Iterable[Stored]) -> Sequence[tuple[Stored, str]]:
        objects: dict[tuple[str, str], Stored] = {}
        refused: list[tuple[Stored, str]] = []
        for thing in things:
            if thing.what == "open upload":
                refused += self._refusals(thing, "abort_multipart_upload", UploadId=thing.version)
            else:
                objects[thing.key, thing.version] = thing
        waiting = list(objects.values())
        for at in range(0, len(waiting), _BATCH):
            refused += self._delete_batch(waiting[at : at + _BATCH])
        return refused

    def check(self) -> str:
        with _told():
            answer = self._client.head_bucket(Bucket=self._bucket)
        confirm_region(self._place, answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region"))
        self._refuse_copies_and_locks()
        self._try_out()
        text = f"Objects are kept in bucket {self._bucket} at {self._place.provider} ({self._place.where})."
        if self._place.operator_outside_eu:
            text += " The place is in the European Union, the company that runs it is not."
        if self._ask("get_bucket_versioning").get("Status"):
            text += " The bucket keeps old versions; erasing removes all of them."
        return text

    def _guard(self, request: Any, **_: Any) -> None:
        """Called by botocore before each request, also after it redirected one."""
        if not request.url.startswith(f"{self._place.origin}/"):
            raise PlaceRefused("The object store sent us to another host.")

    def _holds(self, key: str, data: bytes) -> bool:
        """True when exactly these bytes are stored, False when nothing is. Raises ObjectExists."""
        try:
            if self.get(key) != data:
                raise ObjectExists()
        except ObjectMissing:
            return False
        return True

    def _pages(self, verb: str, prefix: str) -> Iterator[Any]:
        """Pages of a listing; none where the service does not have that verb."""
        with _told(nothing_if_unsupported=True):
            pages = self._client.get_paginator(verb)
            yield from pages.paginate(Bucket=self._bucket, Prefix=prefix, PaginationConfig={"PageSize": _BATCH})

    def _versions(self, prefix: str) -> Iterator[Stored]:
        asked = False
        for page in self._pages("list_object_versions", prefix):
            asked = True
            for found in page.get("Versions", ()):
                yield Stored(key=found["Key"], size=found["Size"], version=found["VersionId"])
            for found in page.get("DeleteMarkers", ()):
                yield Stored(key=found["Key"], size=0, version=found["VersionId"], what="delete marker")
        if not asked:
            yield from self.list(prefix)

    def _uploaded_bytes(self, key: str, upload: str) -> int:
        with _told():
            try:
                pages = self._client.get_paginator("list_parts").paginate(Bucket=self._bucket, Key=key, UploadId=upload)
                return sum(part["Size"] for page in pages for part in page.get("Parts", ()))
            except self._client.exceptions.NoSuchUpload:  # ended since it was listed
                return 0

    def _delete_batch(self, batch: Sequence[Stored]) -> Sequence[tuple[Stored, str]]:
        by_name = {(thing.key, thing.version): thing for thing in batch}
        wanted = [{"Key": key} | ({"VersionId": version} if version else {}) for key, version in by_name]
        with _told():
            try:
                answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": wanted, "Quiet": True})
            except self._client.exceptions.ClientError as error:
                if _code(error) not in _UNSUPPORTED | {"MissingContentMD5", "InvalidRequest"}:
                    raise
                answer = None
        if answer is None:  # a service without DeleteObjects
            return [refusal for thing in batch for refusal in self._delete_one(thing)]
        refused = []
        for said in answer.get("Errors", ()):  # the answer is 200 even when nothing was deleted
            thing = by_name.get((said["Key"], said.get("VersionId", ""))) or Stored(key=said["Key"], size=0)
            if said["Code"] not in _MISSING:
                refused.append((thing, f"{said['Code']} {said.get('Message', '')}".strip()))
        return refused

    def _delete_one(self, thing: Stored) -> Sequence[tuple[Stored, str]]:
        return self._refusals(thing, "delete_object", **({"VersionId": thing.version} if thing.version else {}))

    def _refusals(self, thing: Stored, verb: str, **arguments: str) -> Sequence[tuple[Stored, str]]:
        try:
            with _told():
                getattr(self._client, verb)(Bucket=self._bucket, Key=thing.key, **arguments)
        except ObjectMissing:
            return []
        except StoreRefused as error:
            return [(thing, str(error))]
        return []

    def _refuse_copies_and_locks(self) -> None:
        """A lock would keep what must be erased; replication would copy it to where we do not look."""
        locked = self._ask("get_object_lock_configuration").get("ObjectLockConfiguration", {})
        if locked.get("ObjectLockEnabled") == "Enabled":
            raise StoreRefused("The bucket has object lock: what it holds could not be erased.")
        if self._ask("get_bucket_replication").get("ReplicationConfiguration", {}).get("Rules"):
            raise StoreRefused("The bucket is replicated: copies could not be erased.")

    def _try_out(self) -> None:
        """Write, refuse to overwrite, read and delete one small object."""
        key = f"probe/{uuid4()}"
        try:
            self.put(key, b"first")
            try:
                self.put(key, b"second")
                self._refuses_overwriting = False  # the service ignores If-None-Match: look before writing
            except ObjectExists:
                pass
            if self.get(key, 1, 3) not in (b"irs", b"eco"):
                raise StoreRefused("It gives back other bytes than were stored.")
        finally:
            if self.delete(self.remains(key)) or any(self.remains(key)):
                raise StoreRefused("What is deleted stays in the bucket.")

    def _ask(self, verb: str) -> Any:
        """What a bucket is set to; {} where it is not set, not known to the service or not told to us."""
        with _told():
            try:
                return getattr(self._client, verb)(Bucket=self._bucket)
            except self._client.exceptions.ClientError as error:
                if _status(error) >= 500 and _code(error) not in _UNSUPPORTED:
                    raise
                return {}


@contextmanager
def _told(*, nothing_if_unsupported: bool = False) -> Iterator[None]:
    """Turn what botocore raises into the errors of the port."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        if nothing_if_unsupported and _code(error) in _UNSUPPORTED:
            return
        raise _meaning(error) from error
    except (BotoCoreError, ResponseParserError) as error:  # no answer, half of one, or none that makes sense
        raise StoreUnavailable(type(error).__name__) from error


def _meaning(error: Any) -> StoreError:
    code, status = _code(error), _status(error)
    if code == "PreconditionFailed" or status == 412:
        return ObjectExists()
    if code in _MISSING:
        return ObjectMissing()
    if code in _FULL or status == 507:
        return StoreFull()
    if code in _ELSEWHERE:
        return PlaceRefused("The bucket lies elsewhere.")
    if code not in _UNSUPPORTED and (code in _UNAVAILABLE or status >= 500):
        return StoreUnavailable(code)
    return StoreRefused(code)


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))

"""What only the S3 adapter can show, on a real service; the suite of the port is test_object_store.py."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from botocore.stub import Stubber

from app.byte_scan import ReadsVersions, scan_store
from recordings.storage.regions import PlaceRefused, place_of
from recordings.storage.s3 import S3Store
from recordings.storage.store import (
    ObjectExists,
    ObjectStore,
    Stored,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)
from tests.fixtures.weed import Weed


@pytest.fixture
def prefix() -> str:
    return f"{uuid4()}/"


def keys(store: ObjectStore, prefix: str) -> list[str]:
    return [thing.key for thing in store.list(prefix)]


def test_s3_shows_old_versions_and_delete_markers_and_removes_them(weed: Weed, prefix: str) -> None:
    store, behind = weed.store(weed.versioned), weed.client()
    for data in (b"one", b"three"):
        behind.put_object(Bucket=weed.versioned, Key=f"{prefix}x", Body=data)
    behind.delete_object(Bucket=weed.versioned, Key=f"{prefix}x")
    assert list(store.list(prefix)) == []
    held = list(store.remains(prefix))
    assert sorted((thing.what, thing.size) for thing in held) == [("delete marker", 0), ("object", 3), ("object", 5)]
    assert not store.delete(held)
    assert list(store.remains(prefix)) == []
    answer = behind.list_object_versions(Bucket=weed.versioned, Prefix=prefix)
    assert "Versions" not in answer and "DeleteMarkers" not in answer


def test_s3_scanning_reads_versions_that_were_replaced_or_deleted(weed: Weed, prefix: str) -> None:
    """For `junier erasure scan`: what a delete marker hides lies there still."""
    store, behind = weed.store(weed.versioned), weed.client()
    for data in (b"the canary", b"harmless"):
        behind.put_object(Bucket=weed.versioned, Key=f"{prefix}x", Body=data)
    behind.delete_object(Bucket=weed.versioned, Key=f"{prefix}x")
    held = [thing for thing in store.remains(prefix) if thing.what == "object"]
    assert {store.read(thing) for thing in held} == {b"the canary", b"harmless"}
    assert isinstance(store, ReadsVersions)
    [hit] = [hit for hit in scan_store(store, ["canary"]).hits if prefix in hit.where]
    assert hit.at == 4 and "version" in hit.where


def test_s3_deletion_is_complete_when_versioning_is_switched_on_behind_our_back(weed: Weed, prefix: str) -> None:
    behind = weed.client()
    bucket = f"switched-{uuid4()}"
    behind.create_bucket(Bucket=bucket)
    store = weed.store(bucket)
    store.put(f"{prefix}before", b"x")
    behind.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    store.put(f"{prefix}after", b"x")
    assert "keeps old versions" in store.check()
    assert not store.delete(store.remains(prefix))
    assert list(store.remains(prefix)) == []
    assert not {"Versions", "DeleteMarkers"} & set(behind.list_object_versions(Bucket=bucket, Prefix=prefix))


def test_s3_shows_and_aborts_open_multipart_uploads(weed: Weed, prefix: str) -> None:
    store, behind = weed.store(), weed.client()
    upload = behind.create_multipart_upload(Bucket=weed.bucket, Key=f"{prefix}x")["UploadId"]
    behind.upload_part(Bucket=weed.bucket, Key=f"{prefix}x", UploadId=upload, PartNumber=1, Body=b"p" * 700)
    other = behind.create_multipart_upload(Bucket=weed.bucket, Key=f"{uuid4()}/x")["UploadId"]
    assert list(store.list(prefix)) == []
    (thing,) = store.remains(prefix)
    assert thing == Stored(key=f"{prefix}x", size=700, version=upload, what="open upload")
    assert not store.delete([thing])
    assert list(store.remains(prefix)) == []
    assert not store.delete([thing])
    left = behind.list_multipart_uploads(Bucket=weed.bucket).get("Uploads", ())
    assert [found["UploadId"] for found in left if found["UploadId"] in (upload, other)] == [other]


@pytest.mark.parametrize("bucket", ["recordings", "versioned"])
def test_s3_lists_and_deletes_more_than_one_page(
    weed: Weed, prefix: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recordings.storage.s3._BATCH", 3)
    store = weed.store(bucket)
    names = [f"{prefix}{number:05d}" for number in range(8)]
    for name in names:
        store.put(name, b"")
    assert keys(store, prefix) == names
    assert [thing.key for thing in store.remains(prefix)] == names
    for name in names:
        weed.client().create_multipart_upload(Bucket=bucket, Key=name)
    assert len(list(store.remains(prefix))) == 16
    assert not store.delete(store.remains(prefix))
    assert list(store.remains(prefix)) == []


def test_s3_service_that_ignores_if_none_match_is_found_out_and_still_not_overwritten(weed: Weed, prefix: str) -> None:
    place = place_of(weed.endpoint, weed.region, loopback_allowed=True)
    store = S3Store(place, bucket=weed.bucket, access_key=weed.access_key, secret=weed.secret)

    def ignore(params: dict[str, dict[str, str]], **_: object) -> None:
        params["headers"].pop("If-None-Match", None)

    store._client.meta.events.register("before-call.s3.PutObject", ignore)
    store.check()
    store.put(f"{prefix}x", b"first")
    store.put(f"{prefix}x", b"first")
    with pytest.raises(ObjectExists):
        store.put(f"{prefix}x", b"other")
    assert store.get(f"{prefix}x") == b"first"


def test_s3_damaged_on_the_way_is_refused_by_the_service_and_may_be_tried_again(weed: Weed, prefix: str) -> None:
    place = place_of(weed.endpoint, weed.region, loopback_allowed=True)
    store = S3Store(place, bucket=weed.bucket, access_key=weed.access_key, secret=weed.secret)

    def damage(params: dict[str, object], **_: object) -> None:
        params["body"] = b"other"

    store._client.meta.events.register("before-call.s3.PutObject", damage)
    with pytest.raises(StoreUnavailable):
        store.put(f"{prefix}x", b"first")
    assert list(store.remains(prefix)) == []


def test_s3_says_which_versions_a_lock_refuses_to_give_up(weed: Weed, prefix: str) -> None:
    behind, store = weed.client(), weed.store(weed.locked)
    store.put(f"{prefix}held", b"x")
    store.put(f"{prefix}free", b"x")
    behind.put_object_legal_hold(Bucket=weed.locked, Key=f"{prefix}held", LegalHold={"Status": "ON"})
    ((thing, reason),) = store.delete(store.remains(prefix))
    assert thing.key == f"{prefix}held" and reason
    assert keys(store, prefix) == [f"{prefix}held"]
    behind.put_object_legal_hold(Bucket=weed.locked, Key=f"{prefix}held", LegalHold={"Status": "OFF"})
    assert not store.delete(store.remains(prefix))


def test_s3_check_refuses_a_bucket_with_object_lock(weed: Weed) -> None:
    with pytest.raises(StoreRefused, match="could not be erased"):
        weed.store(weed.locked).check()


def test_s3_wrong_secret_and_wrong_bucket_are_refused_for_good(weed: Weed) -> None:
    for store in (weed.store(secret="wrong"), weed.store(f"no-{uuid4()}")):
        with pytest.raises(StoreRefused) as refused:
            store.put("x", b"x")
        assert not refused.value.retry
    with pytest.raises(StoreRefused):
        weed.store(secret="wrong").check()


def test_s3_that_cannot_be_reached_may_be_tried_again() -> None:
    place = place_of("http://127.0.0.1:1", "local", loopback_allowed=True)
    store = S3Store(place, bucket="b", access_key="a", secret="s")
    for ask in (lambda: store.get("x"), lambda: store.put("x", b""), lambda: list(store.remains("x")), store.check):
        with pytest.raises(StoreUnavailable) as failed:
            ask()
        assert failed.value.retry


def stubbed(answer: Callable[[Stubber], None]) -> S3Store:
    place = place_of("http://127.0.0.1:1", "local", loopback_allowed=True)
    store = S3Store(place, bucket="bucket", access_key="a", secret="s")
    stub = Stubber(store._client)
    answer(stub)
    stub.activate()
    return store


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("SlowDown", 503, StoreUnavailable),
        ("InternalError", 500, StoreUnavailable),
        ("BadDigest", 400, StoreUnavailable),
        ("ConditionalRequestConflict", 409, StoreUnavailable),
        ("SomethingNew", 599, StoreUnavailable),
        ("QuotaExceeded", 403, StoreFull),
        ("Full", 507, StoreFull),
        ("AccessDenied", 403, StoreRefused),
        ("NoSuchBucket", 404, StoreRefused),
        ("NotImplemented", 501, StoreRefused),
        ("PermanentRedirect", 301, PlaceRefused),
        ("AuthorizationHeaderMalformed", 400, PlaceRefused),
    ],
)
def test_s3_errors_become_errors_of_the_port(code: str, status: int, expected: type[Exception]) -> None:
    store = stubbed(lambda stub: stub.add_client_error("put_object", code, http_status_code=status))
    with pytest.raises(expected) as failed:
        store.put("x", b"x")
    assert type(failed.value) is expected


def test_s3_without_versions_uploads_or_batches_is_still_listed_and_emptied() -> None:
    def old_service(stub: Stubber) -> None:
        stub.add_client_error("list_object_versions", "NotImplemented", http_status_code=501)
        stub.add_response("list_objects_v2", {"Contents": [{"Key": "p/a", "Size": 3}]})
        stub.add_client_error("list_multipart_uploads", "NotImplemented", http_status_code=501)
        stub.add_client_error("delete_objects", "NotImplemented", http_status_code=501)
        stub.add_response("delete_object", {}, {"Bucket": "bucket", "Key": "p/a"})

    store = stubbed(old_service)
    things = list(store.remains("p/"))
    assert things == [Stored(key="p/a", size=3)]
    assert not store.delete(things)


def test_s3_batch_deletion_that_answers_200_with_errors_is_not_believed() -> None:
    errors = [
        {"Key": "p/a", "VersionId": "1", "Code": "AccessDenied", "Message": "held"},
        {"Key": "p/b", "VersionId": "1", "Code": "NoSuchVersion", "Message": ""},
    ]
    store = stubbed(lambda stub: stub.add_response("delete_objects", {"Errors": errors}))
    things = [Stored(key="p/a", size=1, version="1"), Stored(key="p/b", size=1, version="1")]
    assert store.delete(things) == [(things[0], "AccessDenied held")]


def test_s3_check_refuses_a_bucket_that_is_replicated() -> None:
    rule = {"Status": "Enabled", "Destination": {"Bucket": "arn:aws:s3:::copy"}}

    def replicated(stub: Stubber) -> None:
        stub.add_response("head_bucket", {"ResponseMetadata": {"HTTPHeaders": {}}})
        stub.add_client_error("get_object_lock_configuration", "NotImplemented", http_status_code=501)
        stub.add_response("get_bucket_replication", {"ReplicationConfiguration": {"Role": "r", "Rules": [rule]}})

    with pytest.raises(StoreRefused, match="replicated"):
        stubbed(replicated).check()


def test_s3_that_fails_while_listing_versions_is_not_taken_for_empty() -> None:
    store = stubbed(lambda stub: stub.add_client_error("list_object_versions", "AccessDenied", http_status_code=403))
    with pytest.raises(StoreRefused):
        list(store.remains("p/"))

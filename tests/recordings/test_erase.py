"""Erasing claims only what it saw: a store or key store that fails makes it say so."""

from __future__ import annotations

import pytest

from recordings.encryption.keystore import KeyDestroyed, KeyPath, KeyStoreError
from recordings.erase import erase
from recordings.storage.layout import person_prefix, track_key_path, track_prefix
from recordings.storage.store import StoreRefused, StoreUnavailable
from tests.recordings.scene import CAMERA, VOICE, Scene


@pytest.fixture
async def scene(tmp_path):
    scene = Scene(tmp_path / "spool")
    recorder = scene.recorder()
    scene.capture(recorder, 12)
    recorder.close()
    await scene.store_all()
    scene.finalise()
    return scene


def erase_person(scene: Scene):
    ref = scene.ref
    prefix = person_prefix(ref.account, ref.session, ref.person)
    return erase(scene.store, scene.keys, KeyPath(ref.account, ref.person), [prefix])


async def test_a_person_goes_with_every_object_and_every_key(scene):
    held = {key: len(data) for key, data in scene.store.objects.items()}
    erasure = erase_person(scene)
    assert erasure.verified and erasure.reasons == ()
    assert {thing.key: thing.size for thing in erasure.objects} == held and erasure.bytes == sum(held.values())
    assert erasure.keys_destroyed == 4  # the person, two tracks and the index
    assert scene.store.objects == {}
    for track in scene.tracks.values():
        with pytest.raises(KeyDestroyed):
            scene.keys.unwrap(track_key_path(track))


async def test_another_person_and_another_track_stay(scene):
    camera, voice = scene.tracks[CAMERA], scene.tracks[VOICE]
    scene.store.put("00000000-0000-0000-0000-000000000001/other/person", b"stays")
    erasure = erase(scene.store, scene.keys, track_key_path(camera), [track_prefix(camera)])
    assert erasure.verified and all(str(camera.track) in thing.key for thing in erasure.objects)
    assert (
        scene.keys.unwrap(track_key_path(voice))
        and "00000000-0000-0000-0000-000000000001/other/person" in scene.store.objects
    )
    assert [key for key in scene.store.objects if str(voice.track) in key]


async def test_running_it_again_finds_nothing_and_is_verified(scene):
    erase_person(scene)
    again = erase_person(scene)
    assert again.verified and again.objects == () and again.keys_destroyed == 0 and again.bytes == 0


async def test_a_store_that_refuses_one_object_is_never_verified(scene):
    kept = next(key for key in scene.store.objects if "/s/" in key)

    def fault(verb: str, key: str) -> None:
        if verb == "delete" and key == kept:
            raise StoreRefused("held by object lock")

    scene.store.fault = fault
    erasure = erase_person(scene)
    assert not erasure.verified and any(kept in reason and "lock" in reason for reason in erasure.reasons)
    assert kept not in {thing.key for thing in erasure.objects} and list(scene.store.objects) == [kept]
    with pytest.raises(KeyDestroyed):
        scene.keys.unwrap(KeyPath(scene.ref.account, scene.ref.person))

    scene.store.fault = lambda verb, key: None
    resumed = erase_person(scene)
    assert resumed.verified and [thing.key for thing in resumed.objects] == [kept]


async def test_a_store_that_says_deleted_and_keeps_it_is_found_out(scene):
    scene.store.delete = lambda things: []
    erasure = erase_person(scene)
    assert not erasure.verified and any("still in the store" in reason for reason in erasure.reasons)


@pytest.mark.parametrize("verb", ["remains", "delete"])
async def test_a_store_that_cannot_be_reached_is_a_reason_and_no_exception(scene, verb):
    def fault(asked: str, key: str) -> None:
        if asked == verb:
            raise StoreUnavailable("no route to host")

    scene.store.fault = fault
    erasure = erase_person(scene)
    assert not erasure.verified and any("no route to host" in reason for reason in erasure.reasons)
    assert erasure.objects == () and erasure.keys_destroyed == 4, "the key goes first, whatever the store does"


async def test_a_store_that_fails_only_when_looked_at_again_is_not_verified(scene):
    asked = []

    def fault(verb: str, key: str) -> None:
        asked.append(verb)
        if asked.count("remains") == 2:
            raise StoreUnavailable("gone away")

    scene.store.fault = fault
    erasure = erase_person(scene)
    assert scene.store.objects == {} and erasure.objects and not erasure.verified


async def test_a_key_that_was_not_destroyed_is_told(scene):
    def failing(path):
        raise KeyStoreError("one copy did not confirm")

    scene.keys.destroy = failing
    erasure = erase_person(scene)
    assert not erasure.verified and erasure.keys_destroyed == 0
    assert "one copy did not confirm" in erasure.reasons[0] and "The key can still be unwrapped" in erasure.reasons
    assert scene.store.objects == {}, "the media goes all the same"


@pytest.mark.parametrize("prefix", ["", "0000"])
async def test_a_prefix_of_nobody_is_refused_before_anything_happens(scene, prefix):
    held = dict(scene.store.objects)
    with pytest.raises(ValueError):
        erase(scene.store, scene.keys, KeyPath(scene.ref.account, scene.ref.person), [prefix])
    assert scene.store.objects == held and scene.keys.exists(KeyPath(scene.ref.account, scene.ref.person))

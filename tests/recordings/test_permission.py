"""The recorder keeps what is permitted, from the moment it is to the moment it is not any more."""

from __future__ import annotations

import pytest

from recordings.capture.recorder import CaptureState
from recordings.storage.layout import track_prefix
from tests.recordings.scene import BOTH, CAMERA, START, VOICE, Scene, play

ONLY_VOICE = frozenset({VOICE})


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path / "spool")


async def finished(scene, recorder):
    recorder.close()
    await scene.store_all()
    return scene.finalise()


def test_a_recorder_starts_with_nothing_permitted_and_leaves_nothing(scene):
    recorder = scene.recorder(permit=frozenset())
    scene.capture(recorder, 3)
    assert recorder.health().state is CaptureState.IDLE and not recorder.wants_key_frame()
    recorder.close()
    assert scene.spool.waiting().ready == 0 and scene.spool.used_bytes == 0


async def test_withdrawal_cuts_at_the_moment_and_video_returns_with_a_key_frame(scene):
    recorder = scene.recorder()
    taken_back, given_again = 1.25, 2.5

    def change(at):
        if at >= given_again:
            recorder.permit(BOTH, "consent")
        elif at >= taken_back:
            recorder.permit(ONLY_VOICE, "consent withdrawn")

    frames = scene.capture(recorder, 5, each=change)
    summary = await finished(scene, recorder)
    played = play(b"".join(scene.view(summary).read()))
    sent = [frame for frame in frames if frame.kind is CAMERA]
    key_again = next(f.arrived_at for f in sent if f.key and f.arrived_at - START >= given_again)
    kept = [f.data for f in sent if f.arrived_at - START < taken_back or f.arrived_at >= key_again]
    assert [packet.data for packet in played["video"]] == kept
    assert len(played["audio"]) == 250, "the voice went on"
    (gap,) = summary.gaps
    assert (gap.kind, gap.why) == (CAMERA, "consent withdrawn"), "what alone is missing, while the voice goes on"
    assert gap.from_ms == pytest.approx(taken_back * 1000, abs=60) and gap.to_ms == pytest.approx(2_500, abs=5)


async def test_what_was_covered_is_sealed_the_instant_permission_goes(scene):
    recorder = scene.recorder(permit=ONLY_VOICE)
    frames = scene.capture(recorder, 0.3)
    recorder.permit(frozenset(), "paused")
    assert scene.spool.waiting().ready == 1, "the segment is ready at once"
    assert recorder.health().state is CaptureState.IDLE
    scene.capture(recorder, 5)
    recorder.permit(ONLY_VOICE, "resumed")
    scene.capture(recorder, 1)
    summary = await finished(scene, recorder)
    assert summary.tracks[1].frames == len([f for f in frames if f.kind is VOICE]) + 50
    assert [(gap.from_ms, gap.to_ms, gap.why) for gap in summary.gaps] == [(300, 5_300, "paused")]


async def test_a_consent_given_again_opens_another_track_and_the_first_can_be_left_out(scene):
    recorder = scene.recorder()
    scene.capture(recorder, 2)
    recorder.close_track(CAMERA)
    scene.capture(recorder, 2)
    first = scene.tracks[CAMERA]
    second = scene.add_track(CAMERA, 77)
    recorder.open_track(second, scene.data_keys[CAMERA])
    scene.capture(recorder, 1)
    assert recorder.health().tracks[CAMERA].frames == 0, "opened is not permitted"
    recorder.permit(BOTH, "consent")
    assert recorder.wants_key_frame()
    scene.capture(recorder, 2)
    assert not recorder.wants_key_frame()
    recorder.close()
    await scene.store_all()
    summary = scene.finalise()
    assert {key.split("/")[4] for key in scene.stored} == {
        str(first.track),
        str(second.track),
        str(scene.tracks[VOICE].track),
    }
    assert len(play(b"".join(scene.view(summary).read()))["video"]) == 60


async def test_nothing_is_kept_after_the_take_is_closed_or_its_track_discarded(scene):
    recorder = scene.recorder()
    scene.capture(recorder, 1)
    scene.spool.discard(track_prefix(scene.tracks[CAMERA]))
    scene.capture(recorder, 1)
    recorder.close()
    recorder.close()
    scene.capture(recorder, 1)
    recorder.permit(BOTH, "too late")
    assert recorder.health().state is CaptureState.CLOSED
    await scene.spool.settle()
    keys = [piece.key for piece in scene.spool.pieces()]
    assert keys and not [key for key in keys if str(scene.tracks[CAMERA].track) in key]


def test_health_says_what_was_kept_and_nothing_else(scene):
    recorder = scene.recorder()
    scene.capture(recorder, 2)
    voice = recorder.health().tracks[VOICE]
    assert (voice.frames, voice.first_ticks, voice.last_ticks) == (100, 77, 77 + 99 * 960)
    assert voice.last_frame_at == pytest.approx(START + 1.98 + 0.03) and voice.bytes > 0
    recorder.permit(ONLY_VOICE, "paused")
    assert not recorder.health().tracks[CAMERA].permitted
    assert recorder.health().state is CaptureState.RECORDING

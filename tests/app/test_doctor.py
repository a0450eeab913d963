"""`junier doctor` finds what is wrong, says it in words and says how to mend it; looking makes nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from app import doctor
from app.doctor import examine
from app.findings import Broken, Note, State
from app.migrations import run
from app.settings import Mode, Settings


def broken(check, *arguments) -> Broken:
    with pytest.raises(Broken) as told:
        check(*arguments)
    assert told.value.mend
    return told.value


def test_before_the_first_start_it_names_what_will_be_made_and_makes_nothing(data_dir):
    found = {f.about: f for f in examine(Settings(data_dir=data_dir / "var"), speech_model=lambda: "a folder")}
    assert {f.state for f in found.values()} <= {State.GOOD, State.NOTE}
    assert list(data_dir.iterdir()) == []


def test_a_data_folder_open_to_others_is_noted(data_dir):
    data_dir.chmod(0o755)
    with pytest.raises(Note, match="open to other users"):
        doctor.check_data_dir(Settings(data_dir=data_dir))


def test_a_healthy_database(app_url):
    assert run.head() in doctor.check_database(Settings(database_url=app_url))


def test_a_database_that_does_not_answer():
    settings = Settings(database_url="postgresql://junier_app@127.0.0.1:1/junier")
    assert "DATABASE_URL" in broken(doctor.check_database, settings).mend


def test_a_role_above_row_level_security(superuser_url):
    assert "junier_app" in broken(doctor.check_database, Settings(database_url=superuser_url)).mend


def test_a_database_that_was_not_migrated(app_url, owner_url):
    run.downgrade(owner_url)
    assert "junier migrate" in broken(doctor.check_database, Settings(database_url=app_url)).mend


@pytest.mark.parametrize(
    "endpoint, region",
    [("https://s3.us-east-1.amazonaws.com", "us-east-1"), ("https://s3.example.org", "eu-central-1")],
)
def test_storage_outside_the_eu(endpoint, region):
    settings = Settings(object_store="s3", s3_endpoint=endpoint, s3_region=region, s3_bucket="b")
    assert "EU list" in broken(doctor.check_storage, settings).mend


def test_a_master_key_others_can_read(data_dir):
    from app.wiring import open_keys

    settings = Settings(data_dir=data_dir)
    open_keys(settings)
    settings.master_key_path.chmod(0o644)
    assert "0600" in str(broken(doctor.check_keys, settings))


@pytest.mark.parametrize(
    "settings, variable",
    [
        (Settings(mail="mailtrap", mail_from="a@example.eu"), "JUNIER_MAILTRAP_TOKEN"),
        (Settings(mail="smtp", mail_from="a@example.eu"), "JUNIER_SMTP_HOST"),
        (Settings(mail="smtp", mail_from="a@example.eu", smtp_host="127.0.0.1", smtp_port=1), "cannot be reached"),
    ],
)
def test_mail_that_cannot_be_sent(settings, variable):
    assert variable in str(broken(doctor.check_mail, settings))


@pytest.fixture
def stun_server() -> Iterator[int]:
    """Answers every binding request with a success, as RFC 8489 asks."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(120)

        def answer() -> None:
            try:
                request, who = udp.recvfrom(1024)
                udp.sendto(b"\x01\x01\x00\x00" + request[4:20], who)
            except OSError:
                return

        thread = threading.Thread(target=answer)
        thread.start()
        yield udp.getsockname()[1]
        udp.sendto(b"", udp.getsockname())
        thread.join()


def test_a_turn_server_that_answers(stun_server):
    settings = Settings(turn_urls=f"turn:127.0.0.1:{stun_server}", turn_secret="s")
    assert "answer" in doctor.check_turn(settings)


@pytest.mark.parametrize(
    "settings, says",
    [
        (Settings(turn_urls="turn:127.0.0.1:1"), "JUNIER_TURN_SECRET"),
        (Settings(turn_urls="turn:127.0.0.1:1", turn_secret="s"), "does not answer"),
        (Settings(turn_urls="turns:127.0.0.1:1?transport=tcp", turn_secret="s"), "cannot be reached"),
        (Settings(turn_only=True), "JUNIER_TURN_ONLY"),
    ],
)
def test_turn_that_will_not_help_anybody(settings, says):
    assert says in str(broken(doctor.check_turn, settings))


def test_a_missing_speech_model_is_shown_in_the_engines_words():
    def missing() -> str:
        raise RuntimeError("no weights here")

    assert "no weights here" in str(broken(doctor.check_speech, missing))


def test_settings_that_contradict_each_other():
    assert "https://" in str(broken(doctor.check_settings, Settings(mode=Mode.PRODUCTION, public_url="http://a.eu")))

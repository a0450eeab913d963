"""The operator's proofs as commands, on an installation with the embedded database: what they say, and their status."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from click.testing import CliRunner, Result

from app.__main__ import cli
from app.embedded import EmbeddedPostgres
from app.privacy.erasing.orphans import Kind

Run = Callable[..., Result]
SIGNED_IN = (
    "INSERT INTO login (id, account_id, token_hash, scope, member_id, expires_at)"
    " SELECT gen_random_uuid(), account_id, 'x', 'member', id, now() + interval '1 day' FROM member"
)


@pytest.fixture
def run(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))  # that of the system has much of others

    def invoke(*words: str, typed: str | None = None) -> Result:
        environment = {"JUNIER_DATA_DIR": str(data_dir), "DATABASE_URL": "", "MIGRATION_DATABASE_URL": ""}
        return CliRunner().invoke(cli, words, env=environment, input=typed)

    return invoke


def account(run: Run, name: str, owner: str) -> None:
    made = run("account", "create", "--name", name, "--owner-name", owner, "--owner-email", f"{owner}@lab.example")
    assert made.exit_code == 0, made.output


def operators(run: Run) -> None:
    """Added, listed and removed again; what was said of them is in the platform's own log."""
    words = ("operator", "add", "omar@platform.example", "--name", "Omar")
    added = run(*words)
    assert added.exit_code == 0 and added.output.rstrip().endswith("/support/sign-in"), added.output
    again, wrong = run(*words), run("operator", "add", "omar", "--name", "Omar")
    assert again.exit_code == 1 and "belongs to an operator already" in again.output
    assert wrong.exit_code == 2 and "does not look like an e-mail address" in wrong.output
    assert "Omar  omar@platform.example  0 passkeys" in run("operator", "list").output
    assert run("operator", "remove", "omar@platform.example").exit_code == 0
    assert run("operator", "list").output == "There is no operator.\n"
    assert run("operator", "remove", "omar@platform.example").exit_code == 1
    assert "of 2 accounts" in run("audit", "verify").output


def nobody_was_read(run: Run) -> None:
    """The head alone; a time that ends before it begins, and one that is none, are refused."""
    listed = run("breach", "--since", "2026-01-01", "--with-contacts")
    assert listed.exit_code == 0, listed.output
    assert listed.output.splitlines()[0].endswith("login,themselves,name,email") and listed.output.count("\n") == 1
    assert '"people": 0' in run("breach", "--since", "2026-01-01T08:30", "--format", "json").output
    for words in (("--since", "2026-02-01", "--until", "2026-01-01"), ("--since", "yesterday"), ()):
        assert run("breach", *words).exit_code == 2


def orphans_go_when_an_operator_says_so(run: Run, owner_url: str, objects: Path, account: UUID) -> None:
    place = f"{account}/{uuid4()}/{uuid4()}/{uuid4()}/index-"
    file = objects / f"{place}00001"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"sealed")
    words = ("erasure", "orphans", "--erase")
    assert "0 erased with their keys, 2 stand alone." in run(*words, typed="y\n").output  # noted now
    with psycopg.connect(owner_url) as owner:
        noted = "UPDATE orphan SET seen_at = now() - interval '2 days', kind = %s WHERE place = %s"
        owner.execute(noted, [Kind.TOO_MANY, place])
    refused = run(*words, typed="n\n")
    assert refused.exit_code == 1 and f"too many to go by themselves: {place} (since" in refused.output
    assert file.exists()
    assert "1 erased with their keys, 1 stand alone." in run(*words, typed="y\n").output
    assert not file.exists()


def a_damaged_line_stops_everything_until_it_is_accepted(run: Run, ledger: Path, folder: Path) -> None:
    whole = run("ledger", "check")
    assert whole.exit_code == 0 and "3 lines, all whole" in whole.output, whole.output
    ledger.write_bytes(ledger.read_bytes().replace(b'"event"', b'"evenT"', 1))
    refused = run("backup", str(folder))
    assert refused.exit_code == 1 and "junier ledger check" in refused.output, refused.output
    named = run("ledger", "check")
    assert named.exit_code == 1 and f"{ledger}, line 2, bytes " in named.output, named.output
    assert "Broken" not in run("audit", "verify").output  # nothing is said before somebody accepts
    accepted = run("ledger", "check", "--accept-loss")
    assert accepted.exit_code == 0 and "1 accounts say so" in accepted.output, accepted.output
    assert run("ledger", "check").exit_code == 0
    assert run("backup", str(folder)).exit_code == 0


def an_account_that_nobody_owns_is_given_an_owner(run: Run, owner_url: str, lab: UUID) -> None:
    words = ("account", "give-owner", str(lab), "--owner-name", "Ida", "--owner-email", "ida@lab.example")
    owned = run(*words)
    assert owned.exit_code == 1 and "has an owner" in owned.output, owned.output
    with psycopg.connect(owner_url) as owner:
        owner.execute("UPDATE member SET role = 'observer'")
    said = json.loads(run("doctor", "--json").output)["findings"]
    [owners] = [finding for finding in said if finding["about"] == "Owners"]
    assert owners["state"] == "broken" and str(lab) in owners["says"] and "give-owner" in owners["mend"]
    assert "look like" in run(*words[:-1], "ida").output or run(*words[:-1], "ida").exit_code == 2
    given = run(*words)
    assert given.exit_code == 0 and "/sign-in/" in given.output, given.output
    assert run(*words).exit_code == 1
    unknown = run("account", "give-owner", "00000000-0000-0000-0000-000000000001", *words[3:])
    assert unknown.exit_code == 1 and "no open account" in unknown.output, unknown.output


def test_backup_restore_and_the_proofs(run: Run, data_dir: Path, tmp_path: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    server.start()
    try:
        account(run, "Kitchen lab", "kanarienvogel")
        with psycopg.connect(server.urls.owner) as owner:
            owner.execute(SIGNED_IN)
        with psycopg.connect(server.urls.owner) as owner:  # its only owner lost their passkeys
            [(lab,)] = owner.execute("UPDATE account SET passkeys_needed = true RETURNING account_id").fetchall()
        for whose, status in ((lab, 0), ("00000000-0000-0000-0000-000000000001", 1), ("kitchen", 2)):
            assert run("account", "let-in", str(whose)).exit_code == status
        with psycopg.connect(server.urls.owner) as owner:
            assert owner.execute("SELECT passkeys_needed FROM account").fetchall() == [(False,)]
        made = run("backup", str(tmp_path / "backups"))
        assert made.exit_code == 0 and "can be restored until" in made.output
        [file] = (tmp_path / "backups").iterdir()
        refused = run("backup", str(file / "folder"))
        assert refused.exit_code == 1 and refused.output.endswith("Not a directory\n"), refused.output
        assert run("audit", "verify").output == "Unbroken: 2 events of 1 accounts.\n"
        sealed = run("erasure", "scan", "kanarienvogel", "kanarienvogel@lab.example")
        assert sealed.exit_code == 0 and sealed.output.startswith("0 hits in "), sealed.output
        shown = run("erasure", "scan", "-", typed="nobody at all\nKitchen lab\n")
        assert shown.exit_code == 1 and "table public.account: canary 2 as plain" in shown.output
        (Path(tempfile.gettempdir()) / "forgotten").write_text("nobody at all")
        left = run("erasure", "scan", "nobody at all")
        assert left.exit_code == 1 and "forgotten: canary 1 as plain" in left.output
        assert "Kitchen lab" not in shown.output  # an operator's terminal and logs need not repeat it
        operators(run)
        nobody_was_read(run)
        assert run("erasure", "orphans").output == "0 stand alone.\n"
        (data_dir / "objects" / "elsewhere").mkdir(parents=True)
        (data_dir / "objects" / "elsewhere" / "made").write_bytes(b"12345")
        told = "objects of an unknown account: ?elsewhere (not noted yet, 1 stored, 5 bytes)\n1 stand alone.\n"
        assert run("erasure", "orphans").output == told
        orphans_go_when_an_operator_says_so(run, server.urls.owner, data_dir / "objects", lab)
        account(run, "Later lab", "later")
        with psycopg.connect(server.superuser_url.replace("/postgres?", "/junier?")) as superuser:
            superuser.execute("ALTER TABLE audit_event DISABLE TRIGGER USER")
            superuser.execute("UPDATE audit_event SET subject = subject || 'x' WHERE facts IS NOT NULL")
            superuser.execute("ALTER TABLE audit_event ENABLE TRIGGER USER")
        broken = run("audit", "verify")
        assert broken.exit_code == 1 and broken.output.count("at event 1") == 3 and broken.output.count("\n") == 1
        refused = run("restore", str(file))
        assert refused.exit_code == 1 and "Another Junier" in refused.output
    finally:
        server.stop()
    done = run("restore", str(file))
    assert done.exit_code == 0 and "0 erasures done again" in done.output, done.output
    server.start()
    try:
        with psycopg.connect(server.urls.owner) as owner:  # a login that was ended since must not live again
            assert owner.execute("SELECT count(*) FROM login").fetchone() == (0,)
            names = owner.execute("SELECT datname FROM pg_database WHERE datname LIKE 'junier%'").fetchall()
        assert names == [("junier",)]
        assert run("audit", "verify").output == "Unbroken: 3 events of 1 accounts.\n"  # made, let in, restored
        ledger = data_dir / "keys" / "ledger" / "erasures.jsonl"
        a_damaged_line_stops_everything_until_it_is_accepted(run, ledger, tmp_path / "more")
        an_account_that_nobody_owns_is_given_an_owner(run, server.urls.owner, lab)
    finally:
        server.stop()
    for lost in (b"", b'{"ledger": "00000000-0000-0000-0000-000000000001", "at": "2026-11-22T08:00:00+00:00"}\n'):
        ledger.unlink()
        if lost:
            ledger.write_bytes(lost)
        refused = run("restore", str(file))
        assert refused.exit_code == 1 and "does not fit this database" in refused.output, refused.output
        ledger.touch()
    ledger.unlink()
    assert run("audit", "verify").output == "Unbroken: 5 events of 1 accounts.\n"  # what was there is there still


def test_what_is_no_backup_is_refused_in_words(run: Run, tmp_path: Path) -> None:
    (tmp_path / "some.backup").write_bytes(b"PGDMP")
    refused = run("restore", str(tmp_path / "some.backup"))
    assert refused.exit_code == 1 and refused.output == "Error: This file is not a backup of Junier.\n"


def test_without_a_canary_nothing_is_looked_for(run: Run) -> None:
    assert run("erasure", "scan").exit_code == 2

"""The inventory of everything a database row can say about a person: whose it is, what for, how long, how it goes,
and whether it is in the copy that a participant takes along (GDPR Art. 15, 20 and 30).

Every column of every table stands here in exactly one list; a test holds this against the models, so that a column
nobody has thought about fails. copied: as it stands; opened: sealed, and opened for the copy. Left out of it are
secret (hashes of links and codes, look-up keys), inner (ids and counters of our own working) and others (what is about
somebody else, or the account's own).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from app.legal_basis import Purpose


class About(StrEnum):
    """Whose rows these are."""

    PARTICIPANT = "a participant"
    MEMBER = "a member of the account"
    ACCOUNT = "the account"
    OPERATOR = "an operator of the platform"
    PLATFORM = "the platform"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One table. The last five name its columns, each once.

    purpose: of the table and every column of it but `besides`, columns that serve another one; what_for: in words."""

    about: About
    purpose: Purpose
    what_for: str
    until: str
    goes: str
    copied: str = ""
    opened: str = ""
    secret: str = ""
    inner: str = "id account_id"
    others: str = ""
    besides: Mapping[Purpose, str] = field(default_factory=dict)

    def columns(self) -> Iterator[str]:
        for names in (self.copied, self.opened, self.secret, self.inner, self.others):
            yield from names.split()

    def purposes(self) -> dict[str, Purpose]:
        """Column -> what it serves."""
        besides = {name: purpose for purpose, names in self.besides.items() for name in names.split()}
        return {name: besides.get(name, self.purpose) for name in self.columns()}


_PERSON = "until the person is erased"
_CONTACT = "until the person is erased, or the account's date for names and addresses"
_SESSION = "as long as recordings of the session may be kept"
_ACCOUNT = "until the account is closed"
_PROOF = "stays as proof, in ids, dates and kinds"
_ROW = "the row is deleted"
_EMPTIED = "its words are emptied; the row keeps ids and dates"
_NEVER = "never: no words of theirs"
_KEY = "its key is destroyed, which closes every old copy; the row keeps ids and dates"

INVENTORY: Mapping[str, Kept] = {
    # what participants leave
    "participant": Kept(
        about=About.PARTICIPANT, purpose=Purpose.INVITING,
        what_for="to invite and to answer them", until=_CONTACT, goes=_KEY,
        copied="language periods created_at registered_at erased_at no_session_mails_at restricted_at "
        "leaving_at",
        opened="name email", secret="email_index", besides={Purpose.RIGHTS: "restricted_at leaving_at"},
    ),
    "address_change": Kept(
        about=About.PARTICIPANT, purpose=Purpose.RIGHTS,
        what_for="to prove an address they want to have instead", until="half an hour",
        goes=_ROW, copied="asked_at expires_at tries", opened="address", secret="code_hash",
        inner="id account_id participant_id",
    ),
    "data_code": Kept(
        about=About.PARTICIPANT, purpose=Purpose.RIGHTS,
        what_for="to prove who opens My data", until="until the next codes", goes=_ROW,
        copied="expires_at tries used_at", secret="code_hash", inner="id account_id participant_id",
    ),
    "consent": Kept(
        about=About.PARTICIPANT, purpose=Purpose.PROOF,
        what_for="to prove each consent (Art. 7(1))", until=_PROOF, goes=_NEVER,
        copied="session_id kind purpose given text_version text_hash language at",
        inner="id account_id number participant_id",
    ),
    "invitation": Kept(
        about=About.PARTICIPANT, purpose=Purpose.INVITING,
        what_for="to let them into one session", until=_PERSON, goes="ids and dates stay",
        copied="session_id created_at expires_at accepted_at revoked_at admitted_at paused_at",
        secret="token_hash unsubscribe_hash", inner="id account_id participant_id",
    ),
    "login": Kept(
        about=About.PARTICIPANT, purpose=Purpose.TAKING_PART,
        what_for="to keep a browser signed in", until="until it ends by itself", goes=_ROW,
        copied="scope session_id created_at expires_at data_until", secret="token_hash",
        inner="id account_id participant_id used_at", others="member_id way",
    ),
    "outgoing_mail": Kept(
        about=About.PARTICIPANT, purpose=Purpose.INVITING, what_for="to write to them", until=_PERSON, goes=_ROW,
        copied="template optional state created_at sent_at", opened="content",
        inner="id account_id person_id key tries",
    ),
    "suppression": Kept(
        about=About.PARTICIPANT, purpose=Purpose.RIGHTS, what_for="to invite nobody who unsubscribed", until=_ACCOUNT,
        goes="stays: a keyed hash of the address, nothing else", copied="at", secret="address_index",
    ),
    "presence": Kept(
        about=About.PARTICIPANT, purpose=Purpose.TAKING_PART,
        what_for="to show who is in the room", until="some seconds", goes="with the session",
        copied="session_id role seen_at", inner="id account_id person_id",
    ),
    "recording": Kept(
        about=About.PARTICIPANT, purpose=Purpose.RESEARCH,
        what_for="the study", until="the date the owner set, the shortest of several",
        goes="keys and objects are destroyed and looked for again; the row keeps ids and dates",
        copied="id session_id stream state interrupted place recorded_at duration_ms gaps created_at periods "
        "held_reason held_until restricted_at hidden_at erased_at",
        inner="account_id person_id person_is_member last_take index_generation index_key failure_reason announced_for",
        others="held_words held_by",
        besides={Purpose.CLAIMS: "held_reason held_until held_words held_by", Purpose.RIGHTS: "restricted_at"},
    ),
    "track": Kept(
        about=About.PARTICIPANT, purpose=Purpose.RESEARCH,
        what_for="the study", until="as its recording, or until its consent is taken back",
        goes=_KEY, copied="recording_id kind frames bytes duration_ms created_at closed_at erased_at",
    ),
    "take": Kept(
        about=About.PARTICIPANT, purpose=Purpose.RESEARCH,
        what_for="to know where capture goes on after a cut", until="as its recording",
        goes="ids and dates stay", copied="recording_id number started_at ended_at interrupted",
        secret="resource", inner="id account_id node",
    ),
    "transcript": Kept(
        about=About.PARTICIPANT, purpose=Purpose.RESEARCH,
        what_for="the study", until="as its recording, or until its consent is taken back",
        goes=_KEY, copied="id recording_id state language model coverage words created_at ready_at erased_at",
        inner="account_id track_id failure_reason progress began_at object_key",
    ),
    "line_correction": Kept(
        about=About.PARTICIPANT, purpose=Purpose.RIGHTS,
        what_for="to put right what was heard wrongly (Art. 16)", until="as its transcript",
        goes="with the transcript's key, and the row is deleted", copied="transcript_id start_ms by at", opened="text",
    ),
    "response": Kept(
        about=About.PARTICIPANT, purpose=Purpose.RESEARCH, what_for="the study", until=_SESSION, goes=_KEY,
        copied="id session_id answered_at changed_at periods restricted_at hidden_at erased_at",
        inner="account_id participant_id", besides={Purpose.RIGHTS: "restricted_at"},
    ),
    "answer": Kept(
        about=About.PARTICIPANT, purpose=Purpose.RESEARCH,
        what_for="the study", until=_SESSION, goes="with its response's key, and the row",
        copied="response_id question_id", opened="value",
    ),
    "supplement": Kept(
        about=About.PARTICIPANT, purpose=Purpose.RIGHTS,
        what_for="to complete what they find incomplete (Art. 16)", until="as what it is added to, or until taken back",
        goes=_ROW, copied="session_id recording_id response_id at", opened="text",
        inner="id account_id participant_id",
    ),
    "data_request": Kept(
        about=About.PARTICIPANT, purpose=Purpose.RIGHTS,
        what_for="to answer what they ask for (Art. 12)", until="three years after it was settled",
        goes="the words with the person, then the row",
        copied="id kind state receipt asked_at due_on answered_at extended_at way confirmed_at outcome "
        "ground",
        opened="words answer extension", inner="account_id participant_id erasure_id looked_on mail_id",
        others="answered_by noted_by",
    ),
    "request_item": Kept(
        about=About.PARTICIPANT, purpose=Purpose.RIGHTS,
        what_for="to say of each thing what became of it, and why (Art. 12(4))", until="as its request",
        goes="with its request",
        copied="request_id sort item_id ground",
    ),
    "disclosure": Kept(
        about=About.PARTICIPANT, purpose=Purpose.RIGHTS,
        what_for="to say who was given something of theirs, and on which ground (Art. 15(1)(c) and 30(1)(d))",
        until="three years after the person is erased", goes="words about them with the person, then the row",
        copied="id session_id kinds ground given_on told_before hidden_until hidden_ground corrects at",
        opened="recipient contact words untold", inner="account_id participant_id", others="by",
    ),
    "recipient_notice": Kept(
        about=About.PARTICIPANT, purpose=Purpose.RIGHTS,
        what_for="to tell recipients what was erased, corrected or restricted (Art. 19)", until="as its disclosure",
        goes="with its disclosure", copied="disclosure_id change receipt made_at told_on ground",
        opened="words", inner="id account_id cause_id", others="answered_by answered_at",
    ),
    "erasure": Kept(
        about=About.PARTICIPANT, purpose=Purpose.PROOF, what_for="to erase, and to prove it", until=_PROOF, goes=_NEVER,
        copied="id reason recording_ids response_ids track_kinds note_sessions instruction state asked_at finished_at "
        "receipt",
        inner="account_id person_id tried_at tries found", others="asked_by",
    ),
    "certificate": Kept(
        about=About.PARTICIPANT, purpose=Purpose.PROOF, what_for="to prove an erasure", until=_PROOF, goes=_NEVER,
        copied="erasure_id state document issued_at", inner="id account_id signature public_key",
    ),
    "audit_event": Kept(
        about=About.PARTICIPANT, purpose=Purpose.PROOF, what_for="to prove who did what (Art. 5(2))", until=_PROOF,
        goes="never: ids only, which lead nowhere after an erasure", copied="at actor action subject facts",
        inner="id account_id number previous_hash hash",
    ),
    # what the study says to all its participants: in the copy where it belongs to something of theirs
    "study": Kept(
        about=About.ACCOUNT, purpose=Purpose.ACCOUNT,
        what_for="what is asked, and for how long", until=_ACCOUNT, goes=_EMPTIED,
        copied="id title", opened="contact_name contact_email",
        inner="account_id kinds language retention_days periods retention_version ending assigned_only created_at "
        "closed_at questions_words reminder",
    ),
    "session": Kept(
        about=About.ACCOUNT, purpose=Purpose.ACCOUNT, what_for="when it took place", until=_ACCOUNT, goes=_EMPTIED,
        copied="id study_id title starts_at time_zone started_at ended_at",
        inner="account_id group state recording node created_at recording_at retention_days periods moves moved_at "
        "reminding reminded_at notes_gone_until",
    ),
    "consent_text": Kept(
        about=About.ACCOUNT, purpose=Purpose.ACCOUNT, what_for="what was consented to", until=_ACCOUNT, goes=_EMPTIED,
        copied="study_id version text language created_at",
    ),
    "question": Kept(
        about=About.ACCOUNT, purpose=Purpose.ACCOUNT, what_for="what was asked", until=_ACCOUNT, goes=_EMPTIED,
        copied="id kind prompt options lowest highest lowest_label highest_label",
        inner="account_id study_id origin_id version position required several created_at answered_at archived_at",
    ),
    "tally": Kept(
        about=About.ACCOUNT, purpose=Purpose.RESEARCH,
        what_for="how often each choice was taken in answers past their date; no personal data: counts without "
        "participant, session or date, told from five on",
        until=_ACCOUNT, goes="with its question, or when the study keeps no counts any more",
        others="question_id answers counts",
    ),
    # the account and its members: in nobody else's copy
    "account": Kept(
        about=About.ACCOUNT, purpose=Purpose.ACCOUNT,
        what_for="the customer", until=_ACCOUNT, goes=_EMPTIED, copied="name", inner="account_id",
        others="created_at agreement_accepted_at agreement_dated agreement_accepted_by retention_days "
        "longest_retention_days periods passkeys_needed closes_at closing_asked_by closed_at gone_at",
    ),
    "member": Kept(
        about=About.MEMBER, purpose=Purpose.MEMBERS,
        what_for="to sign in and to be written to", until=_ACCOUNT, goes=_KEY, secret="email_index",
        others="role name email records_self created_at removed_at",
    ),
    "member_switch": Kept(
        about=About.MEMBER, purpose=Purpose.MEMBERS,
        what_for="whether they have themselves recorded", until=_SESSION, goes="with the session",
        others="session_id member_id recorded at",
    ),
    "assignment": Kept(
        about=About.MEMBER, purpose=Purpose.MEMBERS,
        what_for="which sessions they see", until=_SESSION, goes="with the session, or when they leave",
        others="session_id member_id at",
    ),
    "note": Kept(
        about=About.MEMBER, purpose=Purpose.OBSERVING,
        what_for="what a member saw", until=_SESSION,
        goes="with the session, or with the last participant it may be about",
        others="session_id member_id at text",
    ),
    "sign_in_link": Kept(
        about=About.MEMBER, purpose=Purpose.MEMBERS,
        what_for="to sign in", until="ten minutes", goes=_ROW, secret="token_hash",
        others="member_id expires_at used_at",
    ),
    "passkey": Kept(
        about=About.MEMBER, purpose=Purpose.SECURITY,
        what_for="to sign in", until="until removed, or the member is", goes=_ROW,
        secret="credential_hash credential_id public_key", inner="id account_id sign_count",
        others="member_id name created_at last_used_at",
    ),
    "sign_in_address": Kept(
        about=About.MEMBER, purpose=Purpose.MEMBERS,
        what_for="to find the account at sign-in", until=_ACCOUNT, goes=_ROW, secret="address_hash",
        inner="account member",
    ),
    "account_certificate": Kept(
        about=About.ACCOUNT, purpose=Purpose.PROOF,
        what_for="to prove that the account is closed and erased", until=_PROOF, goes=_NEVER,
        others="state document issued_at", inner="id account_id signature public_key",
    ),
    "audit_check": Kept(
        about=About.ACCOUNT, purpose=Purpose.PROOF,
        what_for="when the log was last found whole", until=_PROOF, goes=_NEVER,
        others="at events broken_at",
    ),
    "job_instruction": Kept(
        about=About.ACCOUNT, purpose=Purpose.PROOF,
        what_for="on whose instruction each job ran (Art. 28(3)(a))", until=_PROOF, goes=_NEVER,
        inner="account_id job_id", others="task instruction at",
    ),
    "session_due": Kept(
        about=About.ACCOUNT, purpose=Purpose.ACCOUNT,
        what_for="to find quickly what is due", until=_SESSION, goes="with the session",
        inner="session_id account_id due",
    ),
    "support_request": Kept(
        about=About.ACCOUNT, purpose=Purpose.ACCOUNT,
        what_for="to let an operator look at one thing, and to prove it", until=_ACCOUNT, goes=_EMPTIED,
        inner="id account_id operator_id",
        others="operator_name object_kind object_id reason asked_at answered_at answered_by ends_at revoked_at "
        "revoked_by used_at",
    ),
    "support_rule": Kept(
        about=About.ACCOUNT, purpose=Purpose.ACCOUNT,
        what_for="who may grant support access", until=_ACCOUNT, goes=_ROW, inner="account_id",
        others="second_operator set_at set_by",
    ),
    # operators, in the platform's own account
    "operator": Kept(
        about=About.OPERATOR, purpose=Purpose.MEMBERS,
        what_for="to sign in and to be written to", until="until removed", goes=_KEY,
        secret="email_index", others="name email created_at",
    ),
    "operator_link": Kept(
        about=About.OPERATOR, purpose=Purpose.MEMBERS,
        what_for="to sign in", until="ten minutes", goes=_ROW, secret="token_hash",
        others="operator_id expires_at used_at",
    ),
    "operator_login": Kept(
        about=About.OPERATOR, purpose=Purpose.MEMBERS,
        what_for="to keep a browser signed in", until="two hours", goes=_ROW,
        secret="token_hash challenge_hash", inner="id account_id challenge_until",
        others="operator_id expires_at passkey_at",
    ),
    "operator_passkey": Kept(
        about=About.OPERATOR, purpose=Purpose.SECURITY,
        what_for="to sign in", until="until the operator is removed", goes=_ROW,
        secret="credential_hash credential_id public_key", inner="id account_id sign_count",
        others="operator_id created_at",
    ),
    # the platform: nobody's
    "ledger_mark": Kept(
        about=About.PLATFORM, purpose=Purpose.PROOF,
        what_for="to see that the erasure ledger is whole", until="the newest", goes=_ROW,
        inner="only ledger position serving",
    ),
    "orphan": Kept(
        about=About.PLATFORM, purpose=Purpose.OPERATION,
        what_for="to erase objects without a row, to tell of rows without objects",
        until="while it stands alone", goes=_ROW, inner="place kind seen_at",
    ),
    "node": Kept(
        about=About.PLATFORM, purpose=Purpose.OPERATION, what_for="where media goes", until="while it runs", goes=_ROW,
        inner="name url country capacity streams started_at heartbeat_at",
    ),
    "passkey_challenge": Kept(
        about=About.PLATFORM, purpose=Purpose.SECURITY,
        what_for="to be signed by a passkey, once", until="five minutes", goes=_ROW,
        secret="challenge_hash", inner="expires_at",
    ),
    "rate": Kept(
        about=About.PLATFORM, purpose=Purpose.SECURITY,
        what_for="to count askings", until="minutes", goes="forgets by itself", secret="key",
        inner="leaked_at",
    ),
    "job_failure": Kept(
        about=About.PLATFORM, purpose=Purpose.OPERATION,
        what_for="to see what fails", until="until it is cleared", goes=_ROW,
        inner="id job_id task exception place at",
    ),
    "task_done": Kept(
        about=About.PLATFORM, purpose=Purpose.OPERATION,
        what_for="to see that the worker runs", until="the newest", goes=_ROW, inner="task at",
    ),
}  # fmt: skip

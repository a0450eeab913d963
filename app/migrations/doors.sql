-- A change here reaches a running installation with the next revision only; add one, if an empty one.
-- Doors: what must be found before the account is known. Each takes a hash, a name or a moment and returns the
-- account and an id, nothing else; whether the thing found is still valid is decided by the caller, inside the
-- account. Owned by junier_doors, who may read exactly the columns granted here.
GRANT SELECT (id, account_id, token_hash) ON login TO junier_doors;
GRANT SELECT (id, account_id, token_hash) ON sign_in_link TO junier_doors;
GRANT SELECT (id, account_id, credential_hash) ON passkey TO junier_doors;
GRANT SELECT (address_hash, account, member) ON sign_in_address TO junier_doors;
GRANT SELECT (id, account_id, token_hash, unsubscribe_hash, participant_id, session_id, created_at, accepted_at, admitted_at, expires_at) ON invitation TO junier_doors;
GRANT SELECT (id, account_id, created_at, registered_at, erased_at) ON participant TO junier_doors;
GRANT SELECT (account_id, periods, closes_at, gone_at) ON account TO junier_doors;
GRANT SELECT (account_id, number, hash) ON audit_event TO junier_doors;
GRANT SELECT (id, account_id, retention_days, periods, reminder) ON study TO junier_doors;
GRANT SELECT (session_id, due) ON session_due TO junier_doors;
GRANT SELECT (id, account_id, study_id, state, node, starts_at, ended_at, retention_days, periods, reminding, reminded_at) ON session TO junier_doors;
GRANT SELECT (id, account_id, session_id, person_id, person_is_member, state, created_at, held_reason, held_until, restricted_at, announced_for, periods) ON recording TO junier_doors;
GRANT SELECT (id, account_id, recording_id, kind, closed_at, erased_at) ON track TO junier_doors;
GRANT SELECT (id, account_id, recording_id, state, erased_at) ON transcript TO junier_doors;
GRANT SELECT (id, account_id, session_id, at) ON note TO junier_doors;
GRANT SELECT (id, account_id, session_id, participant_id, answered_at, restricted_at, erased_at, periods) ON response TO junier_doors;
GRANT SELECT (id, account_id, node, ended_at) ON take TO junier_doors;
GRANT SELECT (id, account_id, participant_id) ON disclosure TO junier_doors;
GRANT SELECT (id, account_id, state, created_at) ON outgoing_mail TO junier_doors;
GRANT SELECT (id, account_id, state, asked_at, tried_at, tries, person_id, recording_ids, response_ids, track_kinds) ON erasure TO junier_doors;
GRANT SELECT (id, account_id, state, asked_at, answered_at, erasure_id, looked_on, participant_id) ON data_request TO junier_doors;
GRANT SELECT (id, account_id, operator_id, asked_at, answered_at, ends_at, revoked_at) ON support_request TO junier_doors;
GRANT SELECT (account_id, second_operator) ON support_rule TO junier_doors;

CREATE FUNCTION find_login(token_hash bytea) RETURNS TABLE (account_id uuid, login_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT found.account_id, found.id FROM public.login AS found
    WHERE found.token_hash = find_login.token_hash
$door$;

CREATE FUNCTION find_sign_in_link(token_hash bytea) RETURNS TABLE (account_id uuid, sign_in_link_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT found.account_id, found.id FROM public.sign_in_link AS found
    WHERE found.token_hash = find_sign_in_link.token_hash
$door$;

CREATE FUNCTION find_passkey(credential_hash bytea) RETURNS TABLE (account_id uuid, passkey_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT found.account_id, found.id FROM public.passkey AS found
    WHERE found.credential_hash = find_passkey.credential_hash
$door$;

-- One row for each account the address is a member of.
CREATE FUNCTION find_member_by_address(address_hash bytea) RETURNS TABLE (account_id uuid, member_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT found.account, found.member FROM public.sign_in_address AS found
    WHERE found.address_hash = find_member_by_address.address_hash
    ORDER BY found.account
$door$;

CREATE FUNCTION find_invitation(token_hash bytea) RETURNS TABLE (account_id uuid, invitation_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT found.account_id, found.id FROM public.invitation AS found
    WHERE found.token_hash = find_invitation.token_hash
$door$;

CREATE FUNCTION find_unsubscribe(token_hash bytea) RETURNS TABLE (account_id uuid, invitation_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT found.account_id, found.id FROM public.invitation AS found
    WHERE found.unsubscribe_hash = find_unsubscribe.token_hash
$door$;

-- What the sweep asks for (due_*, *_due_soon, unfinished_*, *_requests) comes in turns: the first of each account, then the
-- second of each, so that no account waits for another one's, however many of these are stuck.
--
-- Recordings that may be due for erasure: a superset of what app.sessions.policy.due says, oldest first. asked_: also
-- those whose erasure was asked for and is not finished; without it what is stuck hides nothing that stands behind it.
CREATE FUNCTION due_recordings(now_ timestamptz, limit_ integer, asked_ boolean DEFAULT false)
RETURNS TABLE (account_id uuid, recording_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT due.account_id, due.id FROM public.recording AS due
    JOIN public.session AS held_in ON held_in.id = due.session_id
    JOIN public.study AS owning ON owning.id = held_in.study_id
    WHERE due.state <> 'erased'
      AND (due.periods <> '{}' OR due.session_id IN (  -- looked at once for a session, not for each of its recordings
          SELECT one.id FROM public.session AS one JOIN public.study AS its ON its.id = one.study_id
          WHERE its.periods ? 'idle' OR one.periods ? 'idle'
             OR COALESCE(one.ended_at, '-infinity') + make_interval(days => public.kept_days(
                'all', its.retention_days, one.retention_days, its.periods, one.periods, '{}')) <= now_))
      AND (COALESCE(held_in.ended_at, due.created_at) + make_interval(days => public.kept_days(
              'all', owning.retention_days, held_in.retention_days, owning.periods, held_in.periods, due.periods)) <= now_
           OR (owning.periods ? 'idle' OR held_in.periods ? 'idle' OR due.periods ? 'idle') AND public.idle_until(
              due.session_id, CASE WHEN NOT due.person_is_member THEN due.person_id END, due.periods, due.created_at) <= now_)
      AND (due.held_reason IS NULL OR due.held_until <= now_)
      AND due.restricted_at IS NULL
      AND (asked_ OR NOT EXISTS (
          SELECT FROM public.erasure AS going
          WHERE going.person_id = due.person_id AND going.track_kinds IS NULL
            AND (going.recording_ids IS NULL OR due.id = ANY (going.recording_ids))
            AND going.state IN ('asked', 'running', 'partial', 'held')))
    ORDER BY row_number() OVER (PARTITION BY due.account_id ORDER BY due.created_at), due.created_at
    LIMIT limit_
$door$;

-- Recordings of which a kind is due before the rest. asked_: also where its erasure was asked for and is not finished.
CREATE FUNCTION due_parts(now_ timestamptz, limit_ integer, asked_ boolean DEFAULT false)
RETURNS TABLE (account_id uuid, recording_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT due.account_id, due.id FROM public.recording AS due
    JOIN public.session AS held_in ON held_in.id = due.session_id
    JOIN public.study AS owning ON owning.id = held_in.study_id
    WHERE due.state NOT IN ('erased', 'empty') AND due.restricted_at IS NULL
      AND (due.held_reason IS NULL OR due.held_until <= now_)
      AND (due.periods <> '{}' OR due.session_id IN (  -- some level says something of a kind
          SELECT one.id FROM public.session AS one JOIN public.study AS its ON its.id = one.study_id
          WHERE one.periods <> '{}' OR its.periods <> '{}'))
      AND EXISTS (
          SELECT FROM public.held_parts(due.id) AS part
          WHERE (asked_ OR NOT part.asked)
            AND COALESCE(held_in.ended_at, due.created_at) + make_interval(days => public.kept_days(
                part.kind, owning.retention_days, held_in.retention_days, owning.periods, held_in.periods, due.periods
            )) <= now_
      )
    ORDER BY row_number() OVER (PARTITION BY due.account_id ORDER BY due.created_at), due.created_at
    LIMIT limit_
$door$;

-- Recordings of which the owner is to be told before they go, or the next kind of them: those that may be due after
-- now_ and until until_ and were not announced for that date; the first to go first.
CREATE FUNCTION recordings_due_soon(now_ timestamptz, until_ timestamptz, limit_ integer)
RETURNS TABLE (account_id uuid, recording_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT soon.account_id, soon.id FROM public.recording AS soon
    JOIN public.session AS held_in ON held_in.id = soon.session_id
    JOIN public.study AS owning ON owning.id = held_in.study_id,
    LATERAL (
        SELECT soon.held_reason IS NOT NULL AND (soon.held_until IS NULL OR soon.held_until > now_) AS now,
            '{}' <> ANY (ARRAY[owning.periods, held_in.periods, soon.periods]) AS in_parts
    ) AS held,
    LATERAL (
        SELECT min(CASE WHEN NOT held.now THEN one.until
                        WHEN soon.held_until IS NOT NULL THEN GREATEST(one.until, soon.held_until) END) AS at
        FROM (
            SELECT LEAST(COALESCE(held_in.ended_at, soon.created_at) + make_interval(days => public.kept_days(
                of.kind, owning.retention_days, held_in.retention_days, owning.periods, held_in.periods, soon.periods
            )), CASE WHEN owning.periods ? 'idle' OR held_in.periods ? 'idle' OR soon.periods ? 'idle' THEN
                public.idle_until(soon.session_id, CASE WHEN NOT soon.person_is_member THEN soon.person_id END,
                                  soon.periods, soon.created_at) END) AS until
            FROM (
                SELECT 'all' AS kind UNION ALL
                SELECT part.kind FROM public.held_parts(soon.id) AS part WHERE NOT part.asked AND held.in_parts
            ) AS of
        ) AS one
        WHERE one.until > now_ OR held.now
    ) AS due
    WHERE soon.session_id IN (  -- of the others nothing is: one index is read instead of every recording of the platform
          SELECT known.session_id FROM public.session_due AS known WHERE known.due <= until_)
      AND soon.state NOT IN ('erased', 'empty') AND soon.restricted_at IS NULL
      AND due.at > now_ AND due.at <= until_ AND soon.announced_for IS DISTINCT FROM due.at
    ORDER BY row_number() OVER (PARTITION BY soon.account_id ORDER BY due.at), due.at
    LIMIT limit_
$door$;

-- Notes that may be due with their session: a superset of what app.sessions.policy.note_until says, oldest first.
CREATE FUNCTION due_notes(now_ timestamptz, limit_ integer) RETURNS TABLE (account_id uuid, note_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT due.account_id, due.id FROM public.note AS due
    JOIN public.session AS held_in ON held_in.id = due.session_id
    JOIN public.study AS owning ON owning.id = held_in.study_id
    WHERE LEAST(COALESCE(held_in.ended_at, due.at) + make_interval(days => LEAST(owning.retention_days, held_in.retention_days)),
                CASE WHEN owning.periods ? 'idle' OR held_in.periods ? 'idle'
                THEN public.idle_until(due.session_id, NULL, '{}', due.at) END) <= now_
      AND NOT EXISTS (
          SELECT FROM public.recording AS held
          WHERE held.session_id = due.session_id AND held.state <> 'erased'
            AND (held.restricted_at IS NOT NULL
                 OR held.held_reason IS NOT NULL AND (held.held_until IS NULL OR held.held_until > now_))
      )
    ORDER BY row_number() OVER (PARTITION BY due.account_id ORDER BY due.at), due.at
    LIMIT limit_
$door$;

-- Answers that may be due with their session: a superset of what app.sessions.responses.due says, oldest first.
CREATE FUNCTION due_responses(now_ timestamptz, limit_ integer) RETURNS TABLE (account_id uuid, response_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT due.account_id, due.id FROM public.response AS due
    JOIN public.session AS held_in ON held_in.id = due.session_id
    JOIN public.study AS owning ON owning.id = held_in.study_id
    WHERE due.erased_at IS NULL AND due.restricted_at IS NULL
      AND LEAST(COALESCE(held_in.ended_at, due.answered_at) + make_interval(days => public.kept_days(
          'answers', owning.retention_days, held_in.retention_days, owning.periods, held_in.periods, due.periods)),
          CASE WHEN owning.periods ? 'idle' OR held_in.periods ? 'idle' OR due.periods ? 'idle' THEN
          public.idle_until(due.session_id, due.participant_id, due.periods, due.answered_at) END) <= now_
      AND NOT EXISTS (
          SELECT FROM public.recording AS held
          WHERE held.session_id = due.session_id AND held.person_id = due.participant_id AND held.state <> 'erased'
            AND held.held_reason IS NOT NULL AND (held.held_until IS NULL OR held.held_until > now_)
      )
      AND NOT EXISTS (
          SELECT FROM public.erasure AS going
          WHERE going.person_id = due.participant_id AND going.track_kinds IS NULL
            AND (going.recording_ids IS NULL OR due.id = ANY (going.response_ids))
            AND going.state IN ('asked', 'running', 'partial', 'held'))
    ORDER BY row_number() OVER (PARTITION BY due.account_id ORDER BY due.answered_at), due.answered_at
    LIMIT limit_
$door$;

-- People of whom no more is held than name and address, and whose account keeps these no longer: days after the last
-- session they were invited to. Not while one is to come or goes on, and not while a request of theirs is open.
-- days_: instead of what the account says, to list what a change would erase.
CREATE FUNCTION due_contacts(now_ timestamptz, limit_ integer, days_ integer DEFAULT NULL) RETURNS TABLE (account_id uuid, participant_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT due.account_id, due.id FROM public.participant AS due
    JOIN public.account AS owning ON owning.account_id = due.account_id
    CROSS JOIN LATERAL (
        SELECT max(GREATEST(invited.created_at, invited.accepted_at, invited.expires_at, held_in.starts_at, held_in.ended_at))
            AS at, COALESCE(bool_or(held_in.state = 'live'), false) AS now
        FROM public.invitation AS invited JOIN public.session AS held_in ON held_in.id = invited.session_id
        WHERE invited.participant_id = due.id
    ) AS active
    WHERE due.erased_at IS NULL AND NOT active.now AND (days_ IS NOT NULL OR owning.periods ? 'contact')
      AND GREATEST(due.created_at, due.registered_at, active.at)
          + make_interval(days => COALESCE(days_, (owning.periods ->> 'contact')::integer)) <= now_
      AND NOT EXISTS (
          SELECT FROM public.recording AS held WHERE held.person_id = due.id AND held.state NOT IN ('erased', 'empty'))
      AND NOT EXISTS (SELECT FROM public.response AS held WHERE held.participant_id = due.id AND held.erased_at IS NULL)
      AND NOT EXISTS (
          SELECT FROM public.data_request AS asked
          WHERE asked.participant_id = due.id AND asked.state IN ('open', 'in force', 'lifting'))
      AND NOT EXISTS (
          SELECT FROM public.erasure AS going
          WHERE going.person_id = due.id AND going.recording_ids IS NULL AND going.track_kinds IS NULL
            AND going.state IN ('asked', 'running', 'partial', 'held'))
    ORDER BY row_number() OVER (PARTITION BY due.account_id ORDER BY due.created_at), due.created_at
    LIMIT limit_
$door$;

-- Sessions whose room is open; node_ NULL: on any media process.
CREATE FUNCTION live_sessions(node_ text DEFAULT NULL) RETURNS TABLE (account_id uuid, session_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT live.account_id, live.id FROM public.session AS live
    WHERE live.state = 'live' AND (node_ IS NULL OR live.node = node_)
$door$;

-- Sessions whose participants may have to be reminded: a superset of what app.sessions.reminder says, since the day
-- before is up to two hours longer or shorter where clocks change.
CREATE FUNCTION sessions_to_remind(now_ timestamptz, limit_ integer) RETURNS TABLE (account_id uuid, session_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT soon.account_id, soon.id FROM public.session AS soon
    JOIN public.study AS owning ON owning.id = soon.study_id
    WHERE soon.state = 'scheduled' AND soon.reminded_at IS NULL AND soon.reminding
      AND soon.starts_at > now_ AND soon.starts_at <= now_ + interval '26 hours'
      AND (owning.reminder = 'day' OR owning.reminder = 'hour' AND soon.starts_at <= now_ + interval '1 hour')
      AND NOT EXISTS (  -- what is about to be closed begins no session any more
          SELECT FROM public.account AS its WHERE its.account_id = soon.account_id AND its.closes_at IS NOT NULL)
    ORDER BY row_number() OVER (PARTITION BY soon.account_id ORDER BY soon.starts_at), soon.starts_at
    LIMIT limit_
$door$;

-- Takes a media process has not ended: after a crash it closes its own as interrupted.
CREATE FUNCTION open_takes(node_ text) RETURNS TABLE (account_id uuid, take_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT open.account_id, open.id FROM public.take AS open
    WHERE open.ended_at IS NULL AND open.node = node_
$door$;

-- The development outbox lists mails of every account, newest first; it names ids only, as all doors do.
CREATE FUNCTION newest_mails(limit_ integer) RETURNS TABLE (account_id uuid, mail_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT newest.account_id, newest.id FROM public.outgoing_mail AS newest
    ORDER BY newest.created_at DESC, newest.id
    LIMIT limit_
$door$;

-- Erasures not yet verified complete of which the next try has come (app.privacy.erasing.policy.due_again): those never
-- tried first, then whoever waits longest, so that many that fail keep none behind them from their turn.
CREATE FUNCTION unfinished_erasures(now_ timestamptz, limit_ integer) RETURNS TABLE (account_id uuid, erasure_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT unfinished.account_id, unfinished.id FROM public.erasure AS unfinished
    WHERE unfinished.state IN ('asked', 'running', 'partial', 'held')
      AND (unfinished.tried_at IS NULL OR unfinished.tried_at + LEAST(
          interval '1 minute' * power(2, LEAST(GREATEST(unfinished.tries - 1, 0), 16)), interval '6 hours') <= now_)
    ORDER BY row_number() OVER (PARTITION BY unfinished.account_id ORDER BY unfinished.tried_at NULLS FIRST, unfinished.asked_at),
        unfinished.tried_at NULLS FIRST, unfinished.asked_at
    LIMIT limit_
$door$;

-- Restrictions that are lifted as soon as the participant has been told.
CREATE FUNCTION lifting_requests(limit_ integer) RETURNS TABLE (account_id uuid, request_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT lifting.account_id, lifting.id FROM public.data_request AS lifting
    WHERE lifting.state = 'lifting'
    ORDER BY row_number() OVER (PARTITION BY lifting.account_id ORDER BY lifting.asked_at), lifting.asked_at
    LIMIT limit_
$door$;

-- Requests that wait for an owner's answer and were not looked at today, oldest first.
CREATE FUNCTION waiting_requests(now_ timestamptz, limit_ integer) RETURNS TABLE (account_id uuid, request_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT waiting.account_id, waiting.id FROM public.data_request AS waiting
    WHERE waiting.state = 'open' AND waiting.erasure_id IS NULL
      AND (waiting.looked_on IS NULL OR waiting.looked_on < CAST(now_ AT TIME ZONE 'UTC' AS date))
    ORDER BY row_number() OVER (PARTITION BY waiting.account_id ORDER BY waiting.asked_at), waiting.asked_at
    LIMIT limit_
$door$;

-- Requests that were settled so long ago that the register keeps them no longer (app.privacy.records.register).
CREATE FUNCTION old_requests(now_ timestamptz, limit_ integer) RETURNS TABLE (account_id uuid, request_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT old.account_id, old.id FROM public.data_request AS old
    WHERE old.state IN ('done', 'refused')
      AND old.answered_at AT TIME ZONE 'UTC' + interval '3 years' <= now_ AT TIME ZONE 'UTC'
    ORDER BY row_number() OVER (PARTITION BY old.account_id ORDER BY old.answered_at), old.answered_at
    LIMIT limit_
$door$;

-- Disclosures of people who were erased so long ago that the register keeps them no longer (app.sessions.disclosures).
CREATE FUNCTION old_disclosures(now_ timestamptz, limit_ integer) RETURNS TABLE (account_id uuid, disclosure_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT old.account_id, old.id FROM public.disclosure AS old
    JOIN public.participant AS person ON person.id = old.participant_id
    WHERE person.erased_at AT TIME ZONE 'UTC' + interval '3 years' <= now_ AT TIME ZONE 'UTC'
    ORDER BY row_number() OVER (PARTITION BY old.account_id ORDER BY person.erased_at), person.erased_at
    LIMIT limit_
$door$;

-- Whether this installation has been set up.
-- Accounts whose day to close has come and that are not gone yet.
CREATE FUNCTION closing_accounts(now_ timestamptz, limit_ integer) RETURNS TABLE (account_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT closing.account_id FROM public.account AS closing
    WHERE closing.closes_at <= now_ AND closing.gone_at IS NULL
    ORDER BY closing.closes_at, closing.account_id LIMIT limit_
$door$;

CREATE FUNCTION any_account() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT EXISTS (SELECT account_id FROM public.account)
$door$;

-- For the operator's monitoring: how many there are in which state, since when; of nobody in particular.
CREATE FUNCTION platform_counts() RETURNS TABLE (what text, state text, count bigint, oldest timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT 'recording', counted.state::text, count(*), min(counted.created_at)
    FROM public.recording AS counted GROUP BY counted.state
    UNION ALL
    SELECT 'mail', counted.state::text, count(*), min(counted.created_at)
    FROM public.outgoing_mail AS counted WHERE counted.state <> 'sent' GROUP BY counted.state
    UNION ALL
    SELECT 'erasure', counted.state::text, count(*), min(counted.asked_at)
    FROM public.erasure AS counted GROUP BY counted.state
$door$;

-- The newest event of every account's audit log, for the copy of these hashes that is kept outside the database.
-- Open accounts that nobody owns.
GRANT SELECT (account_id, role, removed_at) ON member TO junier_doors;
GRANT SELECT (closed_at) ON account TO junier_doors;
CREATE FUNCTION ownerless_accounts() RETURNS TABLE (account_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT one.account_id FROM public.account AS one
    WHERE one.closed_at IS NULL AND NOT EXISTS (
        SELECT FROM public.member AS its
        WHERE its.account_id = one.account_id AND its.role = 'owner' AND its.removed_at IS NULL)
    ORDER BY one.account_id
$door$;

CREATE FUNCTION audit_heads() RETURNS TABLE (account_id uuid, number bigint, hash bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT known.account_id, head.number, head.hash
    FROM (SELECT account_id FROM public.account
          UNION ALL SELECT '00000000-0000-0000-0000-000000000000') AS known,  -- the platform's own: its operators
    LATERAL (SELECT newest.number, newest.hash FROM public.audit_event AS newest
             WHERE newest.account_id = known.account_id ORDER BY newest.number DESC LIMIT 1) AS head
$door$;

-- Support access. The only way from an operator into an account, and there only while a grant of theirs lasts.
CREATE FUNCTION support_grant(request uuid, operator uuid) RETURNS TABLE (account_id uuid, request_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT given.account_id, given.id FROM public.support_request AS given
    WHERE given.id = support_grant.request AND given.operator_id = support_grant.operator
      AND given.answered_at <= now() AND given.revoked_at IS NULL
      AND now() < given.ends_at AND given.ends_at <= given.answered_at + interval '60 minutes'
$door$;

-- What an operator asked for, newest first.
CREATE FUNCTION support_requests_of(operator uuid, limit_ integer) RETURNS TABLE (account_id uuid, request_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT asked.account_id, asked.id FROM public.support_request AS asked
    WHERE asked.operator_id = support_requests_of.operator
    ORDER BY asked.asked_at DESC, asked.id
    LIMIT limit_
$door$;

-- What another operator may answer, because the owner of the account lets them: never one's own.
CREATE FUNCTION support_requests_to_answer(operator uuid, limit_ integer)
RETURNS TABLE (account_id uuid, request_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $door$
    SELECT waiting.account_id, waiting.id FROM public.support_request AS waiting
    JOIN public.support_rule AS rule ON rule.account_id = waiting.account_id AND rule.second_operator
    WHERE waiting.answered_at IS NULL AND waiting.operator_id <> support_requests_to_answer.operator
    ORDER BY waiting.asked_at DESC, waiting.id
    LIMIT limit_
$door$;

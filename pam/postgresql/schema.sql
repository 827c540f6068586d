-- Creates or repairs the database of twofactor's store on PostgreSQL 15 or later. See pam/postgresql.md.
--
-- Run it with psql as the owner of the database. A second run changes nothing. A superuser must grant pg_read_all_stats
-- to the owner first and, unless the owner has CREATEROLE, create the three roles below: the page has the commands.

\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL search_path = pg_catalog, pg_temp;
-- Logins would queue behind an ALTER TABLE that waits for a lock, so let it fail.
SET LOCAL lock_timeout = '2s';

DO $$
DECLARE
  role_name text;
  missing text[] := '{}';
  installed integer := 0;
BEGIN
  IF current_setting('server_version_num')::integer < 150000 THEN
    RAISE EXCEPTION 'twofactor needs PostgreSQL 15 or later';
  END IF;
  IF to_regprocedure('twofactor.version()') IS NOT NULL THEN
    EXECUTE 'SELECT twofactor.version()' INTO installed;
  END IF;
  IF installed > 1 THEN
    RAISE EXCEPTION 'the schema has version %, and this file version 1', installed
      USING HINT = 'run schema.sql of the newest installed twofactor-store-postgresql';
  END IF;

  FOREACH role_name IN ARRAY ARRAY['twofactor_login', 'twofactor_enrollment', 'twofactor_report'] LOOP
    CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = role_name);
    missing := missing || role_name;
  END LOOP;
  IF missing <> '{}' AND NOT (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    RAISE EXCEPTION 'role % does not exist, and % may not create roles', missing[1], current_user
      USING HINT = format('as a superuser: CREATE ROLE %s;', array_to_string(missing, '; CREATE ROLE '));
  END IF;
  FOREACH role_name IN ARRAY missing LOOP
    EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
  END LOOP;

  -- twofactor.replication() runs with the rights of the owner.
  IF NOT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') THEN
    RAISE EXCEPTION '% may not read pg_stat_replication', current_user
      USING HINT = format('as a superuser: GRANT pg_read_all_stats TO %I;', current_user);
  END IF;

  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO twofactor_login, twofactor_enrollment, twofactor_report',
    current_database());
  -- A user may stop a helper that has connected, and so keep its connection.
  EXECUTE format('ALTER DATABASE %I SET idle_session_timeout = %L', current_database(), '10s');
END
$$;

CREATE SCHEMA IF NOT EXISTS twofactor;
REVOKE ALL ON SCHEMA twofactor FROM PUBLIC, twofactor_login, twofactor_enrollment, twofactor_report;
GRANT USAGE ON SCHEMA twofactor TO twofactor_login, twofactor_enrollment, twofactor_report;

-- Hosts compare it with their own version, and refuse codes if it differs.
CREATE OR REPLACE FUNCTION twofactor.version() RETURNS integer
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN 1;

-- One enrollment. The formats are in pam/credential-format.md; the credential is sealed by the host.
CREATE TABLE IF NOT EXISTS twofactor.enrollment (
  -- The group of hosts that serve the user: a role whose members are the roles of the hosts.
  host_group text NOT NULL CHECK (octet_length(host_group) BETWEEN 1 AND 63 AND host_group !~ '^(pg|twofactor)_'),
  user_name text NOT NULL CHECK (octet_length(user_name) BETWEEN 1 AND 255),
  credential bytea NOT NULL CHECK (octet_length(credential) BETWEEN 34 AND 65536),
  state bytea NOT NULL CHECK (octet_length(state) BETWEEN 1 AND 4096),
  generation bytea NOT NULL CHECK (octet_length(generation) = 16),
  -- The last change of the credential, by the clock of the server.
  changed_at timestamptz NOT NULL,
  -- For reports, which may not read the credential: its size, and the ID of the key that sealed it.
  credential_length integer NOT NULL GENERATED ALWAYS AS (octet_length(credential)) STORED,
  sealing_key text NOT NULL GENERATED ALWAYS AS (encode(substring(credential FROM 2 FOR 4), 'hex')) STORED,
  PRIMARY KEY (host_group, user_name)
-- Leaves room for the next state in the same page, so that a login does not change the index.
) WITH (fillfactor = 60);
-- Sealed bytes cannot be compressed. A login does not copy them if they are stored outside the row.
ALTER TABLE twofactor.enrollment ALTER COLUMN credential SET STORAGE EXTERNAL;

CREATE OR REPLACE FUNCTION twofactor.set_changed_at() RETURNS trigger
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  NEW.changed_at := clock_timestamp();
  RETURN NEW;
END
$$;
-- Does not fire at a login, which changes only the state: the trigger costs a millisecond in a new connection.
CREATE OR REPLACE TRIGGER set_changed_at BEFORE INSERT OR UPDATE OF credential ON twofactor.enrollment
  FOR EACH ROW EXECUTE FUNCTION twofactor.set_changed_at();

-- Looks the role up in pg_roles, because pg_has_role(name, …) fails if the role was dropped.
ALTER TABLE twofactor.enrollment ENABLE ROW LEVEL SECURITY;
ALTER TABLE twofactor.enrollment FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS members_of_host_group ON twofactor.enrollment;
CREATE POLICY members_of_host_group ON twofactor.enrollment
  USING (EXISTS (
    SELECT FROM pg_catalog.pg_roles WHERE rolname = host_group AND pg_catalog.pg_has_role(oid, 'USAGE')));

CREATE OR REPLACE VIEW twofactor.report WITH (security_invoker = true) AS
  SELECT host_group, user_name, changed_at, credential_length, sealing_key FROM twofactor.enrollment;

-- The standbys of this server. `unflushed` counts the bytes that a standby has not written to its disk.
CREATE OR REPLACE FUNCTION twofactor.replication()
  RETURNS TABLE (name text, address text, state text, sync_state text, unflushed bigint, flush_lag interval)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT application_name, host(client_addr), state, sync_state,
    pg_wal_lsn_diff(
      CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, flush_lsn)::bigint,
    flush_lag
  FROM pg_stat_replication
$$;

-- twofactor_login changes only the state. Changing a device or its clock offset needs twofactor_enrollment.
REVOKE ALL ON twofactor.enrollment, twofactor.report
  FROM PUBLIC, twofactor_login, twofactor_enrollment, twofactor_report;
GRANT SELECT ON twofactor.enrollment TO twofactor_login, twofactor_enrollment;
GRANT UPDATE (state) ON twofactor.enrollment TO twofactor_login;
GRANT UPDATE (credential, state, generation), INSERT (host_group, user_name, credential, state, generation), DELETE
  ON twofactor.enrollment TO twofactor_enrollment;
GRANT SELECT (host_group, user_name, changed_at, credential_length, sealing_key)
  ON twofactor.enrollment TO twofactor_report;
GRANT SELECT ON twofactor.report TO twofactor_login, twofactor_enrollment, twofactor_report;

REVOKE ALL ON FUNCTION twofactor.version(), twofactor.replication(), twofactor.set_changed_at() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION twofactor.version(), twofactor.replication()
  TO twofactor_login, twofactor_enrollment, twofactor_report;

COMMIT;

/*
 * The protocol between hosts and the PostgreSQL store (pam/postgresql.md), for spin(1). Run it with Tests/Model/check.
 *
 * One user has one row. Several logins, one process each on any host, run at the same time against one to three
 * servers. Between any two steps, a host may crash, a process may be killed, and a connection may break or time out. A
 * server may crash, restart, lose its standby, be promoted, or come back as an old primary. FAULTS bounds the faults of
 * servers in one run; those of hosts are not bounded.
 *
 * Safety, as assertions:
 * - At most one login announces a code as accepted. The same holds for a backup code.
 * - After a confirmed change of the enrollment, no login accepts a code of the removed device or an old backup code.
 * - After a confirmed enrollment, no login that starts later answers "not enrolled".
 * - A process that learns that a code is wrong has counted the failure before, and no later commit loses it.
 *
 * That no fault locks the user out for ever means: from every reachable state, a state is reachable in which an unused
 * code is accepted (AG EF in branching-time logic, which spin cannot express). The model proves a stronger property as
 * safety. In every state, the process Calm may end the faults and repair the servers. Then one more login with an
 * unused code starts, and asserts that it is accepted. There is no cycle of states (Tests/Model/check searches for
 * non-progress cycles, and no state is labeled as progress), so every run ends; and an end at which that login still
 * waits is an invalid end state. Therefore every continuation without faults, from every reachable state, accepts the
 * code. This needs no assumption of fairness, because a run ends only if no process has an enabled step.
 *
 * Left out: throttling, which delays codes but does not decide which are used; the sealing of the credential; and time.
 * A host with a different clock has another window, and a code outside it is a wrong code (CLOCKS). HOTP differs from
 * TOTP in the window alone.
 *
 * Tests/Model/check defines FAULTS, LOGINS, SERVERS, NOT_REPLICATED (`replicated = no`), what the logins do (CHANGES,
 * ENROLLMENT, KILLABLE), further faults (CLOCKS, SETTINGS), and one name for each mutant or limit.
 */

#ifndef SERVERS
#define SERVERS 2
#endif
#ifndef LOGINS
#define LOGINS 2
#endif
#ifndef FAULTS
#define FAULTS 3
#endif

/* The last process is the user's login after the faults. */
#define LAST_LOGIN LOGINS
#define PROCESSES (LOGINS + 1)
#define NONE 7

/*
 * The row: the lowest unused moving factor, whether the backup code is spent, failures, the generation of the
 * credential, the device (a replacement has another key), and whether the row exists.
 */
#define NEXT(row) ((row) & 3)
#define SPENT(row) (((row) >> 2) & 1)
#define FAILURES(row) (((row) >> 3) & 3)
#define GENERATION(row) (((row) >> 5) & 1)
#define DEVICE(row) (((row) >> 6) & 1)
#define ABSENT 0
#define ENROLLED 128
#define WITH_NEXT(row, next) (((row) & ~3) | (next))
#define WITH_SPENT(row) ((row) | 4)
#define WITHOUT_FAILURES(row) ((row) & ~24)
#define WITH_FAILURE(row) (FAILURES(row) == 3 -> (row) : (row) + 8)
/* Keeps the device; new backup codes. */
#define RENEWED(row) (((row) & ~4) | 32)
/* Another device; nothing is kept. */
#define REPLACED (ENROLLED | 32 | 64)
/* The sequence number of the record, which only killable processes compare. */
#if defined(KILLABLE) && !defined(SEQUENCE_REPEATED)
#define SEQUENCE 256
#else
#define SEQUENCE 0
#endif
#define COUNTED_ROW(row) (WITH_FAILURE(row) + SEQUENCE)

/*
 * Requests: two codes and the backup code of the first enrollment; a wrong code; a check that keeps a right code; a
 * code of the replacement and its backup code; changes of the enrollment; the first enrollment; the login at the end.
 */
#define CODE_0 0
#define CODE_1 1
#define BACKUP 2
#define WRONG 3
#define KEPT 4
#define NEW_CODE 5
#define NEW_BACKUP 6
#define RENEW 7
#define REPLACE 8
#define ENROLL 9
#define UNLOCK 10
#define FRESH 11

#define BIT(request) (1 << (request))
#if defined(CHANGES)
#define REQUESTS (BIT(CODE_0) | BIT(BACKUP) | BIT(NEW_CODE) | BIT(NEW_BACKUP) | BIT(RENEW) | BIT(REPLACE))
#elif defined(ENROLLMENT)
#define REQUESTS (BIT(CODE_0) | BIT(ENROLL))
#elif defined(KILLABLE) && LOGINS == 3
#define REQUESTS (BIT(WRONG) | BIT(KEPT) | BIT(UNLOCK))
#elif defined(KILLABLE)
#define REQUESTS (BIT(CODE_1) | BIT(WRONG) | BIT(KEPT) | BIT(RENEW))
#elif SERVERS == 3
#define REQUESTS BIT(CODE_0)
#else
#define REQUESTS (BIT(CODE_0) | BIT(CODE_1) | BIT(BACKUP))
#endif

/* Verdicts. COUNTED is the first of two transactions, which counts a failure before the verdict is known. */
#define ACCEPTED 1
#define WRONG_CODE 2
#define USED 3
#define COUNTED 4
#define CHANGED 5
#define NOT_ENROLLED 6

/*
 * States of a backend, the server's process for a connection. CONNECTED waits for the row lock. LOCKED is idle in a
 * transaction, with COMMIT on its way. COMMITTING has received COMMIT from a client that is gone. FLUSHED has written
 * the commit record to the disk of the primary and waits for a standby. DONE and WARNED have answered. CLOSED is DONE
 * on a server that crashed after the answer. DEAD is a broken connection.
 */
#define CONNECTED 1
#define LOCKED 2
#define COMMITTING 3
#define FLUSHED 4
#define DONE 5
#define WARNED 6
#define CLOSED 7
#define DEAD 8

/* Values of synchronous_commit: `on`, `local` (does not wait for a standby), and `off` (does not wait for the disk). */
#define ON 0
#define LOCAL 1
#define OFF 2

/* A process of a host, and its backend. */
byte request[PROCESSES];
byte server[PROCESSES];
byte backend[PROCESSES];
byte verdict[PROCESSES];
/* The row that the transaction writes, and the row before the first of two transactions. */
short value[PROCESSES];
short before[PROCESSES];
/* The user may kill the process, so it needs two transactions; and whether this is the second one. */
bit killable[PROCESSES];
bit second[PROCESSES];
/* The client is gone, but its backend is not. */
bit left[PROCESSES];
/* A standby has confirmed the commit record. */
bit confirmed[PROCESSES];

/* A server. A standby streams from the server that it follows. `disk` survives a crash; `memory` differs from it only
   with synchronous_commit = off. */
bit up[SERVERS];
bit primary[SERVERS];
byte follows[SERVERS];
/* Whether synchronous_standby_names has names. */
bit names[SERVERS];
byte setting[SERVERS];
short disk[SERVERS];
short memory[SERVERS];
byte holder[SERVERS];
#if SERVERS == 3
/* The flushed commit records, a bit for each transaction: one history is a prefix of another if it is a subset. */
byte history[SERVERS];
/* The server that was promoted last. */
byte latest;
#endif

byte faults = FAULTS;
bit calm;

/* The announced answers: codes by request; the enrollment; its change; wrong codes since failures were reset. */
byte accepted;
bit enrolled;
byte changed;
byte wrong;
bit let_in;
/* Per login: it accepts a code that a confirmed change has revoked; it started after the confirmed enrollment; its
   failure was counted and then reset. */
bit stale[PROCESSES];
bit knows[PROCESSES];
bit forgiven[PROCESSES];

/* Used within a step only. */
hidden short row;
hidden byte factor;
hidden byte k;
hidden byte p;

#define FOR_ALL(count, statements) k = 0; do :: k < count -> statements; k++ :: else -> break od; k = 0

/*
 * The settings that the program requires when it locks the row, and with standbys once more after COMMIT. A mutant
 * lacks a part.
 */
#if defined(NOT_REPLICATED)
#define HOLD(s) (setting[s] != OFF)
#elif defined(ASYNCHRONOUS_COMMIT_ACCEPTED)
#define HOLD(s) (names[s])
#elif defined(LOCAL_COMMIT_ACCEPTED)
#define HOLD(s) (setting[s] != OFF && names[s])
#elif defined(NO_STANDBY_ACCEPTED)
#define HOLD(s) (setting[s] == ON)
#else
#define HOLD(s) (setting[s] == ON && names[s])
#endif
#if defined(SETTINGS_CHECKED_ONCE)
#define HOLD_BEFORE(i, s) (HOLD(s) || second[i])
#define HOLD_AFTER(i) (HOLD(server[i]) || second[i])
#elif defined(SETTINGS_NOT_READ_AGAIN) || defined(NOT_REPLICATED)
#define HOLD_BEFORE(i, s) HOLD(s)
#define HOLD_AFTER(i) true
#else
#define HOLD_BEFORE(i, s) HOLD(s)
#define HOLD_AFTER(i) HOLD(server[i])
#endif

/* The transaction sets synchronous_commit, so that a reload does not change it. */
#if defined(ASYNCHRONOUS_COMMIT_ACCEPTED) || defined(LOCAL_COMMIT_ACCEPTED)
#define COMMITS_WITH(s) setting[s]
#else
#define COMMITS_WITH(s) ON
#endif

/* libpq connects to any server that accepts writes (target_session_attrs=read-write). */
#ifdef RECOVERY_ACCEPTED
#define USABLE(i, s) (up[s] && (primary[s] || i != LAST_LOGIN) && HOLD_BEFORE(i, s))
#else
#define USABLE(i, s) (up[s] && primary[s] && HOLD_BEFORE(i, s))
#endif

/* After the faults, the last login starts, and the others finish. */
#define MAY_CONNECT(i) (i == LAST_LOGIN -> calm : !calm || second[i])

/* SELECT … FOR UPDATE waits for the row lock. It does not see a row that another transaction inserts. */
#define INSERTED(s) (holder[s] != NONE && request[holder[s]] == ENROLL && verdict[holder[s]] == CHANGED)
#if defined(NO_ROW_LOCK)
#define MAY_READ(i, s) true
#define LOCKS(i) false
#elif defined(CHANGE_WITHOUT_ROW_LOCK)
#define MAY_READ(i, s) (holder[s] == NONE || request[i] == RENEW)
#define LOCKS(i) (request[i] != RENEW)
#else
#define MAY_READ(i, s) (holder[s] == NONE || INSERTED(s) && request[i] != ENROLL)
#define LOCKS(i) true
#endif

/* UPDATE waits for the row lock if the transaction does not have it. */
#define MAY_WRITE(i, s) (holder[s] == i || holder[s] == NONE || verdict[i] == NOT_ENROLLED)

/* The next factor is that after the code, whatever the host's clock says. */
#ifdef HOST_STEP_KEPT
#define NEXT_AFTER(factor) factor
#else
#define NEXT_AFTER(factor) (factor + 1)
#endif

/* A process that the user can kill counts a failure first. */
#ifdef VERDICT_BEFORE_COUNT
#define COUNTS_FIRST(i) false
#else
#define COUNTS_FIRST(i) (killable[i] && !second[i] && row != ABSENT)
#endif

/* All factors up to the last accepted one are used, not only that one. */
#ifdef LAST_CODE_ONLY
#define IS_USED(factor) (NEXT(row) == factor + 1)
#else
#define IS_USED(factor) (factor < NEXT(row))
#endif

#define IS_BACKUP(i) (request[i] == BACKUP || request[i] == NEW_BACKUP)
#define IS_OLD_CODE(i) (request[i] == CODE_0 || request[i] == CODE_1 || request[i] == KEPT)
#define IS_CODE(i) (IS_OLD_CODE(i) || request[i] == NEW_CODE || request[i] == FRESH)
#define IS_CHANGE(i) (request[i] == RENEW || request[i] == REPLACE)

/* Whether the row has the device or the backup code. */
#define IS_KNOWN(i) ( \
  IS_OLD_CODE(i) && DEVICE(row) == 0 || request[i] == NEW_CODE && DEVICE(row) == 1 || request[i] == FRESH \
  || request[i] == BACKUP && GENERATION(row) == 0 || request[i] == NEW_BACKUP && GENERATION(row) == 1)

/* Decides on `row`: the verdict, and the row to write. */
inline decide(i) {
  factor = (request[i] == CODE_1 || request[i] == KEPT -> 1 : (request[i] == FRESH -> 2 : 0));
  value[i] = row;
  if
  :: row == ABSENT && request[i] != ENROLL -> verdict[i] = NOT_ENROLLED
  :: row == ABSENT && request[i] == ENROLL -> verdict[i] = CHANGED; value[i] = ENROLLED
  :: row != ABSENT && request[i] == ENROLL -> verdict[i] = USED
  :: row != ABSENT && IS_CHANGE(i) ->
    verdict[i] = (GENERATION(row) == 0 -> CHANGED : USED);
    value[i] = (request[i] == RENEW -> RENEWED(row) : REPLACED)
  :: row != ABSENT && request[i] == UNLOCK -> verdict[i] = CHANGED; value[i] = WITHOUT_FAILURES(row)
  :: row != ABSENT && (IS_CODE(i) || IS_BACKUP(i)) && IS_KNOWN(i) ->
    verdict[i] = ((IS_BACKUP(i) -> SPENT(row) : IS_USED(factor)) -> USED : ACCEPTED);
    value[i] = (verdict[i] == USED || request[i] == KEPT -> row :
      (IS_BACKUP(i) -> WITHOUT_FAILURES(WITH_SPENT(row)) : WITHOUT_FAILURES(WITH_NEXT(row, NEXT_AFTER(factor)))))
  :: else -> verdict[i] = WRONG_CODE; value[i] = WITH_FAILURE(row)
#ifdef CLOCKS
  /* The clock of this host differs, and the code is outside the window. */
  :: row != ABSENT && IS_OLD_CODE(i) -> verdict[i] = WRONG_CODE; value[i] = WITH_FAILURE(row)
#endif
  fi;
  value[i] = value[i] + (value[i] == ABSENT -> 0 : SEQUENCE * (1 + second[i]))
}

/* Notes whether a confirmed change has revoked the code, when the row is locked for the last time. */
inline note_change(i) {
  stale[i] = (verdict[i] == ACCEPTED
    && (IS_OLD_CODE(i) && changed == REPLACE || request[i] == BACKUP && changed != 0))
}

/* The commit resets the failures. */
#define RESETS(i) (verdict[i] == ACCEPTED && request[i] != KEPT || verdict[i] == CHANGED && request[i] != RENEW)

/* The process knows that the code is wrong. */
inline learn(i) {
  if
  :: !forgiven[i] -> wrong = (wrong == 3 -> 3 : wrong + 1)
  :: else
  fi;
  assert(FAILURES(memory[server[i]]) >= wrong || forgiven[i])
}

inline announce(i) {
  if
  :: verdict[i] == ACCEPTED && request[i] < KEPT || verdict[i] == ACCEPTED && request[i] > KEPT && i != LAST_LOGIN ->
    assert(!(accepted & (1 << request[i])));
    accepted = accepted | (1 << request[i])
  :: verdict[i] == WRONG_CODE && !second[i] -> learn(i)
  :: verdict[i] == NOT_ENROLLED -> assert(!knows[i])
  :: verdict[i] == CHANGED && request[i] == ENROLL -> enrolled = 1
  :: verdict[i] == CHANGED && IS_CHANGE(i) -> changed = request[i]
  :: else
  fi;
  assert(!stale[i]);
  let_in = (i == LAST_LOGIN && (verdict[i] == ACCEPTED || verdict[i] == NOT_ENROLLED) -> 1 : let_in)
}

inline unlock(i) {
  if
  :: holder[server[i]] == i -> holder[server[i]] = NONE
  :: else
  fi
}

/* Clears what no step reads any more, so that different pasts become one state. */
inline forget(i) {
  request[i] = WRONG;
  server[i] = 0;
  backend[i] = 0;
  verdict[i] = 0;
  value[i] = 0;
  before[i] = 0;
  killable[i] = 0;
  second[i] = 0;
  left[i] = 0;
  confirmed[i] = 0;
  stale[i] = 0;
  knows[i] = 0;
  forgiven[i] = 0
}

/*
 * One login or change. At each point before the calm, the process may end: it is killed, its host crashes, its
 * connection breaks, or it times out. If it has sent COMMIT, the server may have received it.
 */
proctype Login(byte i) {
end_not_started:
connect:
  atomic {
    if
    :: USABLE(i, 0) && MAY_CONNECT(i) -> server[i] = 0
#if SERVERS > 1
    :: USABLE(i, 1) && MAY_CONNECT(i) -> server[i] = 1
#endif
#if SERVERS > 2
    :: USABLE(i, 2) && MAY_CONNECT(i) -> server[i] = 2
#endif
    :: second[i] && !calm -> goto out
    fi;
    backend[i] = CONNECTED;
    knows[i] = (second[i] -> knows[i] : enrolled);
#ifdef OLD_CREDENTIAL
    before[i] = memory[server[i]];
#endif
  }

  if
  :: atomic {
      backend[i] == CONNECTED && MAY_READ(i, server[i]) ->
      row = (INSERTED(server[i]) -> ABSENT : memory[server[i]]);
      if
      :: LOCKS(i) && holder[server[i]] == NONE && (row != ABSENT || request[i] == ENROLL) -> holder[server[i]] = i
      :: else
      fi;
#ifdef OLD_CREDENTIAL
      row = (row & 31) | (before[i] & 224);
#endif
      if
      :: COUNTS_FIRST(i) ->
        before[i] = row;
        value[i] = COUNTED_ROW(row);
        verdict[i] = COUNTED
      :: second[i] ->
#ifndef TAKEN_BACK_WITHOUT_COMPARING
        if
        :: row != COUNTED_ROW(before[i]) -> goto out
        :: else
        fi;
#endif
        note_change(i)
      :: else ->
        decide(i);
        note_change(i);
#ifdef VERDICT_BEFORE_COUNT
        if
        :: killable[i] && verdict[i] == WRONG_CODE -> learn(i)
        :: else
        fi;
#endif
        if
        :: verdict[i] == USED -> goto out
#if defined(ABSENCE_WITHOUT_COMMIT)
        :: verdict[i] == NOT_ENROLLED -> announce(i); goto out
#elif defined(RECOVERY_ACCEPTED)
        :: verdict[i] == NOT_ENROLLED && !primary[server[i]] -> announce(i); goto out
#endif
        :: else
        fi
      fi;
#ifdef RECOVERY_ACCEPTED
      /* A standby cannot write. */
      if
      :: !primary[server[i]] -> goto out
      :: else
      fi;
#endif
#ifdef ANSWER_BEFORE_COMMIT
      announce(i);
#endif
      backend[i] = LOCKED
    }
  :: atomic { backend[i] == DEAD || !calm -> goto out }
  fi;

  /* The answer to COMMIT, and with standbys the settings once more. */
  if
#if defined(WARNING_IGNORED)
  :: atomic { (backend[i] == DONE || backend[i] == WARNED) && HOLD_AFTER(i) ->
#elif defined(SETTINGS_NOT_READ_AGAIN) || defined(NOT_REPLICATED)
  :: atomic { backend[i] == DONE || backend[i] == CLOSED ->
#else
  :: atomic { backend[i] == DONE && HOLD_AFTER(i) ->
#endif
      if
      :: verdict[i] == COUNTED ->
        /* The verdict is known now. The second transaction replaces the counted failure by it. */
        second[i] = 1;
        row = before[i];
        decide(i);
        if
        :: verdict[i] == WRONG_CODE -> learn(i)
        :: else
        fi;
        server[i] = 0;
        backend[i] = 0;
        confirmed[i] = 0;
        forgiven[i] = 0;
        goto connect
      :: else
      fi;
#ifndef ANSWER_BEFORE_COMMIT
      announce(i)
#endif
    }
#ifdef UNKNOWN_IS_YES
  :: atomic { (backend[i] == DEAD || !calm && backend[i] != WARNED) && verdict[i] == ACCEPTED -> announce(i) }
#endif
  :: atomic {
      (!calm || backend[i] == WARNED || backend[i] == CLOSED || backend[i] == DEAD
        || backend[i] == DONE && !HOLD_AFTER(i)) -> skip
    }
  fi;

out:
  atomic {
    assert(i != LAST_LOGIN || let_in);
    if
    :: backend[i] == LOCKED -> left[i] = 1
    :: backend[i] == LOCKED -> left[i] = 1; backend[i] = COMMITTING
    :: backend[i] == FLUSHED -> left[i] = 1
    :: backend[i] != LOCKED && backend[i] != FLUSHED && backend[i] == CONNECTED -> unlock(i); forget(i)
    :: backend[i] != LOCKED && backend[i] != FLUSHED && backend[i] != CONNECTED -> forget(i)
    fi
  }
}

/* The transaction ends. */
inline finish(i, answer) {
  unlock(i);
  if
  :: left[i] -> forget(i)
  :: else -> backend[i] = answer
  fi
}

/* The process has counted a failure, but does not know the verdict, or has not announced it. */
#define COUNTED_BEFORE(i) ( \
  (backend[i] == DONE || backend[i] == CLOSED) && (verdict[i] == COUNTED || verdict[i] == WRONG_CODE && !second[i]))

/* The server writes the commit record. */
inline flush(i, s) {
  if
  :: verdict[i] != NOT_ENROLLED -> holder[s] = i; memory[s] = value[i]
  :: else
  fi;
  if
  :: RESETS(i) ->
    wrong = 0;
    FOR_ALL(PROCESSES, forgiven[k] = (COUNTED_BEFORE(k) -> 1 : forgiven[k]))
  :: else
  fi;
#if SERVERS == 3
  history[s] = history[s] | (1 << (i + 4 * second[i]));
#endif
  if
  :: COMMITS_WITH(s) == OFF -> finish(i, DONE)
  :: else -> disk[s] = memory[s]; backend[i] = FLUSHED
  fi
}

/* COMMIT does not wait with synchronous_commit = local, or without names of standbys. One standby suffices. */
#define MAY_ANSWER(i) (confirmed[i] || !names[server[i]] || COMMITS_WITH(server[i]) == LOCAL)

/* A server's process for a connection. */
proctype Backend(byte i) {
end_idle:
  do
  :: d_step { (backend[i] == LOCKED && !left[i] || backend[i] == COMMITTING) && MAY_WRITE(i, server[i]) ->
      flush(i, server[i])
    }
  :: atomic { backend[i] == FLUSHED && MAY_ANSWER(i) ->
      /* Failures are never lost: the commit of another change keeps them. */
      assert(RESETS(i) || verdict[i] == NOT_ENROLLED || FAILURES(value[i]) >= wrong);
      finish(i, DONE)
    }
#ifndef NO_IDLE_TIMEOUT
  /* The server notices the end of the connection, or idle_in_transaction_session_timeout ends the transaction. */
  :: d_step { backend[i] == LOCKED && left[i] -> finish(i, DEAD) }
#endif
  /* An administrator cancels the wait for the standby: the commit succeeds with a warning. */
  :: d_step { faults > 0 && backend[i] == FLUSHED && !MAY_ANSWER(i) -> faults--; finish(i, WARNED) }
  od
}

inline copy(x, from) {
  memory[x] = disk[from];
  disk[x] = disk[from];
#if SERVERS == 3
  history[x] = history[from]
#endif
}

/* Ends the connections to a server. An answer that it has sent still arrives. */
inline close_connections(x) {
  FOR_ALL(PROCESSES,
    if
    :: backend[k] != 0 && server[k] == x && left[k] -> forget(k)
    :: backend[k] != 0 && server[k] == x && !left[k] -> backend[k] = (backend[k] == DONE -> CLOSED : DEAD)
    :: else
    fi);
  holder[x] = NONE;
  memory[x] = disk[x]
}

/* pg_rewind(1) or pg_basebackup(1): makes the server a standby of another one, with the same history. */
inline rebuild(x, from) {
  close_connections(x);
  primary[x] = 0;
  follows[x] = from;
  up[x] = 1;
  copy(x, from)
}

/*
 * With two servers, the other one is the synchronous standby, and any standby may be promoted: a primary alone cannot
 * confirm a commit.
 *
 * With three, any one of the two others confirms (ANY 1), and two can confirm commits without the third. So promotion
 * has a rule: stop both standbys, promote the one that has everything, and let the other follow it. An old primary must
 * become a standby before the next promotion.
 */
#if SERVERS == 3
#define IS_PREFIX(x, s) ((history[x] & ~history[s]) == 0)
#ifdef PROMOTED_WITH_OLD_PRIMARY
#define HAS_ALL(x, y) (primary[y] || up[y] && IS_PREFIX(y, x))
#else
#define HAS_ALL(x, y) (y == latest || !primary[y] && up[y] && IS_PREFIX(y, x))
#endif
#ifdef PROMOTED_BEHIND
#define MAY_PROMOTE(x) true
#else
#define MAY_PROMOTE(x) (HAS_ALL(x, (x + 1) % 3) && HAS_ALL(x, (x + 2) % 3))
#endif
#define MAY_FOLLOW(x, s) (s == latest && follows[x] != s && IS_PREFIX(x, s))
#define MAY_REBUILD(x, s) (s == latest && follows[x] != s)
#define DIFFER(x, s) (disk[x] != disk[s] || history[x] != history[s])
#else
#define MAY_PROMOTE(x) true
#define MAY_FOLLOW(x, s) (follows[x] == NONE)
#define MAY_REBUILD(x, s) (follows[x] != s)
#define DIFFER(x, s) (disk[x] != disk[s])
#endif

#define WAITS(i, s) (backend[i] == FLUSHED && server[i] == s && !confirmed[i])
#if LOGINS == 2
#define ANY_WAITS(s) (WAITS(0, s) || WAITS(1, s) || WAITS(2, s))
#else
#define ANY_WAITS(s) (WAITS(0, s) || WAITS(1, s) || WAITS(2, s) || WAITS(3, s))
#endif

/* A standby flushes all that its primary has flushed, and confirms it. */
inline stream(x) {
  copy(x, follows[x]);
  FOR_ALL(PROCESSES, confirmed[k] = (WAITS(k, follows[x]) -> 1 : confirmed[k]))
}

inline promote(x, has_names) {
  faults--;
  primary[x] = 1;
  follows[x] = NONE;
  names[x] = has_names;
#if SERVERS == 3
  latest = x;
#ifndef PROMOTED_WITHOUT_STOPPING
  FOR_ALL(SERVERS, follows[k] = (k == x || primary[k] -> NONE : (IS_PREFIX(k, x) -> x : NONE)))
#endif
#endif
}

#define FROM(s, t) \
  :: d_step { !calm && up[t] && primary[t] && !primary[s] && MAY_FOLLOW(s, t) -> follows[s] = t } \
  :: d_step { !calm && up[t] && primary[t] && MAY_REBUILD(s, t) -> rebuild(s, t) }

/* A server, and what happens to it. It keeps its role over a crash, so an old primary may come back. */
proctype Server(byte s) {
end_running:
  do
  :: d_step { faults > 0 && up[s] -> faults--; close_connections(s); up[s] = 0 }
  :: d_step { !calm && !up[s] -> up[s] = 1 }
  /* A reload empties synchronous_standby_names, or sets synchronous_commit. */
  :: d_step { faults > 0 && names[s] -> faults--; names[s] = 0 }
#ifdef NAMES_RESTORED
  :: d_step { faults > 0 && !names[s] -> faults--; names[s] = 1 }
#endif
#ifdef SETTINGS
  :: d_step { faults > 0 && setting[s] == ON -> faults--; setting[s] = LOCAL }
  :: d_step { faults > 0 && setting[s] == ON -> faults--; setting[s] = OFF }
#endif
#ifdef ASYNCHRONOUS_COMMIT_ACCEPTED
  /* The WAL writer flushes later. */
  :: d_step { primary[s] && memory[s] != disk[s] -> disk[s] = memory[s] }
#endif
#if SERVERS > 1
  :: d_step {
      (up[s] && !primary[s] && follows[s] != NONE && up[follows[s]] && primary[follows[s]]
        && (DIFFER(s, follows[s]) || ANY_WAITS(follows[s]))) ->
      stream(s)
    }
  /* The connection between the servers breaks. */
  :: d_step { faults > 0 && !primary[s] && follows[s] != NONE -> faults--; follows[s] = NONE }
  /* The standby's own file may lack the setting. */
  :: d_step { faults > 0 && up[s] && !primary[s] && MAY_PROMOTE(s) -> promote(s, 1) }
  :: d_step { faults > 0 && up[s] && !primary[s] && MAY_PROMOTE(s) -> promote(s, 0) }
#endif
#if SERVERS == 2
  FROM(s, 1 - s)
#elif SERVERS == 3
  FROM(s, (s + 1) % 3)
  FROM(s, (s + 2) % 3)
#endif
  od
}

/* Ends the faults at any time: the administrator chooses a primary, and repairs the rest. */
proctype Calm() {
  atomic {
    if
#if SERVERS == 3
    :: p = latest
#elif SERVERS == 2
    :: primary[0] -> p = 0
    :: primary[1] -> p = 1
#else
    :: p = 0
#endif
    fi;
    d_step {
      calm = 1;
      faults = 0;
      up[p] = 1;
      setting[p] = ON;
#ifndef NOT_REPLICATED
      names[p] = 1;
#endif
      row = 0;
      do
      :: row < SERVERS && row != p -> rebuild(row, p); row++
      :: row < SERVERS && row == p -> row++
      :: else -> break
      od;
      row = 0;
      p = 0
    }
  }
  /* Not a valid end: the user's last login must succeed. */
  let_in
}

#define HAS_REQUEST(r) ((REQUESTS >> r) & 1)
#if defined(KILLABLE) && LOGINS == 3
/* One process for each request. */
#define MAY_SKIP(r) !HAS_REQUEST(r)
#else
#define MAY_SKIP(r) true
#endif

init {
  atomic {
    /* All choices of requests in ascending order, because the processes are equal. */
    p = 0;
    k = 0;
    do
    :: k < LOGINS ->
#ifdef CHANGES
      p = (k == LOGINS - 1 && p < RENEW -> RENEW : p);
#endif
      do
      :: HAS_REQUEST(p) -> break
      :: (REQUESTS >> (p + 1)) != 0 && MAY_SKIP(p) -> p++
      od;
      request[k] = p;
#if defined(KILLABLE)
      if
      :: p <= KEPT -> killable[k] = 1
#if LOGINS == 2
      :: p < KEPT -> killable[k] = 0
#endif
      :: p > KEPT -> killable[k] = 0
      fi;
#endif
#if defined(KILLABLE) && LOGINS == 3
      p++;
#endif
      run Login(k);
      run Backend(k);
      k++
    :: else -> break
    od;
    request[LAST_LOGIN] = FRESH;
    run Login(LAST_LOGIN);
    run Backend(LAST_LOGIN);
    k = 0;
    do
    :: k < SERVERS ->
      up[k] = 1;
      primary[k] = (k == 0);
      holder[k] = NONE;
      follows[k] = (k == 0 -> NONE : 0);
#ifndef NOT_REPLICATED
      names[k] = 1;
#endif
      disk[k] = ((REQUESTS >> ENROLL) & 1 -> ABSENT : ENROLLED);
      memory[k] = disk[k];
      run Server(k);
      k++
    :: else -> break
    od;
    k = 0;
    p = 0;
    run Calm()
  }
}

/* A process of a host: what it requires of a server, decides and announces. */

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

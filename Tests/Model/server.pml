/* A server, its backends, and its faults. */

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

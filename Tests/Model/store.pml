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
 * row.pml has the row and the requests, login.pml the process of a host, and server.pml a server and its faults.
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

#include "row.pml"

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

#include "login.pml"
#include "server.pml"

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

#define _GNU_SOURCE
#include "csystem.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Old 32-bit architectures have calls with 16-bit IDs, too. */
#ifdef SYS_setgroups32
#define SETGROUPS SYS_setgroups32
#define SETRESGID SYS_setresgid32
#define SETRESUID SYS_setresuid32
#else
#define SETGROUPS SYS_setgroups
#define SETRESGID SYS_setresgid
#define SETRESUID SYS_setresuid
#endif

/* The host program must not notice the child. A change of SIGCHLD's action, as by pam_unix, affects all threads; and
 * without it, a handler or another thread may wait for the child first. So the host starts a supervisor with a raw
 * clone(2) that has no exit signal: it sends no SIGCHLD, is not reaped automatically if the host ignores SIGCHLD, and
 * only waitpid(2) with __WCLONE finds it. execve(2) would change its exit signal to SIGCHLD, so the supervisor starts
 * the program as its own child, and waits for it.
 *
 * The supervisor is a copy of one thread of the host: it may call only async-signal-safe functions. Most are raw system
 * calls, because the C library's functions may acquire locks, and each costs the module a symbol. */

/* How long the supervisor may take to end, in milliseconds. */
static const int64_t grace = 1000;

/* Not inlined, to keep the module small. */
__attribute__((noinline)) static int64_t milliseconds(void) {
  struct timespec now = {0};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* All signals except the two that the C library uses internally (nptl(7)), as the kernel's sigset_t. */
static const uint64_t all_signals = ~(UINT64_C(3) << 31);

static uint64_t set_mask(uint64_t mask) {
  uint64_t before = 0;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, &before, sizeof mask);
  return before;
}

/* Sets all signals to their default action. */
static void reset_signals(void) {
  const uint64_t usual[8] = {0}; /* not smaller than the kernel's struct sigaction */
  for (int number = 1; number < _NSIG; number++) syscall(SYS_rt_sigaction, number, usual, NULL, _NSIG / 8);
}

static void close_above_standard_error(void) {
#ifdef SYS_close_range
  if (syscall(SYS_close_range, 3U, ~0U, 0U) == 0) return;
#endif
  for (int descriptor = 3; descriptor < 65536; descriptor++) close(descriptor);
}

/* Leaves only `socket`, which must be above 2, at 0 and 1, and /dev/null at 2. */
static int set_descriptors(int socket) {
  if (syscall(SYS_dup3, socket, 0, 0) < 0 || syscall(SYS_dup3, socket, 1, 0) < 0) return -1;
  close_above_standard_error();
  close(2);
  return openat(AT_FDCWD, "/dev/null", O_WRONLY | O_NOCTTY) == 2 ? 0 : -1;
}

/* Waits for the program. Kills it after SIGTERM, or some time after the host's death (SIGHUP): the program ends at the
 * end of its input, but the account could have stopped it. Returns 0, or an error number. */
static int await(pid_t program) {
  const uint64_t awaited =
      UINT64_C(1) << (SIGCHLD - 1) | UINT64_C(1) << (SIGTERM - 1) | UINT64_C(1) << (SIGHUP - 1);
  /* The kernel's struct timespec. */
  static const long long_patience[2] = {5, 0}, short_patience[2] = {1, 0};
  const long *patience = NULL;
  int error = 0, status;
  for (;;) {
    pid_t found = waitpid(program, &status, WNOHANG);
    if (found == program) return error;
    if (found < 0 && errno != EINTR) return errno;
    long received = syscall(SYS_rt_sigtimedwait, &awaited, NULL, patience, sizeof awaited);
    if (received == SIGHUP) patience = long_patience;
    if (received != SIGTERM && (received >= 0 || errno != EAGAIN)) continue;
    /* If a process of the account traces the program, only that process finds its end. */
    if (error) return error;
    kill(program, SIGKILL);
    error = ETIMEDOUT;
    patience = short_patience;
  }
}

struct program {
  const char *path;
  char *const *arguments;
  const struct csystem_account *account;
  gid_t *groups; /* of the account */
  int group_count;
  int may_gain_groups; /* by executing set-group-ID programs */
};

/* Irrevocably becomes the account. Until execve(2), the process shares the host's memory. Without the capabilities that
 * PR_SET_KEEPCAPS keeps until then, the account could trace it if fs.suid_dumpable is 1 (ptrace(2)). */
static int become(const struct program *program) {
  const struct csystem_account *account = program->account;
  if (!account->name) return 0;
  return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 &&
                 syscall(SETGROUPS, program->group_count, program->groups) == 0 &&
                 syscall(SETRESGID, account->group, account->group, account->group) == 0 &&
                 syscall(SETRESUID, account->user, account->user, account->user) == 0 &&
                 prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 &&
                 (program->may_gain_groups || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
             ? 0
             : -1;
}

/* The supervisor, with all signals blocked. Exits with 0, or an error number. */
_Noreturn static void supervise(const struct program *program, int socket) {
  char *environment[] = {NULL};
  volatile int error = 0; /* vfork(2) shares the memory */
  reset_signals();
  prctl(PR_SET_PDEATHSIG, SIGHUP, 0, 0, 0);
  /* Ctrl-C at the terminal of the host must not reach the program. */
  syscall(SYS_setsid);
  if (set_descriptors(socket) != 0 || syscall(SYS_chdir, "/") != 0) _exit(errno);
  pid_t child = vfork();
  if (child == 0) {
    /* If fs.suid_dumpable is 1, a signal of the account could dump the host's memory before execve(2). The program
     * unblocks signals once it is not dumpable. */
    if (!program->account->name) set_mask(0);
    if (become(program) == 0) execve(program->path, program->arguments, environment);
    error = errno;
    _exit(EXIT_FAILURE);
  }
  if (child < 0) _exit(errno);
  int result = await(child);
  /* A process that the host forks at the same time may have inherited the socket. */
  syscall(SYS_shutdown, 0, SHUT_RDWR);
  _exit(error ? error : result);
}

/* Opens two connected sockets above the standard descriptors, which the host may have closed. */
static int open_sockets(int sockets[2]) {
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) return -1;
  for (int i = 0; i < 2; i++) {
    if (sockets[i] > 2) continue;
    int moved = fcntl(sockets[i], F_DUPFD_CLOEXEC, 3), error = errno;
    if (moved < 0) {
      close(sockets[0]);
      close(sockets[1]);
      errno = error;
      return -1;
    }
    close(sockets[i]);
    sockets[i] = moved;
  }
  return 0;
}

/* Starts the supervisor. Returns its process ID, and the host's end of the socket pair. */
static pid_t start(struct program *program, int *socket) {
  const struct csystem_account *account = program->account;
  if (account->name && *account->name) {
    program->group_count = csystem_account_groups(account->name, account->group, &program->groups);
    if (program->group_count < 0) return -1;
  }
  int sockets[2];
  pid_t child = open_sockets(sockets);
  if (child == 0) {
    uint64_t before = set_mask(all_signals);
    child = (pid_t)syscall(SYS_clone, 0UL, 0UL, 0UL, 0UL, 0UL);
    if (child == 0) supervise(program, sockets[1]);
    int error = errno;
    set_mask(before);
    close(sockets[1]);
    *socket = sockets[0];
    if (child < 0) close(sockets[0]);
    errno = error;
  }
  int error = errno;
  free(program->groups);
  errno = error;
  return child;
}

/* Waits for events of a descriptor. Fails with ETIMEDOUT. */
static int wait_for(struct pollfd *waited, int64_t deadline) {
  for (;;) {
    int64_t left = deadline - milliseconds();
    int count = poll(waited, 1, left > 0 ? (int)left : 0);
    if (count > 0) return 0;
    if (count < 0 && errno != EINTR && errno != EAGAIN) return -1;
    if (left <= 0) {
      errno = ETIMEDOUT;
      return -1;
    }
  }
}

static int is_temporary(int error) { return error == EAGAIN || error == EINTR; }

struct request {
  const uint8_t *bytes;
  size_t length;
};

/* Sends the request and receives the answer. Returns its length. */
static int64_t converse(int socket, struct request request, uint8_t *answer, size_t capacity, int64_t deadline) {
  size_t sent = 0, received = 0;
  int is_sending = 1;
  for (;;) {
    struct pollfd waited = {.fd = socket, .events = is_sending ? POLLIN | POLLOUT : POLLIN};
    if (wait_for(&waited, deadline) != 0) return -1;
    if (is_sending && waited.revents & POLLOUT) {
      ssize_t count = send(socket, request.bytes + sent, request.length - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (count > 0) sent += (size_t)count;
      /* On any other failure, the program does not read the whole request, but it may still answer. */
      is_sending = count < 0 ? is_temporary(errno) : sent < request.length;
      if (!is_sending) syscall(SYS_shutdown, socket, SHUT_WR);
    }
    if (waited.revents & ~POLLOUT) {
      uint8_t excess;
      int is_full = received == capacity;
      uint8_t *rest = is_full ? &excess : answer + received;
      ssize_t count = recv(socket, rest, is_full ? 1 : capacity - received, MSG_DONTWAIT);
      /* ECONNRESET follows the answer of a program that did not read the whole request. */
      if (count == 0 || (count < 0 && errno == ECONNRESET)) return (int64_t)received;
      if (count > 0 && is_full) {
        errno = EMSGSIZE;
        return -1;
      }
      if (count > 0) received += (size_t)count;
      if (count < 0 && !is_temporary(errno)) return -1;
    }
  }
}

/* Waits for the supervisor, and terminates it after `patience` milliseconds. Returns 0, or an error number. */
static int wait_for_supervisor(pid_t child, int64_t patience) {
  int64_t deadline = milliseconds() + patience;
  int signal = SIGTERM, status, options = WNOHANG;
  for (;;) {
    pid_t found = waitpid(child, &status, options | __WCLONE);
    if (found == child) return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
    if (found < 0 && errno == EINTR) continue;
    /* Another thread of the host has already waited for it, with __WALL. */
    if (found < 0) return errno == ECHILD ? 0 : errno;
    if (milliseconds() < deadline) {
      poll(NULL, 0, 1);
      continue;
    }
    /* Until waitpid(2) returns the child, no other process gets its ID. */
    kill(child, signal);
    if (signal == SIGKILL) options = 0;
    signal = SIGKILL;
    deadline = milliseconds() + grace;
  }
}

int64_t csystem_run_helper(const char *path, const char *argument, const struct csystem_account *account,
                           const uint8_t *request, size_t length, uint8_t *answer, size_t capacity, int timeout) {
  char helper[] = "twofactor-helper", store[] = "twofactor-store";
  char *arguments[] = {argument ? store : helper, (char *)argument, NULL};
  struct program program = {.path = path, .arguments = arguments, .account = account};
  int64_t deadline = milliseconds() + timeout;
  int socket;
  pid_t child = start(&program, &socket);
  if (child < 0) return -1;
  int64_t count = converse(socket, (struct request){request, length}, answer, capacity, deadline);
  int error = errno;
  int result = wait_for_supervisor(child, count < 0 ? 0 : grace);
  if (count >= 0 && result != 0) {
    count = -1;
    error = result;
  }
  close(socket);
  errno = error;
  return count;
}

int csystem_start_dialogue(struct csystem_dialogue *dialogue, const char *path, const struct csystem_account *account,
                           const char *form, const char *const *words, int count) {
  const char **arguments = calloc((size_t)count + 4, sizeof *arguments);
  if (!arguments) return -1;
  arguments[0] = "twofactor";
  arguments[1] = "login-enrollment";
  arguments[2] = form;
  for (int i = 0; i < count; i++) arguments[i + 3] = words[i];
  struct program program = {
      .path = path, .arguments = (char *const *)arguments, .account = account, .may_gain_groups = 1};
  dialogue->supervisor = start(&program, &dialogue->socket);
  int error = errno;
  free(arguments);
  errno = error;
  return dialogue->supervisor > 0 ? 0 : -1;
}

int64_t csystem_read_line(const struct csystem_dialogue *dialogue, uint8_t *line, size_t capacity, int timeout) {
  struct pollfd waited = {.fd = dialogue->socket, .events = POLLIN};
  int64_t deadline = milliseconds() + timeout;
  size_t length = 0;
  for (;;) {
    uint8_t byte;
    ssize_t count = recv(waited.fd, &byte, 1, MSG_DONTWAIT);
    if (count < 0 && is_temporary(errno)) {
      if (wait_for(&waited, deadline) != 0) return -1;
      continue;
    }
    if (count == 0) errno = ECONNRESET;
    if (count <= 0) return -1;
    if (byte == '\n') return (int64_t)length;
    if (length == capacity) {
      errno = EMSGSIZE;
      return -1;
    }
    line[length++] = byte;
  }
}

int csystem_send_line(const struct csystem_dialogue *dialogue, const uint8_t *line, size_t length) {
  /* The socket buffer has room: the program has read every earlier line. */
  return send(dialogue->socket, line, length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length ? 0 : -1;
}

int csystem_end_dialogue(const struct csystem_dialogue *dialogue, int patience) {
  syscall(SYS_shutdown, dialogue->socket, SHUT_RDWR);
  int error = wait_for_supervisor(dialogue->supervisor, patience);
  close(dialogue->socket);
  return error;
}

/// C functions that the setup command needs and Swift's Glibc module lacks. On failure, they return -1 with errno set.

#ifndef CSETUP_H
#define CSETUP_H

#include <crypt.h>
#include <signal.h>
#include <spawn.h>
#include <sys/types.h>

/// Provided because setresuid(2) needs _GNU_SOURCE. Sets the real, effective and saved IDs, and clears the dumpable
/// attribute, without a moment at which the user could trace the process.
int csetup_set_identity(uid_t user, gid_t group);

/// Provided because getresuid(2) needs _GNU_SOURCE. Returns 1 if the real, effective and saved IDs are these, else 0.
int csetup_has_identity(uid_t user, gid_t group);

/// Provided because setresuid(2) needs _GNU_SOURCE. Turns root into the user and group IDs 65534 (nobody) for good, and
/// forbids new privileges (PR_SET_NO_NEW_PRIVS). The real group ID differs from the effective one, so that execve(2)
/// clears the dumpable attribute, and other processes of nobody cannot trace the program.
int csetup_become_nobody(void);

/// Provided because the Glibc module lacks memfd_create(2). Returns a descriptor that closes on exec.
int csetup_memory_file(void);

/// Provided because the Glibc module lacks signalfd(2). Blocks SIGINT, SIGQUIT, SIGTERM, SIGHUP and SIGTSTP, except
/// those that the process ignores, and SIGWINCH if `and_resizing`. Stores the previous mask. Returns a signalfd(2)
/// descriptor.
int csetup_watch_interruptions(int and_resizing, sigset_t *previous);

/// Provided because the Glibc module lacks struct signalfd_siginfo. Returns the next pending signal, or 0.
int csetup_next_interruption(int descriptor);

/// Provided because Swift does not import the macro SIG_DFL. Raises the signal with its default action, and restores
/// action and mask if the process continues.
void csetup_deliver(int number);

/// Provided because strict concurrency rejects SIG_IGN. Ignores SIGPIPE and SIGXFSZ, so that write(2) fails with EPIPE
/// or EFBIG, and the command undoes its changes.
void csetup_ignore_write_signals(void);

/// Provided because CommandLine.arguments is empty without /proc. Returns argument `index` (0 is the program name), or
/// NULL after the last.
const char *csetup_argument(int index);

/// Provided because the Glibc module lacks <crypt.h>. Writes a yescrypt setting with the salt `random` to `setting`
/// (CRYPT_GENSALT_OUTPUT_SIZE bytes).
int csetup_new_salt(const unsigned char *random, int count, char *setting);

/// Provided because the Glibc module lacks <sys/timex.h>. Returns 1 if the kernel clock is synchronized (adjtimex(2)),
/// 0 if not, -1 if unknown.
int csetup_clock_is_synchronized(void);

/// Provided because a damaged library can crash the process that loads it. Loads a library and looks up a symbol in a
/// child. Returns 0 on success, 1 with the text of dlerror(3) in `problem`, -1 if there is no child.
int csetup_try_library(const char *path, const char *symbol, char *problem, size_t size);

/// Provided because Swift has no fork(2). The child drops root's privileges for good, while the parent keeps them.
pid_t csetup_fork(void);

/// Provided because pipe2(2) needs _GNU_SOURCE. Both ends close on exec.
int csetup_pipe(int ends[2]);

/// Provided because close_range(2) needs _GNU_SOURCE. Makes every descriptor above standard error close on exec, also
/// inherited ones.
int csetup_close_on_exec(void);

/// Provided because posix_spawn_file_actions_addchdir_np(3) needs _GNU_SOURCE. Starts a program in the root directory.
/// Returns 0, or an error number.
int csetup_start_at_the_root(posix_spawn_file_actions_t *actions);

/// Provided because POSIX_SPAWN_SETSID needs _GNU_SOURCE: starts a program in a new session, without a controlling
/// terminal (posix_spawnattr_setflags(3)).
extern const short csetup_spawn_in_new_session;

/// Provided because openat2(2) has no wrapper. Opens a path with `root` as root directory, which symlinks and `..`
/// cannot leave. Returns a descriptor that closes on exec. ENOSYS before Linux 5.6.
int csetup_open_inside(const char *root, const char *path, int flags);

/// Provided because the Glibc module lacks <sys/prctl.h>. Clears PR_SET_DUMPABLE: no core dumps, not even to a handler
/// in core_pattern, and no access to the memory for the user's other processes.
void csetup_close_memory(void);

/// Provided because POLLRDHUP (poll(2)) needs _GNU_SOURCE. Returns 0 if the other end of a socket or pipe is closed,
/// else 1.
int csetup_has_peer(int descriptor);

/// Provided because the Glibc module lacks <sys/xattr.h>. Reads the SELinux context of a file (lgetxattr(2)), not
/// NUL-terminated. Returns its length.
long csetup_security_context(const char *path, char *context, size_t size);

/// Provided because statx(2) needs _GNU_SOURCE. Returns 1 if fscrypt encrypts the open file, else 0.
int csetup_is_encrypted(int file);

/// Provided because libpam reports only the result of the stack. Deletes earlier records, and records the return values
/// of the modules that libpam loads from now on (see modules.c).
void csetup_record_modules(void);

/// Provided because C keeps the records. Returns 1 with the record at `index`, in call order: file name of the module,
/// `auth` or `account`, return value. Returns 0 after the last one. The texts are valid until the next
/// csetup_record_modules().
int csetup_module_answer(int index, const char **name, const char **facility, int *answer);

/// Provided because deferred.c loads libqrencode on first use. Returns 1 if it loads, else 0.
int csetup_can_draw(void);

#endif

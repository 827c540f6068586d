/// The parts of the C library that the setup command needs and that Swift's Glibc module does not offer.

#ifndef CSETUP_H
#define CSETUP_H

#include <crypt.h>
#include <signal.h>
#include <sys/types.h>

/// Provided because setresuid(2) and setresgid(2) are declared only under _GNU_SOURCE. Sets the real, effective and
/// saved IDs. Returns 0, or -1 with errno set.
int csetup_set_identity(uid_t user, gid_t group);

/// Provided because getresuid(2) and getresgid(2) are declared only under _GNU_SOURCE. Returns 1 if the real, effective
/// and saved IDs are `user` and `group`, else 0.
int csetup_has_identity(uid_t user, gid_t group);

/// Provided because sigset_t macros and signalfd(2) are not in the Glibc module. Blocks SIGINT, SIGQUIT, SIGTERM,
/// SIGHUP and SIGTSTP, except those that the process ignores, and SIGWINCH if `and_resizing` is not 0. Stores the
/// previous mask. Returns a signalfd(2) descriptor for them, or -1 with errno set.
int csetup_watch_interruptions(int and_resizing, sigset_t *previous);

/// Provided because struct signalfd_siginfo is not in the Glibc module. Returns the number of the next pending signal,
/// or 0.
int csetup_next_interruption(int descriptor);

/// Provided because restoring the default action of a signal takes macros. Raises the signal with its default action.
/// Returns if the process was stopped and continued, or if it ignores the signal; action and mask are then as before.
void csetup_deliver(int number);

/// Provided because strict concurrency rejects SIG_IGN. Ignores SIGPIPE: write(2) then fails with EPIPE.
void csetup_ignore_broken_pipes(void);

/// Provided because CommandLine.arguments is empty without /proc. Returns the argument at `index`, counted from the
/// program name, or NULL after the last one.
const char *csetup_argument(int index);

/// Provided because the Glibc module does not include <crypt.h>. Writes a yescrypt setting with a salt made of `random`
/// to `setting` (CRYPT_GENSALT_OUTPUT_SIZE bytes). Returns 0, or -1 with errno set.
int csetup_new_salt(const unsigned char *random, int count, char *setting);

/// Provided because the Glibc module does not include <sys/timex.h>. Returns 1 if the kernel clock is synchronized
/// (adjtimex(2)), 0 if it is not, -1 if the kernel does not say.
int csetup_clock_is_synchronized(void);

/// Provided because Swift has no fork(2), and a damaged library can crash the process that loads it. Loads a library in
/// a child and looks up a symbol. Returns 0 if both succeed, 1 with the text of dlerror(3) in `problem`, or -1 if no
/// child can be started.
int csetup_try_library(const char *path, const char *symbol, char *problem, size_t size);

/// Provided because Swift has no fork(2): a child drops root's privileges for good while its parent keeps them.
pid_t csetup_fork(void);

/// Provided because pipe2(2) is declared only under _GNU_SOURCE. Both ends are closed on exec. Returns 0, or -1 with
/// errno set.
int csetup_pipe(int ends[2]);

/// Provided because POSIX_SPAWN_SETSID is declared only under _GNU_SOURCE: the flag of posix_spawnattr_setflags(3) that
/// starts a program in a new session, without a controlling terminal.
extern const short csetup_spawn_in_new_session;

/// Provided because openat2(2) has no wrapper. Opens a path as if `root` were the root directory: symlinks and `..` do
/// not lead outside. Returns a descriptor that is closed on exec, or -1 with errno set (ENOSYS before Linux 5.6).
int csetup_open_inside(const char *root, const char *path, int flags);

/// Provided because the Glibc module does not include <sys/prctl.h>. Sets PR_SET_DUMPABLE to 0: no core dump is made, not
/// even by a handler in core_pattern, and no other process of the user can read the memory.
void csetup_close_memory(void);

/// Provided because the Glibc module does not include <sys/xattr.h>. Reads the SELinux context of a file with
/// lgetxattr(2), without a terminating NUL. Returns its length, or -1 with errno set.
long csetup_security_context(const char *path, char *context, size_t size);

/// Provided because libpam does not tell what each module returned. Records the return values of the modules that libpam
/// loads from now on (see modules.c), and deletes earlier records.
void csetup_record_modules(void);

/// Provided because the records of csetup_record_modules() are kept in C. Returns 1 with the record at `index`, in call
/// order: the file name of the module, `auth` or `account`, and its return value. Returns 0 after the last one. Both
/// texts are valid until the next csetup_record_modules().
int csetup_module_answer(int index, const char **name, const char **facility, int *answer);

/// Provided because deferred.c loads libqrencode on first use. Returns 1 if it can be loaded, else 0.
int csetup_can_draw(void);

#endif

/// What the setup command needs of the C library and Swift's Glibc module does not offer. Every shim says
/// why it is here; the logic is in Swift.

#ifndef CSETUP_H
#define CSETUP_H

#include <crypt.h>
#include <signal.h>
#include <sys/types.h>

/// Provided because setresuid(2) and setresgid(2) are declared only under _GNU_SOURCE, which the Glibc
/// module does not define. Real, effective and saved ids become the given ones. Returns 0, or -1 with errno
/// set.
int csetup_set_identity(uid_t user, gid_t group);

/// Provided because getresuid(2) and getresgid(2) are declared only under _GNU_SOURCE. Returns 1 where all
/// six ids are the given ones, else 0.
int csetup_has_identity(uid_t user, gid_t group);

/// Provided because sigset_t macros and signalfd(2) are not in the Glibc module. Blocks the signals by
/// which a terminal or a supervisor interrupts a program (SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP), but for those
/// that the caller had it ignore, and SIGWINCH where and_resizing is not 0, keeps the mask that was there before in *previous, and returns a descriptor on which
/// they arrive, or -1 with errno set.
int csetup_watch_interruptions(int and_resizing, sigset_t *previous);

/// Provided because struct signalfd_siginfo is not in the Glibc module. The number of the next signal that
/// arrived at the descriptor, or 0 where none waits.
int csetup_next_interruption(int descriptor);

/// Provided because the default action of a signal takes four calls with macros to bring about. Gives the
/// signal its default action, delivers it to this process, and takes its action and mask back where the
/// process lives on (it was stopped and continued).
void csetup_deliver(int number);

/// Provided because the Glibc module does not offer SIG_IGN in a form that strict concurrency accepts.
/// Ignores SIGPIPE, so that a closed pipe is an error of write(2).
void csetup_ignore_broken_pipes(void);

/// Provided because Swift finds the arguments of the command line through /proc, and where that is not
/// there it finds none. The argument at `index`, counted from 0 for the name of the program; NULL behind
/// the last one.
const char *csetup_argument(int index);

/// Provided because the Glibc module does not include <crypt.h>. Writes the setting of a new yescrypt salt,
/// made of the given random bytes, to `setting` (CRYPT_GENSALT_OUTPUT_SIZE bytes). Returns 0, or -1 with
/// errno set.
int csetup_new_salt(const unsigned char *random, int count, char *setting);

/// Provided because the Glibc module does not include <sys/timex.h>. Whether the kernel counts its clock as kept right by
/// a time service (adjtimex(2)): 1 or 0, or -1 where it does not say. Changes nothing.
int csetup_clock_is_synchronized(void);

/// Provided because Swift has no fork(2), and a damaged library kills the process that loads it. Whether a library can
/// be loaded and has a symbol, tried in a child: 0; or 1, and dlerror(3)'s words for it; or -1 where no child can be made.
int csetup_try_library(const char *path, const char *symbol, char *problem, size_t size);

/// Provided because Swift has no fork(2): a process that gives up its rights cannot have them back, and an account's work
/// is done with the account's rights alone. As fork(2).
pid_t csetup_fork(void);

/// Provided because pipe2(2) is declared only under _GNU_SOURCE. A pipe whose two ends are closed in the programs that
/// this one starts. Returns 0, or -1 with errno set.
int csetup_pipe(int ends[2]);

/// Provided because POSIX_SPAWN_SETSID is declared only under _GNU_SOURCE: the flag of posix_spawnattr_setflags(3) by which
/// a program gets a session of its own, and with it no terminal.
extern const short csetup_spawn_in_new_session;

/// Provided because openat2(2) has no wrapper. Opens a path as a process would whose root directory is `root`: neither a
/// link nor `..` leads out of it, whatever is changed meanwhile. Returns a descriptor, closed on exec, or -1 with errno
/// set: ENOSYS where the kernel cannot.
int csetup_open_inside(const char *root, const char *path, int flags);

/// Provided because the Glibc module does not include <sys/prctl.h>. From here on the kernel keeps no picture of the memory
/// of this process, whatever handler there is for it, and no other process of its user may look into it
/// (PR_SET_DUMPABLE, prctl(2)).
void csetup_close_memory(void);

/// Provided because the Glibc module does not include <sys/xattr.h>. Reads the context that SELinux keeps with a file,
/// links not followed (lgetxattr(2)); no NUL is added where there is none. Returns its length, or -1 with errno set.
long csetup_security_context(const char *path, char *context, size_t size);

/// Provided because libpam does not say what each module answers. From here on the answers of modules that libpam
/// loads in this process are kept (see modules.c).
void csetup_record_modules(void);

/// The answer at `index`, in the order in which they were given: the file name of the module, `auth` or `account`, and
/// what its function returned. Both texts live until the next csetup_record_modules. Returns 1, or 0 behind the last.
int csetup_module_answer(int index, const char **name, const char **facility, int *answer);

/// Provided because libqrencode is loaded when it is called for the first time (see deferred.c). Whether it can be: 1 or 0.
int csetup_can_draw(void);

#endif

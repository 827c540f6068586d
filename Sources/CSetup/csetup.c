#define _GNU_SOURCE
#include "csetup.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/signalfd.h>
#include <sys/timex.h>
#include <sys/xattr.h>
#include <unistd.h>

int csetup_set_identity(uid_t user, gid_t group) {
  if (setresgid(group, group, group) != 0) return -1;
  /* A changed effective user ID sets the dumpable attribute to fs.suid_dumpable, which may be 1 (prctl(2)). While the
   * other user IDs are root's, the user cannot trace the process (ptrace(2)). */
  if (setresuid((uid_t)-1, user, (uid_t)-1) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0) return -1;
  return setresuid(user, user, user);
}

int csetup_become_nobody(void) {
  static const unsigned nobody = 65534, unused = 65533;
  if (setgroups(0, NULL) != 0 || setresgid(unused, nobody, nobody) != 0) return -1;
  /* In two steps, as above. */
  if (setresuid((uid_t)-1, nobody, (uid_t)-1) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0) return -1;
  return setresuid(nobody, nobody, nobody) != 0 ? -1 : prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int csetup_memory_file(void) { return memfd_create("twofactor", MFD_CLOEXEC); }

int csetup_has_identity(uid_t user, gid_t group) {
  uid_t ru, eu, su;
  gid_t rg, eg, sg;
  if (getresuid(&ru, &eu, &su) != 0 || getresgid(&rg, &eg, &sg) != 0) return 0;
  return ru == user && eu == user && su == user && rg == group && eg == group && sg == group;
}

int csetup_watch_interruptions(int and_resizing, sigset_t *previous) {
  static const int numbers[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP};
  sigset_t interruptions;
  sigemptyset(&interruptions);
  for (size_t index = 0; index < sizeof numbers / sizeof *numbers; index++) {
    struct sigaction action;
    if (sigaction(numbers[index], NULL, &action) == 0 && action.sa_handler == SIG_IGN) continue;
    sigaddset(&interruptions, numbers[index]);
  }
  if (and_resizing) sigaddset(&interruptions, SIGWINCH);
  if (sigprocmask(SIG_BLOCK, &interruptions, previous) != 0) return -1;
  int descriptor = signalfd(-1, &interruptions, SFD_NONBLOCK | SFD_CLOEXEC);
  if (descriptor < 0) {
    int error = errno;
    sigprocmask(SIG_SETMASK, previous, NULL);
    errno = error;
  }
  return descriptor;
}

int csetup_next_interruption(int descriptor) {
  struct signalfd_siginfo information;
  ssize_t count = read(descriptor, &information, sizeof information);
  return count == (ssize_t)sizeof information ? (int)information.ssi_signo : 0;
}

void csetup_deliver(int number) {
  struct sigaction action = {0}, before;
  sigset_t one, mask;
  action.sa_handler = SIG_DFL;
  if (sigaction(number, NULL, &before) != 0 || before.sa_handler == SIG_IGN) return;
  sigaction(number, &action, &before);
  sigemptyset(&one);
  sigaddset(&one, number);
  raise(number);
  sigprocmask(SIG_UNBLOCK, &one, &mask);
  sigprocmask(SIG_SETMASK, &mask, NULL);
  sigaction(number, &before, NULL);
}

static int argument_count;
static char **arguments;

/* glibc passes main()'s arguments to constructors. */
__attribute__((constructor)) static void keep_arguments(int count, char **values) {
  argument_count = count;
  arguments = values;
}

const char *csetup_argument(int index) {
  return index >= 0 && index < argument_count ? arguments[index] : NULL;
}

void csetup_ignore_write_signals(void) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
}

int csetup_new_salt(const unsigned char *random, int count, char *setting) {
  return crypt_gensalt_rn("$y$", 0, (const char *)random, count, setting, CRYPT_GENSALT_OUTPUT_SIZE) ? 0 : -1;
}

int csetup_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

/* For kernels without CLOSE_RANGE_CLOEXEC (Linux 5.11). */
static int close_each_on_exec(void) {
  DIR *directory = opendir("/proc/self/fd");
  int result = directory ? 0 : -1;
  for (struct dirent *entry; directory && (entry = readdir(directory));) {
    int descriptor = atoi(entry->d_name);
    if (descriptor > STDERR_FILENO && fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0) result = -1;
  }
  if (directory) closedir(directory);
  return result;
}

int csetup_close_on_exec(void) {
  long result = syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  return result == 0 ? 0 : close_each_on_exec();
}

int csetup_start_at_the_root(posix_spawn_file_actions_t *actions) {
  return posix_spawn_file_actions_addchdir_np(actions, "/");
}

const short csetup_spawn_in_new_session = POSIX_SPAWN_SETSID;

int csetup_open_inside(const char *root, const char *path, int flags) {
  struct open_how how = {
      .flags = (unsigned long long)(flags | O_CLOEXEC | (flags & O_PATH ? 0 : O_NOCTTY)),
      .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
  };
  int directory = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), file;
  if (directory < 0) return -1;
  int tries = 100; /* EAGAIN: a part of the path was renamed meanwhile */
  do {
    file = (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
  } while (file < 0 && (errno == EINTR || errno == EAGAIN) && --tries > 0);
  int error = errno;
  close(directory);
  errno = error;
  return file;
}

int csetup_has_peer(int descriptor) {
  struct pollfd entry = {.fd = descriptor, .events = POLLRDHUP};
  return poll(&entry, 1, 0) == 0;
}

void csetup_close_memory(void) { prctl(PR_SET_DUMPABLE, 0); }

pid_t csetup_fork(void) { return fork(); }

int csetup_clock_is_synchronized(void) {
  struct timex clock = {0};
  int state = adjtimex(&clock);
  if (state < 0) return -1;
  return state != TIME_ERROR && !(clock.status & STA_UNSYNC);
}

int csetup_try_library(const char *path, const char *symbol, char *problem, size_t size) {
  int ends[2], status = 0;
  if (size == 0 || pipe(ends) != 0) return -1;
  pid_t child = fork();
  if (child < 0) {
    close(ends[0]);
    close(ends[1]);
    return -1;
  }
  if (child == 0) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library && dlsym(library, symbol)) _exit(0);
    const char *words = dlerror();
    if (words) dprintf(ends[1], "%s", words);
    _exit(1);
  }
  close(ends[1]);
  size_t count = 0;
  ssize_t more;
  while ((more = read(ends[0], problem + count, size - 1 - count)) > 0 || (more < 0 && errno == EINTR)) {
    if (more > 0) count += (size_t)more;
  }
  problem[count] = '\0';
  close(ends[0]);
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
  if (count == 0) snprintf(problem, size, "it is damaged");
  return 1;
}

long csetup_security_context(const char *path, char *context, size_t size) {
  return (long)lgetxattr(path, "security.selinux", context, size);
}

int csetup_is_encrypted(int file) {
  struct statx status;
  return statx(file, "", AT_EMPTY_PATH, 0, &status) == 0 && (status.stx_attributes & STATX_ATTR_ENCRYPTED) != 0;
}

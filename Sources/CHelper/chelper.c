#define _GNU_SOURCE
#include "chelper.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <unistd.h>

static int argument_count;

/* glibc passes main()'s arguments to constructors. */
__attribute__((constructor)) static void keep_argument_count(int count, char **values) {
  (void)values;
  argument_count = count;
}

int chelper_argument_count(void) { return argument_count; }

int chelper_close_memory(void) {
  const struct rlimit none = {0, 0};
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return -1;
  return setrlimit(RLIMIT_CORE, &none);
}

int chelper_reset_limits(void) {
  static const int limits[] = {RLIMIT_AS,    RLIMIT_CPU,   RLIMIT_DATA,    RLIMIT_FSIZE, RLIMIT_MEMLOCK,
                               RLIMIT_NOFILE, RLIMIT_RSS, RLIMIT_STACK};
  for (size_t index = 0; index < sizeof limits / sizeof limits[0]; index++) {
    struct rlimit limit;
    if (getrlimit(limits[index], &limit) != 0) return -1;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(limits[index], &limit) != 0) return -1;
    if (limits[index] == RLIMIT_FSIZE && limit.rlim_max < 1 << 20) return -1;
  }
  return 0;
}

void chelper_reset_signals(void) {
  sigset_t none;
  /* Fails for signals that cannot be caught or belong to the C library. */
  for (int number = 1; number <= SIGRTMAX; number++) signal(number, SIG_DFL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

int chelper_become_real_user(void) {
  uid_t user = getuid();
  return setresuid(user, user, user);
}

int chelper_is_open(int descriptor, int writing) {
  int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0 || flags & O_PATH) return 0;
  int mode = flags & O_ACCMODE;
  return mode == O_RDWR || mode == (writing ? O_WRONLY : O_RDONLY);
}

void chelper_close_others(void) {
#ifdef SYS_close_range
  if (syscall(SYS_close_range, 3U, ~0U, 0U) == 0) return;
#endif
  for (int descriptor = 3; descriptor < 65536; descriptor++) close(descriptor);
}

void chelper_clear_environment(void) { clearenv(); }

void chelper_execute(const char *path) {
  char name[] = "twofactor-store", *arguments[] = {name, NULL}, *environment[] = {NULL};
  execve(path, arguments, environment);
}

void chelper_log(const char *text) {
  openlog("twofactor-helper", 0, LOG_AUTHPRIV);
  syslog(LOG_INFO, "%s", text);
  closelog();
}

// caller [-u NAME] [-o STATE]... PATH REQUEST TIMEOUT CAPACITY: calls csystem_run_helper() with a request of REQUEST
// bytes, in a host with these states, as the account NAME. Prints the result, and each effect on the host.
//
//   handler   a handler of SIGCHLD, which waits for all children
//   ignored   SIGCHLD is ignored
//   reaper    a thread waits for all children all the time; `all` with __WALL
//   child     the host has a child of its own, which ends meanwhile
//   closed    descriptors 0 to 2 are closed
//   files     RLIMIT_NOFILE leaves room for two descriptors
//   full      RLIMIT_NOFILE leaves room for one
//   threads   eight threads call at once
//   blocked   all signals are blocked
//   storm     a timer sends SIGALRM every 2 ms

#define _GNU_SOURCE
#include <csystem.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <sys/wait.h>

static atomic_int noticed, reaped, alarms;

static void on_child(int number) {
  (void)number;
  int saved = errno;
  noticed++;
  while (waitpid(-1, NULL, WNOHANG) > 0) reaped++;
  errno = saved;
}

static void on_alarm(int number) {
  (void)number;
  alarms++;
}

static void *reap(void *options) {
  for (;;) {
    if (waitpid(-1, NULL, (int)(intptr_t)options) > 0) reaped++;
    usleep(100);
  }
  return NULL;
}

static int descriptors(void) {
  int count = 0;
  for (int descriptor = 0; descriptor < 256; descriptor++) count += fcntl(descriptor, F_GETFD) >= 0;
  return count;
}

static char **words;
static struct csystem_account account;
static size_t capacity;

struct result {
  int64_t count;
  int error;
  uint8_t *answer;
};

static void *call(void *memory) {
  struct result *result = memory;
  size_t length = strtoul(words[1], NULL, 10);
  uint8_t *request = malloc(length + 1);
  memset(request, 'x', length);
  result->answer = malloc(capacity + 1);
  result->count =
      csystem_run_helper(words[0], NULL, &account, request, length, result->answer, capacity, (int)strtol(words[2], NULL, 10));
  result->error = result->count < 0 ? errno : 0;
  free(request);
  return NULL;
}

int main(int count, char **arguments) {
  int option, threads = 1, out = fcntl(1, F_DUPFD_CLOEXEC, 100), closed = 0;
  pid_t child = 0;
  long files = 0;
  while ((option = getopt(count, arguments, "+o:u:")) != -1) {
    pthread_t thread;
    if (option == 'u') {
      struct passwd *entry = getpwnam(optarg);
      account = (struct csystem_account){optarg, entry->pw_uid, entry->pw_gid};
      continue;
    }
    if (strcmp(optarg, "handler") == 0) signal(SIGCHLD, on_child);
    if (strcmp(optarg, "ignored") == 0) signal(SIGCHLD, SIG_IGN);
    if (strcmp(optarg, "reaper") == 0) pthread_create(&thread, NULL, reap, NULL);
    if (strcmp(optarg, "all") == 0) pthread_create(&thread, NULL, reap, (void *)(intptr_t)__WALL);
    if (strcmp(optarg, "child") == 0 && (child = fork()) == 0) {
      usleep(20000);
      _exit(7);
    }
    if (strcmp(optarg, "closed") == 0) closed = 1;
    if (strcmp(optarg, "files") == 0) files = 2;
    if (strcmp(optarg, "full") == 0) files = 1;
    if (strcmp(optarg, "threads") == 0) threads = 8;
    if (strcmp(optarg, "blocked") == 0) {
      sigset_t all;
      sigfillset(&all);
      sigprocmask(SIG_SETMASK, &all, NULL);
    }
    if (strcmp(optarg, "storm") == 0) {
      struct itimerval often = {{0, 2000}, {0, 2000}};
      signal(SIGALRM, on_alarm);
      setitimer(ITIMER_REAL, &often, NULL);
    }
  }
  words = arguments + optind;
  capacity = strtoul(words[3], NULL, 10);
  if (closed) {
    close(0);
    close(1);
    close(2);
  }
  if (files) {
    int next = dup(out);
    close(next);
    /* The sockets may not be standard descriptors. */
    rlim_t bound = (rlim_t)(next < 3 ? 3 : next) + (rlim_t)files;
    struct rlimit limit = {bound, bound};
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  int before = descriptors();
  struct sigaction action, later;
  sigset_t mask = {0}, mask_later = {0};
  sigaction(SIGCHLD, NULL, &action);
  pthread_sigmask(SIG_SETMASK, NULL, &mask);
  struct result results[8] = {0};
  pthread_t running[8];
  for (int i = 1; i < threads; i++) pthread_create(&running[i], NULL, call, &results[i]);
  call(&results[0]);
  for (int i = 1; i < threads; i++) pthread_join(running[i], NULL);
  sigaction(SIGCHLD, NULL, &later);
  pthread_sigmask(SIG_SETMASK, NULL, &mask_later);

  int status = 0, own = 0;
  if (child > 0) own = waitpid(child, &status, 0) == child ? WEXITSTATUS(status) : -errno;
  int left = waitpid(-1, NULL, WNOHANG | __WALL);
  for (int i = 0; i < threads; i++) {
    dprintf(out, "count=%lld error=%s answer=", (long long)results[i].count, strerrorname_np(results[i].error));
    for (int64_t j = 0; j < results[i].count && j < 4000; j++) dprintf(out, "%02x", results[i].answer[j]);
    dprintf(out, "\n");
  }
  dprintf(out, "noticed=%d reaped=%d own=%d left=%d descriptors=%d same=%d stormed=%d\n", noticed, reaped, own, left,
          descriptors() - before,
          action.sa_handler == later.sa_handler && memcmp(&mask, &mask_later, sizeof mask) == 0, alarms > 0);
  return 0;
}

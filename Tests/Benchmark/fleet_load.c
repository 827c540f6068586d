// Logs many users in at a given rate, and measures each login.
//
//   fleet_load CONFDIR SERVICE RATE
//
// Reads lines of USER ANSWER. Logs each user in through libpam in a process of its own, as sshd does, RATE logins a
// second at random moments. Prints a line for each login: NUMBER STATUS NANOSECONDS PROCESSOR-NANOSECONDS STARTED
//
// The time of a login begins when it should have started, so a machine that cannot keep up shows long times. The
// processor time includes the programs that the module started. STARTED is the time since the first login.

#define _GNU_SOURCE
#include <errno.h>
#include <security/pam_appl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 100000, AT_ONCE = 400, WORD = 128 };

struct login {
  char user[WORD], answer[WORD];
  int64_t due;
  pid_t process;
};

static struct login logins[MOST];

static void die(const char *what) {
  fprintf(stderr, "fleet_load: %s: %s\n", what, strerror(errno));
  exit(2);
}

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static int64_t nanoseconds(struct timeval time) {
  return time.tv_sec * INT64_C(1000000000) + time.tv_usec * INT64_C(1000);
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *context) {
  const struct login *login = context;
  *responses = calloc((size_t)count, sizeof **responses);
  if (!*responses) return PAM_BUF_ERR;
  for (int i = 0; i < count; i++) {
    int style = messages[i]->msg_style;
    if (style == PAM_PROMPT_ECHO_OFF || style == PAM_PROMPT_ECHO_ON) (*responses)[i].resp = strdup(login->answer);
  }
  return PAM_SUCCESS;
}

// The delay that a module requests after a refusal is not part of its cost.
static void skip_delay(int status, unsigned microseconds, void *context) {
  (void)status, (void)microseconds, (void)context;
}

static int log_in(struct login *login, const char *services, const char *service) {
  struct pam_conv conversation = {converse, login};
  union {
    void (*function)(int, unsigned, void *);
    const void *item;
  } delay = {.function = skip_delay};
  pam_handle_t *handle = NULL;
  int status = pam_start_confdir(service, login->user, &conversation, services, &handle);
  if (status != PAM_SUCCESS) return status;
  pam_set_item(handle, PAM_FAIL_DELAY, delay.item);
  status = pam_authenticate(handle, 0);
  pam_end(handle, status);
  return status;
}

// Takes ended processes; waits for one if `blocks`. Returns how many ended.
static int reap(int count, int64_t start, int options) {
  int ended = 0, status;
  struct rusage usage;
  for (pid_t process; (process = wait4(-1, &status, ended ? WNOHANG : options, &usage)) > 0; ended++) {
    int64_t end = now();
    for (int i = 0; i < count; i++) {
      if (logins[i].process != process) continue;
      logins[i].process = 0;
      printf(
        "%d %d %lld %lld %lld\n", i, WIFEXITED(status) ? WEXITSTATUS(status) : -1, (long long)(end - logins[i].due),
        (long long)(nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime)), (long long)(logins[i].due - start));
    }
  }
  return ended;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  double rate = atof(argv[3]);
  int count = 0, running = 0;
  while (count < MOST && scanf("%127s %127s", logins[count].user, logins[count].answer) == 2) count++;
  int64_t start = now();
  srand48(getpid());
  for (int i = 0; i < count; i++) {
    logins[i].due = start + (int64_t)((i + drand48()) / rate * 1e9);
    for (int64_t left; (left = logins[i].due - now()) > 0;) {
      running -= reap(i, start, WNOHANG);
      usleep(left > 1000000 ? 500 : (useconds_t)(left / 1000));
    }
    while (running >= AT_ONCE) running -= reap(i, start, 0);
    if ((logins[i].process = fork()) < 0) die("fork");
    if (logins[i].process == 0) _exit(log_in(&logins[i], argv[1], argv[2]));
    running++;
  }
  while (running > 0) running -= reap(count, start, 0);
  return 0;
}

// Logs in through libpam and measures the cost of each login.
//
//   host CONFDIR
//
// Reads one order per line and answers each with one line:
//
//   fork SERVICE USER ANSWER    a login in its own process, as in sshd: STATUS NANOSECONDS CPU-NANOSECONDS
//   here SERVICE USER ANSWER    a login in this process, which may have loaded the module before: likewise
//   weigh SERVICE USER ANSWER   a login in its own process: STATUS KIB, the growth of its memory
//   together SERVICE COUNT      COUNT logins, each in its own process, released at once: ACCEPTED NANOSECONDS from
//                               the release to the last answer. COUNT lines of USER ANSWER follow.
//
// A login lasts from pam_start to pam_end. With WITH_LIBCRYPTO the program uses libcrypto before the first login, like
// sshd; without, it resembles login, su or sudo.

#define _GNU_SOURCE
#include <errno.h>
#include <security/pam_appl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_LIBCRYPTO
#include <openssl/evp.h>
#include <openssl/rand.h>
#endif

enum { MOST_AT_ONCE = 1024, WORD = 128 };

struct order {
  char service[WORD], user[WORD], answer[WORD];
};

struct result {
  int status;
  int64_t elapsed, processor, finished;
  long kibibytes;
};

static const char *services;

static void die(const char *what) {
  fprintf(stderr, "host: %s: %s\n", what, strerror(errno));
  exit(2);
}

static int64_t now(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *context) {
  const struct order *order = context;
  *responses = calloc((size_t)count, sizeof **responses);
  if (!*responses) return PAM_BUF_ERR;
  for (int i = 0; i < count; i++) {
    int style = messages[i]->msg_style;
    if (style == PAM_PROMPT_ECHO_OFF || style == PAM_PROMPT_ECHO_ON) (*responses)[i].resp = strdup(order->answer);
  }
  return PAM_SUCCESS;
}

// The delay that a module requests is not part of its cost.
static void skip_delay(int status, unsigned microseconds, void *context) {
  (void)status, (void)microseconds, (void)context;
}

// The resident size of this process in KiB.
static long resident(void) {
  FILE *file = fopen("/proc/self/statm", "re");
  long all = 0, pages = 0;
  if (!file || fscanf(file, "%ld %ld", &all, &pages) != 2) die("/proc/self/statm");
  fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

// A failing call that is visible in a trace.
static void mark(const char *name) {
  if (write(-1, name, strlen(name)) >= 0) die("a write to no file");
}

static struct result log_in(const struct order *order, bool weighs, bool marks) {
  struct pam_conv conversation = {converse, (void *)order};
  union {
    void (*function)(int, unsigned, void *);
    const void *item;
  } delay = {.function = skip_delay};
  pam_handle_t *handle = NULL;
  long before = weighs ? resident() : 0;
  struct result result = {0};
  if (marks) mark("login begins");
  int64_t started = now(CLOCK_MONOTONIC), processor = now(CLOCK_PROCESS_CPUTIME_ID);
  result.status = pam_start_confdir(order->service, order->user, &conversation, services, &handle);
  if (result.status == PAM_SUCCESS) {
    pam_set_item(handle, PAM_FAIL_DELAY, delay.item);
    result.status = pam_authenticate(handle, 0);
    if (weighs) result.kibibytes = resident() - before;
    pam_end(handle, result.status);
  }
  result.finished = now(CLOCK_MONOTONIC);
  result.processor = now(CLOCK_PROCESS_CPUTIME_ID) - processor;
  result.elapsed = result.finished - started;
  if (marks) mark("login ends");
  return result;
}

static struct result *shared_memory(void) {
  size_t size = MOST_AT_ONCE * sizeof(struct result);
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) die("shared memory");
  return memory;
}

static struct result log_in_apart(const struct order *order, bool weighs, struct result *shared) {
  *shared = (struct result){.status = -1};
  pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    *shared = log_in(order, weighs, false);
    _exit(0);
  }
  if (waitpid(child, NULL, 0) != child) die("waitpid");
  return *shared;
}

static void log_in_together(int count, struct order *orders, struct result *shared) {
  int gate[2], arrival[2];
  char byte = 0;
  if (count < 1 || count > MOST_AT_ONCE || pipe(gate) != 0 || pipe(arrival) != 0) die("too many at once");
  for (int i = 0; i < count; i++) {
    pid_t child = fork();
    if (child < 0) die("fork");
    if (child) continue;
    close(gate[1]);
    if (write(arrival[1], &byte, 1) != 1) _exit(1);
    // The parent closes the other end, which releases all processes at once.
    while (read(gate[0], &byte, 1) < 0 && errno == EINTR) continue;
    shared[i] = log_in(&orders[i], false, false);
    _exit(0);
  }
  for (int i = 0; i < count; i++)
    if (read(arrival[0], &byte, 1) != 1) die("a login did not arrive");
  int64_t released = now(CLOCK_MONOTONIC), last = released;
  close(gate[1]);
  int accepted = 0;
  while (wait(NULL) > 0) continue;
  for (int i = 0; i < count; i++) {
    accepted += shared[i].status == PAM_SUCCESS;
    if (shared[i].finished > last) last = shared[i].finished;
  }
  close(gate[0]), close(arrival[0]), close(arrival[1]);
  printf("%d %lld\n", accepted, (long long)(last - released));
}

static void use_libcrypto(void) {
#ifdef WITH_LIBCRYPTO
  unsigned char bytes[32], digest[EVP_MAX_MD_SIZE];
  size_t length = 0;
  if (RAND_bytes(bytes, sizeof bytes) != 1 || !EVP_Q_digest(NULL, "SHA256", NULL, bytes, sizeof bytes, digest, &length))
    die("libcrypto");
#endif
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  services = argv[1];
  use_libcrypto();
  struct result *shared = shared_memory();
  static struct order orders[MOST_AT_ONCE];
  char line[4 * WORD], word[WORD];
  setvbuf(stdout, NULL, _IOLBF, 0);
  while (fgets(line, sizeof line, stdin)) {
    struct order order = {0};
    int count = 0;
    if (sscanf(line, "together %127s %d", order.service, &count) == 2) {
      if (count > MOST_AT_ONCE) die("too many at once");
      for (int i = 0; i < count; i++) {
        orders[i] = order;
        if (!fgets(line, sizeof line, stdin) || sscanf(line, "%127s %127s", orders[i].user, orders[i].answer) != 2)
          die("an order");
      }
      log_in_together(count, orders, shared);
      continue;
    }
    if (sscanf(line, "%127s %127s %127s %127s", word, order.service, order.user, order.answer) != 4) die("an order");
    bool weighs = !strcmp(word, "weigh"), here = !strcmp(word, "here");
    struct result result = here ? log_in(&order, false, true) : log_in_apart(&order, weighs, shared);
    if (weighs)
      printf("%d %ld\n", result.status, result.kibibytes);
    else
      printf("%d %lld %lld\n", result.status, (long long)result.elapsed, (long long)result.processor);
  }
  return 0;
}

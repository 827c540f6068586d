// Uses a PAM module many times in one process.
//
//   endurance cycles N MODULE                     N times: load and unload; some in child processes
//   endurance threads N CONFDIR SERVICE USER CODE N logins in each of eight threads, with two handles at once
//   endurance repeat N CONFDIR SERVICE USER CODE [STATE]
//                                                 N logins; restores the file STATE before each
//   endurance flip COUNT CONFDIR SERVICE USER CODE STATE OFFSET…
//                                                 COUNT logins, each with the next bit after every OFFSET of the file
//                                                 STATE flipped
//   endurance cut N CONFDIR SERVICE USER CODE STATE
//                                                 N logins, with the file STATE truncated to 0 … N-1 bytes
//
// Prints `result` with the number of each return value. After a tenth of the logins and at the end, prints `memory`:
// anonymous and mapped memory in KiB. Exits with 1 if a child process failed.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8, STATUSES = 64 };

static const char *directory, *service, *user, *code;
static int results[STATUSES], times;

static int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *context) {
  (void)context;
  *responses = calloc((size_t)count, sizeof **responses);
  for (int i = 0; i < count; i++)
    if (messages[i]->msg_style == PAM_PROMPT_ECHO_OFF) (*responses)[i].resp = strdup(code);
  return PAM_SUCCESS;
}

static void no_delay(int status, unsigned microseconds, void *context) {
  (void)status, (void)microseconds, (void)context;
}

static pam_handle_t *begin(void) {
  static const struct pam_conv conversation = {converse, NULL};
  union {
    void (*function)(int, unsigned, void *);
    const void *item;
  } delay = {.function = no_delay};
  pam_handle_t *handle = NULL;
  if (pam_start_confdir(service, user, &conversation, directory, &handle) != PAM_SUCCESS) exit(2);
  pam_set_item(handle, PAM_FAIL_DELAY, delay.item);
  return handle;
}

static void authenticate(pam_handle_t *handle) {
  int status = pam_authenticate(handle, 0);
  __atomic_add_fetch(&results[status % STATUSES], 1, __ATOMIC_SEQ_CST);
  pam_end(handle, status);
}

static void *work(void *context) {
  for (int i = 0; i < times; i++) {
    pam_handle_t *one = begin(), *other = begin();
    authenticate(one);
    authenticate(other);
  }
  return context;
}

// The resident size in /proc/self/statm is approximate, since each processor counts its own part.
static void say_memory(void) {
  long own = -1, mapped = -1;
  char line[256];
  FILE *file = fopen("/proc/self/smaps_rollup", "re");
  while (file && fgets(line, sizeof line, file)) sscanf(line, "Anonymous: %ld", &own);
  if (file) fclose(file);
  file = fopen("/proc/self/statm", "re");
  if (!file || fscanf(file, "%ld", &mapped) != 1 || own < 0) exit(2);
  fclose(file);
  printf("memory %ld %ld\n", own, mapped * (sysconf(_SC_PAGESIZE) / 1024));
}

static void load(const char *module) {
  void *library = dlopen(module, RTLD_NOW | RTLD_LOCAL);
  if (!library || !dlsym(library, "pam_sm_authenticate")) {
    fprintf(stderr, "endurance: %s\n", dlerror());
    exit(2);
  }
  dlclose(library);
}

static void in_a_child(const char *module) {
  fflush(stdout);
  pid_t child = fork();
  int status;
  if (child == 0) {
    load(module);
    exit(0);
  }
  if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) exit(1);
}

static void cycle(const char *module) {
  in_a_child(module);
  for (int i = 0; i < times; i++) {
    load(module);
    if (i == times / 10) say_memory();
    if (i % 100 == 0) in_a_child(module);
  }
}

static unsigned char content[16384];

// Opens the file and saves its content.
static int open_state(const char *state, ssize_t *length) {
  int file = open(state, O_RDWR | O_CLOEXEC);
  if (file < 0 || (*length = pread(file, content, sizeof content, 0)) <= 0) exit(2);
  return file;
}

static void put(int file, const unsigned char *bytes, ssize_t length) {
  if (ftruncate(file, length) || pwrite(file, bytes, (size_t)length, 0) != length) exit(2);
}

static void flip(const char *state, char **offsets) {
  static unsigned char changed[sizeof content];
  ssize_t length;
  int file = open_state(state, &length);
  for (int bit = 0; bit < times; bit++) {
    memcpy(changed, content, sizeof content);
    for (char **offset = offsets; *offset; offset++) changed[atoi(*offset) + bit / 8] ^= (unsigned char)(1 << bit % 8);
    put(file, changed, length);
    authenticate(begin());
  }
}

static void cut(const char *state) {
  ssize_t length;
  int file = open_state(state, &length);
  for (int at = 0; at < times; at++) {
    put(file, content, at);
    authenticate(begin());
  }
}

static void repeat(const char *state) {
  ssize_t length = 0;
  int file = state ? open_state(state, &length) : -1;
  for (int i = 0; i < times; i++) {
    if (state) put(file, content, length);
    authenticate(begin());
    if (i == times / 10) say_memory();
  }
  say_memory();
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  times = atoi(argv[2]);
  if (!strcmp(argv[1], "cycles")) {
    cycle(argv[3]);
    say_memory();
    return 0;
  }
  if (argc < 7) return 2;
  directory = argv[3], service = argv[4], user = argv[5], code = argv[6];
  if (!strcmp(argv[1], "threads")) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
      if (pthread_create(&threads[i], NULL, work, NULL)) return 2;
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  } else if (!strcmp(argv[1], "flip") && argc > 8) {
    flip(argv[7], argv + 8);
  } else if (!strcmp(argv[1], "cut") && argc > 7) {
    cut(argv[7]);
  } else {
    repeat(argv[7]);
  }
  for (int i = 0; i < STATUSES; i++)
    if (results[i]) printf("result %d %d\n", i, results[i]);
  return 0;
}

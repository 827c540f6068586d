// Logs in with wrong codes, and compares capabilities, parent-death signal, dumpable attribute and secure bits before
// and after each login.
//
//   attributes [OPTION…] CONFDIR SERVICE USER CODE
//
//   -a WORD   an attribute of the process: `dropped` (CAP_DAC_OVERRIDE not in effect), `ambient` (an inheritable and
//             ambient capability), `kept` (SECBIT_NO_SETUID_FIXUP), `signal` (SIGTERM at the death of the parent),
//             `secret` (not dumpable)
//   -t COUNT  log in in COUNT threads at once; odd ones have CAP_FOWNER not in effect, too
//   -n TIMES  logins of each thread
//   -o        log in in a child; its parent exits after half a second
//
// Prints one line per thread: `same`, or the attributes before and after the first login that changed them; then
// `alive`.

#define _GNU_SOURCE
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *directory, *service, *user, *code;
static int times = 1, checks_dumpable = 1;

static void die(const char *what) {
  perror(what);
  exit(2);
}

static void get_capabilities(struct __user_cap_data_struct *sets) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  if (syscall(SYS_capget, &header, sets)) die("capget");
}

static void set_capabilities(const struct __user_cap_data_struct *sets) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  if (syscall(SYS_capset, &header, sets)) die("capset");
}

static void drop(int capability) {
  struct __user_cap_data_struct sets[2];
  get_capabilities(sets);
  sets[CAP_TO_INDEX(capability)].effective &= ~CAP_TO_MASK(capability);
  set_capabilities(sets);
}

static void set_attribute(const char *word) {
  struct __user_cap_data_struct sets[2];
  if (!strcmp(word, "dropped")) {
    drop(CAP_DAC_OVERRIDE);
  } else if (!strcmp(word, "ambient")) {
    get_capabilities(sets);
    sets[0].inheritable |= CAP_TO_MASK(CAP_DAC_READ_SEARCH);
    set_capabilities(sets);
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH, 0, 0)) die("ambient");
  } else if (!strcmp(word, "kept")) {
    if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)) die("secure bits");
  } else if (!strcmp(word, "signal")) {
    if (prctl(PR_SET_PDEATHSIG, SIGTERM)) die("parent-death signal");
  } else if (!strcmp(word, "secret")) {
    if (prctl(PR_SET_DUMPABLE, 0)) die("dumpable");
  } else {
    die(word);
  }
}

static void describe(char *text, size_t size) {
  struct __user_cap_data_struct sets[2];
  int death_signal = -1, ambient = 0;
  get_capabilities(sets);
  if (prctl(PR_GET_PDEATHSIG, &death_signal)) die("parent-death signal");
  for (int i = 0; i <= CAP_LAST_CAP; i++) ambient += prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1;
  snprintf(text, size,
           "effective %08x%08x permitted %08x%08x inheritable %08x%08x ambient %d signal %d dumpable %d bits %d",
           sets[1].effective, sets[0].effective, sets[1].permitted, sets[0].permitted, sets[1].inheritable,
           sets[0].inheritable, ambient, death_signal, checks_dumpable ? prctl(PR_GET_DUMPABLE) : 0,
           prctl(PR_GET_SECUREBITS));
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *context) {
  (void)context;
  *responses = calloc((size_t)count, sizeof **responses);
  for (int i = 0; i < count; i++)
    if (messages[i]->msg_style == PAM_PROMPT_ECHO_OFF) (*responses)[i].resp = strdup(code);
  return PAM_SUCCESS;
}

/* libpam waits two seconds after a failure. */
static void no_delay(int status, unsigned microseconds, void *context) {
  (void)status, (void)microseconds, (void)context;
}

static void *log_in(void *context) {
  union {
    void (*function)(int, unsigned, void *);
    const void *item;
  } delay = {.function = no_delay};
  char before[400], after[400];
  if ((long)context % 2) drop(CAP_FOWNER);
  describe(before, sizeof before);
  for (int i = 0; i < times; i++) {
    struct pam_conv callbacks = {converse, NULL};
    pam_handle_t *handle = NULL;
    if (pam_start_confdir(service, user, &callbacks, directory, &handle) != PAM_SUCCESS) die("pam_start_confdir");
    pam_set_item(handle, PAM_FAIL_DELAY, delay.item);
    int status = pam_authenticate(handle, 0);
    pam_end(handle, status);
    describe(after, sizeof after);
    if (status == PAM_SUCCESS || !strcmp(before, after)) continue;
    printf("%s\n%s\n", before, after);
    return NULL;
  }
  puts("same");
  return NULL;
}

int main(int argc, char **argv) {
  int option, threads = 0, in_a_child = 0;
  const char *words[8];
  int count = 0;
  while ((option = getopt(argc, argv, "a:t:n:o")) != -1) switch (option) {
    case 'a': words[count++ % 8] = optarg; break;
    case 't': threads = atoi(optarg); break;
    case 'n': times = atoi(optarg); break;
    case 'o': in_a_child = 1; break;
    default: return 2;
    }
  if (argc - optind != 4) return 2;
  directory = argv[optind], service = argv[optind + 1], user = argv[optind + 2], code = argv[optind + 3];

  if (in_a_child && fork() != 0) {
    usleep(500000);
    _exit(0);
  }
  for (int i = 0; i < count; i++) set_attribute(words[i]);
  if (threads == 0) log_in((void *)0);
  /* The dumpable attribute belongs to the process: threads that log in at once change it for each other. */
  checks_dumpable = threads == 0;
  pthread_t started[64];
  for (long i = 0; i < threads; i++)
    if (pthread_create(&started[i], NULL, log_in, (void *)i)) die("pthread_create");
  for (int i = 0; i < threads; i++) pthread_join(started[i], NULL);
  puts("alive");
  return 0;
}

// Logs in through the real libpam, with scripted replies.
//
//   login [OPTION…] CONFDIR SERVICE <SCRIPT
//
//   -r HOST   the remote host (PAM_RHOST)
//   -t TTY    the terminal (PAM_TTY)
//   -f FLAGS  flags of pam_authenticate and pam_acct_mgmt, as a number
//   -n TIMES  repeat each login of the script
//   -o        at once: each login in its own process; all wait at their first prompt until the last one
//             arrives, and are released together
//   -a        after a successful pam_authenticate, call pam_acct_mgmt
//   -A        call pam_acct_mgmt without pam_authenticate
//   -c        after a successful login, call pam_setcred with each of its flags; print the first failure
//   -m        mark in the system calls where a reply begins and where pam_authenticate returns
//   -w FILE   create FILE.asked at the first prompt, and reply once FILE exists
//   -x        fail every message that is no prompt, with PAM_CONV_ERR and no response
//   -s        print the state of the process before the login, at the prompt, and after
//
// A script has a line `user HEX` for each login, followed by one line for each prompt:
//
//   text HEX              the reply
//   text-and-failure HEX  the reply, but with PAM_CONV_ERR
//   failure               PAM_CONV_ERR
//   null                  PAM_SUCCESS and a response without a reply
//   no-array              PAM_SUCCESS and no response
//   become HEX            set another user (PAM_USER) at the next prompt; not a reply itself
//
// Prints events in order, as words and hexadecimal text. Prints the delay after a failure instead of sleeping.

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <locale.h>
#include <security/pam_appl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { MAX_LOGINS = 512, ARRIVAL_SECONDS = 30 };

enum answer_kind { TEXT, TEXT_AND_FAILURE, FAILURE, EMPTY, NO_ARRAY };

struct answer {
  enum answer_kind kind;
  char *text;
  char *become;
};

struct login {
  char *user;
  struct answer *answers;
  int count;
};

// Shared by the processes that are released together.
struct gate {
  sem_t output;
  int arrived;
};

struct conversation {
  pam_handle_t *handle;
  const struct login *login;
  int answered;
  bool arrived;
  struct timespec answered_at;
};

static const char *remote_host, *terminal, *awaited_file;
static int flags;
static bool with_account, without_authentication, at_once, with_setcred, marks, with_state, messages_fail;
static struct gate *gate;
static int release_pipe[2];
static FILE *report;

static void die(const char *what) {
  fprintf(stderr, "login: %s: %s\n", what, strerror(errno));
  exit(2);
}

static void say(const char *words, const char *bytes, size_t length) {
  fprintf(report, "%s ", words);
  for (size_t i = 0; i < length; i++) fprintf(report, "%02x", (unsigned char)bytes[i]);
  fputc('\n', report);
}

static void mark(const char *name) {
  if (!marks) return;
  int saved = errno;
  // The call fails, but is visible in a trace.
  if (write(-1, name, strlen(name)) >= 0) die("a write to no file");
  errno = saved;
}

// ---- The state of the process

static void describe_status(FILE *out) {
  FILE *status = fopen("/proc/thread-self/status", "re");
  if (!status) die("/proc/thread-self/status");
  static const char *const kept[] = {"Umask:",  "Uid:",    "Gid:",    "Groups:", "Threads:", "SigBlk:",
                                     "SigIgn:", "SigCgt:", "CapInh:", "CapPrm:", "CapEff:",  "CapAmb:"};
  char line[4096];
  while (fgets(line, sizeof line, status))
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
      if (!strncmp(line, kept[i], strlen(kept[i]))) fputs(line, out);
  fclose(status);
}

static void describe_signals(FILE *out) {
  for (int number = 1; number < NSIG; number++) {
    struct sigaction action;
    if (sigaction(number, NULL, &action)) continue;
    const void *handler = *(const void **)&action.sa_handler;
    fprintf(out, "Signal %d: %p, flags %x\n", number, handler, (unsigned)action.sa_flags);
  }
}

static void describe_descriptors(FILE *out) {
  DIR *directory = opendir("/proc/self/fd");
  if (!directory) die("/proc/self/fd");
  for (struct dirent *entry; (entry = readdir(directory));) {
    char target[4096];
    int number = atoi(entry->d_name);
    if (entry->d_name[0] == '.' || number == dirfd(directory)) continue;
    ssize_t length = readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1);
    if (length < 0) continue;
    target[length] = 0;
    fprintf(out, "Descriptor %d: %s\n", number, target);
  }
  closedir(directory);
}

static void say_state(const char *words) {
  if (!with_state) return;
  char *text = NULL, directory[4096];
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  if (!out) die("open_memstream");
  describe_status(out);
  describe_signals(out);
  int death_signal = -1;
  prctl(PR_GET_PDEATHSIG, &death_signal);
  fprintf(out, "Parent-death signal: %d\nDumpable: %d\n", death_signal, prctl(PR_GET_DUMPABLE));
  if (!getcwd(directory, sizeof directory)) die("getcwd");
  fprintf(out, "Directory: %s\nLocale: %s\n", directory, setlocale(LC_ALL, NULL));
  for (char **entry = environ; *entry; entry++) fprintf(out, "Environment: %s\n", *entry);
  describe_descriptors(out);
  fclose(out);
  say(words, text, length);
  free(text);
}

// ---- The conversation

static void wait_at_the_gate(struct conversation *conversation) {
  if (!at_once || conversation->arrived) return;
  conversation->arrived = true;
  __atomic_add_fetch(&gate->arrived, 1, __ATOMIC_SEQ_CST);
  char byte;
  // The parent closes the other end, which releases all processes at once.
  while (read(release_pipe[0], &byte, 1) < 0 && errno == EINTR) continue;
}

static void wait_for_the_file(void) {
  char asked[4096];
  if (!awaited_file) return;
  snprintf(asked, sizeof asked, "%s.asked", awaited_file);
  FILE *file = fopen(asked, "we");
  if (!file) die(asked);
  fclose(file);
  while (access(awaited_file, F_OK)) usleep(1000);
}

static int answer(struct conversation *conversation, struct pam_response *response) {
  say_state("state prompt");
  wait_at_the_gate(conversation);
  wait_for_the_file();
  if (conversation->answered >= conversation->login->count) {
    fprintf(report, "unanswered\n");
    return PAM_CONV_ERR;
  }
  const struct answer *next = &conversation->login->answers[conversation->answered++];
  if (next->become && pam_set_item(conversation->handle, PAM_USER, next->become) != PAM_SUCCESS)
    die("another user");
  if (next->text) response->resp = strdup(next->text);
  return next->kind == TEXT || next->kind == EMPTY || next->kind == NO_ARRAY ? PAM_SUCCESS : PAM_CONV_ERR;
}

static bool wants_no_array(const struct conversation *conversation) {
  int last = conversation->answered - 1;
  return last >= 0 && conversation->login->answers[last].kind == NO_ARRAY;
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses,
                    void *context) {
  struct conversation *conversation = context;
  struct pam_response *array = calloc((size_t)count, sizeof *array);
  int status = PAM_SUCCESS;
  bool prompted = false;
  for (int i = 0; i < count; i++) {
    const char *text = messages[i]->msg;
    switch (messages[i]->msg_style) {
    case PAM_PROMPT_ECHO_OFF: say("prompt-hidden", text, strlen(text)); break;
    case PAM_PROMPT_ECHO_ON: say("prompt-shown", text, strlen(text)); break;
    case PAM_ERROR_MSG: say("error", text, strlen(text)); continue;
    case PAM_TEXT_INFO: say("info", text, strlen(text)); continue;
    default: fprintf(report, "strange-style %d\n", messages[i]->msg_style); continue;
    }
    prompted = true;
    int answered = answer(conversation, &array[i]);
    if (status == PAM_SUCCESS) status = answered;
  }
  *responses = array;
  if (!prompted && messages_fail) {
    free(array);
    *responses = NULL;
    return PAM_CONV_ERR;
  }
  if (prompted && wants_no_array(conversation)) {
    free(array);
    *responses = NULL;
  }
  if (prompted) {
    mark("answer begins");
    clock_gettime(CLOCK_MONOTONIC, &conversation->answered_at);
  }
  return status;
}

static void note_delay(int status, unsigned microseconds, void *context) {
  (void)context;
  if (status != PAM_SUCCESS) fprintf(report, "delay %u\n", microseconds);
}

// ---- One login

static void set_credentials(pam_handle_t *handle) {
  static const int actions[] = {PAM_ESTABLISH_CRED, PAM_REINITIALIZE_CRED, PAM_REFRESH_CRED, PAM_DELETE_CRED, 0};
  int status = PAM_SUCCESS;
  for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
    for (int silent = 0; silent < 2 && status == PAM_SUCCESS; silent++)
      status = pam_setcred(handle, actions[i] | (silent ? PAM_SILENT : 0));
  fprintf(report, "setcred %d\n", status);
}

static int authenticate(struct conversation *conversation) {
  int status = pam_authenticate(conversation->handle, flags);
  mark("login returns");
  struct timespec now, *then = &conversation->answered_at;
  clock_gettime(CLOCK_MONOTONIC, &now);
  fprintf(report, "result %d\n", status);
  if (then->tv_sec)
    fprintf(report, "microseconds %ld\n",
            (now.tv_sec - then->tv_sec) * 1000000 + (now.tv_nsec - then->tv_nsec) / 1000);
  return status;
}

static void log_in(int number, const struct login *login, const char *directory, const char *service) {
  char *text = NULL;
  size_t length = 0;
  if (!(report = open_memstream(&text, &length))) die("open_memstream");
  fprintf(report, "login %d\n", number);
  say_state("state before");

  struct conversation conversation = {.login = login};
  struct pam_conv callbacks = {converse, &conversation};
  pam_handle_t *handle = NULL;
  int status = pam_start_confdir(service, login->user, &callbacks, directory, &handle);
  if (status != PAM_SUCCESS) die("pam_start_confdir");
  conversation.handle = handle;
  union {
    void (*function)(int, unsigned, void *);
    const void *item;
  } delay = {.function = note_delay};
  pam_set_item(handle, PAM_FAIL_DELAY, delay.item);
  if (remote_host) pam_set_item(handle, PAM_RHOST, remote_host);
  if (terminal) pam_set_item(handle, PAM_TTY, terminal);

  if (!without_authentication) status = authenticate(&conversation);
  if (with_account && status == PAM_SUCCESS) {
    status = pam_acct_mgmt(handle, flags);
    fprintf(report, "account %d\n", status);
  }
  if (with_setcred && status == PAM_SUCCESS) set_credentials(handle);
  pam_end(handle, status);
  say_state("state after");
  fclose(report);

  if (gate) sem_wait(&gate->output);
  for (size_t written = 0; written < length;) {
    ssize_t more = write(STDOUT_FILENO, text + written, length - written);
    if (more < 0) die("standard output");
    written += (size_t)more;
  }
  if (gate) sem_post(&gate->output);
  free(text);
}

static int log_in_at_once(const struct login *logins, int count, int times, const char *directory,
                          const char *service) {
  gate = mmap(NULL, sizeof *gate, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (gate == MAP_FAILED || sem_init(&gate->output, 1, 1) || pipe(release_pipe)) die("a gate");
  int total = count * times;
  pid_t children[MAX_LOGINS];
  for (int i = 0; i < total; i++) {
    children[i] = fork();
    if (children[i] < 0) die("fork");
    if (children[i] == 0) {
      close(release_pipe[1]);
      log_in(i, &logins[i % count], directory, service);
      _exit(0);
    }
  }
  close(release_pipe[0]);
  for (int waited = 0; __atomic_load_n(&gate->arrived, __ATOMIC_SEQ_CST) < total; waited++) {
    if (waited == ARRIVAL_SECONDS * 1000) {
      fprintf(stderr, "login: only %d of %d came to their prompt\n", gate->arrived, total);
      break;
    }
    usleep(1000);
  }
  int all_arrived = gate->arrived == total;
  close(release_pipe[1]);
  for (int i = 0; i < total; i++) {
    int status;
    if (waitpid(children[i], &status, 0) < 0) die("waitpid");
    if (WIFSIGNALED(status)) printf("killed %d %d\n", i, WTERMSIG(status));
  }
  return all_arrived ? 0 : 3;
}

// ---- The script

static char *decoded(const char *hex) {
  if (!hex) return strdup("");
  size_t length = strlen(hex) / 2;
  char *bytes = calloc(length + 1, 1);
  for (size_t i = 0; i < length; i++) {
    unsigned value;
    if (sscanf(hex + 2 * i, "%2x", &value) != 1) die("a script that is not hexadecimal");
    bytes[i] = (char)value;
  }
  return bytes;
}

static int read_script(struct login *logins) {
  static const char *const names[] = {"text", "text-and-failure", "failure", "null", "no-array"};
  char *line = NULL, *become = NULL;
  size_t capacity = 0;
  int count = 0;
  while (getline(&line, &capacity, stdin) > 0) {
    char *word = strtok(line, " \n"), *hex = strtok(NULL, " \n");
    if (!word) continue;
    if (!strcmp(word, "user")) {
      if (count == MAX_LOGINS) die("too many logins");
      logins[count++].user = decoded(hex);
      continue;
    }
    if (!strcmp(word, "become")) {
      become = decoded(hex);
      continue;
    }
    struct login *login = &logins[count - 1];
    size_t kind = 0;
    while (kind < sizeof names / sizeof *names && strcmp(word, names[kind])) kind++;
    if (!count || kind == sizeof names / sizeof *names) die("a script line");
    login->answers = reallocarray(login->answers, (size_t)login->count + 1, sizeof *login->answers);
    if (!login->answers) die("reallocarray");
    login->answers[login->count++] = (struct answer){
        .kind = (enum answer_kind)kind,
        .text = kind == TEXT || kind == TEXT_AND_FAILURE ? decoded(hex) : NULL,
        .become = become,
    };
    become = NULL;
  }
  free(line);
  return count;
}

int main(int argc, char **argv) {
  int times = 1, option;
  while ((option = getopt(argc, argv, "r:t:f:n:w:aAocmsx")) != -1) switch (option) {
    case 'r': remote_host = optarg; break;
    case 't': terminal = optarg; break;
    case 'f': flags = (int)strtol(optarg, NULL, 0); break;
    case 'n': times = atoi(optarg); break;
    case 'w': awaited_file = optarg; break;
    case 'a': with_account = true; break;
    case 'A': with_account = without_authentication = true; break;
    case 'o': at_once = true; break;
    case 'c': with_setcred = true; break;
    case 'm': marks = true; break;
    case 's': with_state = true; break;
    case 'x': messages_fail = true; break;
    default: return 2;
    }
  if (argc - optind != 2) return 2;
  const char *directory = argv[optind], *service = argv[optind + 1];

  static struct login logins[MAX_LOGINS];
  int count = read_script(logins);
  if (count * times > MAX_LOGINS && at_once) die("too many logins at once");

  // The host opens the log first, so that its connection is part of the state.
  openlog("harness", LOG_PID | LOG_NDELAY, LOG_AUTHPRIV);
  if (at_once) return log_in_at_once(logins, count, times, directory, service);
  for (int i = 0; i < count * times; i++) log_in(i, &logins[i % count], directory, service);
  // A module that calls openlog would change the ident of this message.
  if (with_state) syslog(LOG_INFO, "the harness speaks for itself");
  return 0;
}

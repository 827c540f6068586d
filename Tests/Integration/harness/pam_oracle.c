// Runs the PAM services of a tree with the real libpam.
//
//   pam_oracle [-a] ROOT <SERVICES
//
// Changes its root to ROOT, then runs pam_authenticate and pam_setcred for each service, one a line, each in a
// process of its own. Prints a line for each service, in order:
//
//   SERVICE AUTHENTICATE SETCRED [MESSAGE…]
//
// with the two results as numbers and the messages of the modules (pam_debug names its result), or
//
//   SERVICE killed SIGNAL
//
// With -a, it runs pam_acct_mgmt alone, and prints its result twice.

#define _GNU_SOURCE
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS = 2, OPEN_FILES = 128 };

static char messages[4096];
static int with_account;

static void add_message(const char *text) {
  size_t length = strlen(messages);
  snprintf(messages + length, sizeof messages - length, " %s", text);
}

static int converse(int count, const struct pam_message **texts, struct pam_response **replies, void *data) {
  (void)data;
  *replies = calloc((size_t)count, sizeof **replies);
  if (*replies == NULL) return PAM_BUF_ERR;
  for (int index = 0; index < count; index++) {
    if (texts[index]->msg_style == PAM_TEXT_INFO) add_message(texts[index]->msg);
  }
  return PAM_SUCCESS;
}

static void log_in(const char *service) {
  const struct pam_conv conversation = {converse, NULL};
  pam_handle_t *handle = NULL;
  // pam_start reads the service, and returns PAM_ABORT if it gives up.
  int authenticated = pam_start(service, "nobody", &conversation, &handle), set = authenticated;
  if (authenticated == PAM_SUCCESS && with_account) {
    authenticated = set = pam_acct_mgmt(handle, 0);
  } else if (authenticated == PAM_SUCCESS) {
    authenticated = pam_authenticate(handle, 0);
    set = pam_setcred(handle, PAM_ESTABLISH_CRED);
  }
  printf("%s %d %d%s\n", service, authenticated, set, messages);
  fflush(stdout);
  // pam_end would only release what ends with the process.
  _exit(EXIT_SUCCESS);
}

int main(int count, char **words) {
  with_account = count > 1 && strcmp(words[1], "-a") == 0;
  if (count != 2 + with_account || chroot(words[count - 1]) != 0 || chdir("/") != 0) {
    fprintf(stderr, "usage: pam_oracle [-a] ROOT <SERVICES\n");
    return EXIT_FAILURE;
  }
  // libpam follows a loop of includes until it cannot open another file.
  const struct rlimit files = {OPEN_FILES, OPEN_FILES}, none = {0, 0};
  setrlimit(RLIMIT_NOFILE, &files);
  setrlimit(RLIMIT_CORE, &none);
  char service[256];
  while (fgets(service, sizeof service, stdin) != NULL) {
    service[strcspn(service, "\n")] = '\0';
    pid_t child = fork();
    if (child < 0) {
      perror("pam_oracle: fork");
      return EXIT_FAILURE;
    }
    if (child == 0) {
      alarm(SECONDS);
      log_in(service);
    }
    int status;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) {
      printf("%s killed %d\n", service, WTERMSIG(status));
      fflush(stdout);
    } else if (status != 0) {
      fprintf(stderr, "pam_oracle: %s: exit status %d\n", service, WEXITSTATUS(status));
      return EXIT_FAILURE;
    }
  }
  return EXIT_SUCCESS;
}

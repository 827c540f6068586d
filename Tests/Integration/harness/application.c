// An application of PAM that authenticates a user and then calls pam_acct_mgmt(3); the replies come from outside.
//
//   application [OPTION…] CONFDIR SERVICE USER
//
//   -r HOST   the remote host (PAM_RHOST)
//   -t TTY    the terminal (PAM_TTY)
//   -f FLAGS  flags of both calls, as a number
//   -a        the account phase alone, as in cron
//   -n TRIES  authenticate up to so many times, as login(1) after a wrong password
//   -m        mark in the system calls where pam_acct_mgmt begins and returns
//
// Prints events in order, as words and hexadecimal text. Each prompt waits for a line on standard input:
//
//   text HEX  the reply
//   failure   PAM_CONV_ERR, as at the end of the input

#define _GNU_SOURCE
#include <security/pam_appl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *remote_host, *terminal;
static bool marks;

static void say(const char *words, const char *text) {
  printf("%s ", words);
  for (; *text; text++) printf("%02x", (unsigned char)*text);
  putchar('\n');
  fflush(stdout);
}

static void mark(const char *name) {
  // The call fails, but is visible in a trace.
  if (marks && write(-1, name, strlen(name)) >= 0) abort();
}

static char *reply(void) {
  char *line = NULL;
  size_t capacity = 0;
  ssize_t length = getline(&line, &capacity, stdin);
  if (length < 5 || strncmp(line, "text ", 5)) {
    free(line);
    return NULL;
  }
  char *text = calloc((size_t)length, 1);
  unsigned value;
  for (int i = 0; sscanf(line + 5 + 2 * i, "%2x", &value) == 1; i++) text[i] = (char)value;
  free(line);
  return text;
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses,
                    void *context) {
  (void)context;
  struct pam_response *array = calloc((size_t)count, sizeof *array);
  for (int i = 0; i < count; i++) {
    const struct pam_message *message = messages[i];
    bool is_hidden = message->msg_style == PAM_PROMPT_ECHO_OFF;
    if (!is_hidden && message->msg_style != PAM_PROMPT_ECHO_ON) {
      say(message->msg_style == PAM_ERROR_MSG ? "error" : "info", message->msg);
      continue;
    }
    say(is_hidden ? "prompt-hidden" : "prompt-shown", message->msg);
    if (!(array[i].resp = reply())) {
      free(array);
      return PAM_CONV_ERR;
    }
  }
  *responses = array;
  return PAM_SUCCESS;
}

static void no_delay(int status, unsigned microseconds, void *context) {
  (void)status, (void)microseconds, (void)context;
}

int main(int argc, char **argv) {
  int flags = 0, tries = 1, option;
  bool only_account = false;
  while ((option = getopt(argc, argv, "r:t:f:n:am")) != -1) switch (option) {
    case 'r': remote_host = optarg; break;
    case 't': terminal = optarg; break;
    case 'f': flags = (int)strtol(optarg, NULL, 0); break;
    case 'a': only_account = true; break;
    case 'n': tries = atoi(optarg); break;
    case 'm': marks = true; break;
    default: return 2;
    }
  if (argc - optind != 3) return 2;
  struct pam_conv callbacks = {converse, NULL};
  pam_handle_t *handle = NULL;
  if (pam_start_confdir(argv[optind + 1], argv[optind + 2], &callbacks, argv[optind], &handle)) return 2;
  union {
    void (*function)(int, unsigned, void *);
    const void *item;
  } delay = {.function = no_delay};
  pam_set_item(handle, PAM_FAIL_DELAY, delay.item);
  if (remote_host) pam_set_item(handle, PAM_RHOST, remote_host);
  if (terminal) pam_set_item(handle, PAM_TTY, terminal);
  int status = PAM_SUCCESS;
  if (!only_account) {
    do status = pam_authenticate(handle, flags);
    while (status != PAM_SUCCESS && --tries > 0);
    printf("authenticated %d\n", status);
  }
  if (status == PAM_SUCCESS) {
    mark("account begins");
    status = pam_acct_mgmt(handle, flags);
    mark("account returns");
    printf("account %d\n", status);
  }
  pam_end(handle, status);
  fflush(stdout);
  return 0;
}

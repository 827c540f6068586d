// Finds what the PAM services of a tree require, by logging in with the real libpam in all combinations of the results
// that their modules can return. The modules are copies of pam_stub.c.
//
//   pam_explorer ROOT MODULES <SCRIPT
//
// Changes its root to ROOT; MODULES is the folder of the modules in it. A script has tab-separated lines, first one
// for each module with its arguments:
//
//   module NAME.so[ ARGUMENT…]  KIND  FLAGS  KEY  RESULT…
//
// KIND is the behavior of the module. Results are numbers of libpam. Calls with the same KEY choose the same result.
//
//   result     returns one of the results
//   password   returns the first result for the right password, the second for a wrong one, or one of the others for
//              an unknown user. FLAGS: t tries the password of an earlier module, o never prompts, a prompts again
//              if the earlier password is wrong, s stores the password, d is a directory of users, l looks up the
//              user before it prompts
//   factor     the same for a fingerprint, card or key, which counts as the password
//   code       the same for a code
//   push       the same for a code that the module does not ask for in the conversation
//   twofactor  pam_twofactor. FLAGS: n nullok, f forward_pass, t try_first_pass, u use_first_pass
//
// then one for each service, with the modules that are directories: the user is in one of them.
//
//   service NAME [DIRECTORY…]
//
// Prints for each service, in order:
//
//   NAME ENROLLED UNENROLLED SINGLE
//
// ENROLLED and UNENROLLED are four digits: whether a login succeeds with nothing, the password, the code, or both; `-`
// if it does with less. SINGLE is 1 if an enrolled user who replies to every prompt with both logs in through
// pam_twofactor. After too many combinations it prints `NAME too-many`.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <security/pam_appl.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_MODULES = 512, MAX_RESULTS = 8, MAX_CHOICES = 64, MAX_DIRECTORIES = 8, MAX_RUNS = 10000 };
enum { KNOWS_PASSWORD = 1, KNOWS_CODE = 2 };

static const char PASSWORD[] = "password", CODE[] = "123456", BOTH[] = "password123456", WRONG[] = "wrong";

struct module {
  char *call, *kind, *flags, *key;
  int results[MAX_RESULTS], count;
};

struct choice {
  int index, count;
  const char *key;
};

static struct module modules[MAX_MODULES];
static int module_count;

// The current login.
static bool is_enrolled, is_single_field, asked;
static int knows;
static const char *home;

static struct choice choices[MAX_CHOICES];
static int choice_count, position;

// libpam reports every login to the kernel's audit, and every failure to syslog.
int audit_open(void);
int audit_open(void) {
  errno = EPROTONOSUPPORT;
  return -1;
}

void __syslog_chk(int priority, int flag, const char *format, ...) { (void)priority, (void)flag, (void)format; }

static _Noreturn void fail(const char *what, const char *which) {
  fprintf(stderr, "pam_explorer: %s: %s\n", what, which);
  exit(EXIT_FAILURE);
}

// Chooses one of several outcomes: the same one for the same key.
static int choose(int count, const char *key) {
  if (*key != '\0') {
    for (int index = 0; index < position; index++) {
      if (strcmp(choices[index].key, key) == 0) {
        return choices[index].index < count ? choices[index].index : count - 1;
      }
    }
  }
  if (position == MAX_CHOICES) fail("too many choices", key);
  if (position == choice_count) choices[choice_count++] = (struct choice){0, count, key};
  choices[position].key = key;
  return choices[position++].index;
}

static bool advance(void) {
  while (choice_count > 0) {
    struct choice *last = &choices[choice_count - 1];
    if (++last->index < last->count) return true;
    choice_count--;
  }
  return false;
}

static const char *both(void) {
  static const char *const texts[] = {WRONG, PASSWORD, CODE, BOTH};
  return texts[knows];
}

// The reply to a prompt that begins with `kind`.
static const char *answer(char kind) {
  if (is_single_field || kind == 'B') return both();
  if (kind == 'P') return knows & KNOWS_PASSWORD ? PASSWORD : both();
  return knows & KNOWS_CODE ? CODE : both();
}

static int converse(int count, const struct pam_message **texts, struct pam_response **replies, void *data) {
  (void)data;
  *replies = calloc((size_t)count, sizeof **replies);
  if (*replies == NULL) return PAM_BUF_ERR;
  for (int index = 0; index < count; index++) (*replies)[index].resp = strdup(answer(texts[index]->msg[0]));
  return PAM_SUCCESS;
}

static const char *ask(pam_handle_t *handle, const char *prompt) {
  static char reply[64];
  char *text = NULL;
  if (pam_prompt(handle, PAM_PROMPT_ECHO_OFF, &text, "%s", prompt) != PAM_SUCCESS || text == NULL) {
    fail("no reply", prompt);
  }
  snprintf(reply, sizeof reply, "%s", text);
  free(text);
  return reply;
}

static const char *token_of(pam_handle_t *handle) {
  const void *token = NULL;
  pam_get_item(handle, PAM_AUTHTOK, &token);
  return token;
}

static bool has(const struct module *module, char flag) { return strchr(module->flags, flag) != NULL; }

static int password(pam_handle_t *handle, const struct module *module) {
  const char *token = has(module, 't') ? token_of(handle) : NULL;
  // At least one directory knows the user.
  bool is_home = has(module, 'd') && home != NULL && strncmp(module->call, home, strlen(home)) == 0;
  int index = is_home || module->count == 2 ? 0 : choose(module->count - 1, module->key);
  if (has(module, 'l') && index > 0) return module->results[index + 1];
  if (token == NULL && has(module, 'o')) return PAM_AUTH_ERR;
  const char *tried = token;
  if (token == NULL || (index == 0 && strcmp(token, PASSWORD) != 0 && has(module, 'a'))) {
    tried = ask(handle, "Password");
    if (has(module, 's')) pam_set_item(handle, PAM_AUTHTOK, tried);
  }
  if (index > 0) return module->results[index + 1];
  return module->results[strcmp(tried, PASSWORD) == 0 ? 0 : 1];
}

static int other_factor(pam_handle_t *handle, const struct module *module) {
  int index = module->count == 2 ? 0 : choose(module->count - 1, module->key);
  if (index > 0) return module->results[index + 1];
  bool is_right = strcmp(module->kind, "code") == 0 ? strcmp(ask(handle, "Code"), CODE) == 0
                                                    : knows & (*module->kind == 'p' ? KNOWS_CODE : KNOWS_PASSWORD);
  return module->results[is_right ? 0 : 1];
}

// Looks for a code at the end of a text, and stores the rest.
static int split(pam_handle_t *handle, const struct module *module, const char *text) {
  char rest[64];
  snprintf(rest, sizeof rest, "%s", text);
  bool is_exempt = !is_enrolled && has(module, 'n');
  size_t length = strlen(rest), code = strlen(CODE);
  bool has_code = length >= code && strcmp(rest + length - code, CODE) == 0;
  if (has_code && !is_exempt) rest[length - code] = '\0';
  if (has(module, 'f')) pam_set_item(handle, PAM_AUTHTOK, rest);
  if (is_exempt) return PAM_IGNORE;
  asked = true;
  return is_enrolled && has_code ? PAM_SUCCESS : PAM_AUTH_ERR;
}

static int twofactor(pam_handle_t *handle, const struct module *module) {
  bool is_exempt = !is_enrolled && has(module, 'n');
  if (is_exempt && !has(module, 'f')) return PAM_IGNORE;
  if (has(module, 't') || has(module, 'u')) {
    const char *token = token_of(handle);
    if (token != NULL) {
      int result = split(handle, module, token);
      if (has(module, 'u') || result != PAM_AUTH_ERR) return result;
    } else if (has(module, 'u')) {
      asked = asked || !is_exempt;
      return is_exempt ? PAM_IGNORE : PAM_AUTH_ERR;
    }
  }
  if (has(module, 'f')) return split(handle, module, ask(handle, "Both"));
  asked = true;
  return strcmp(ask(handle, "Code"), CODE) == 0 && is_enrolled ? PAM_SUCCESS : PAM_AUTH_ERR;
}

int explore_module(pam_handle_t *handle, const char *name, int count, const char **words);
int explore_module(pam_handle_t *handle, const char *name, int count, const char **words) {
  char call[512];
  int length = snprintf(call, sizeof call, "%s", name);
  for (int index = 0; index < count; index++) {
    length += snprintf(call + length, sizeof call - (size_t)length, " %s", words[index]);
  }
  for (int index = 0; index < module_count; index++) {
    const struct module *module = &modules[index];
    if (strcmp(module->call, call) != 0) continue;
    if (strcmp(module->kind, "password") == 0) return password(handle, module);
    if (strcmp(module->kind, "twofactor") == 0) return twofactor(handle, module);
    if (strcmp(module->kind, "result") != 0) return other_factor(handle, module);
    return module->results[module->count == 1 ? 0 : choose(module->count, module->key)];
  }
  fail("not in the script", call);
}

static bool passes(const char *service) {
  const struct pam_conv conversation = {converse, NULL};
  pam_handle_t *handle = NULL;
  position = 0;
  asked = false;
  int result = pam_start(service, "nobody", &conversation, &handle);
  if (result == PAM_SUCCESS) result = pam_authenticate(handle, 0);
  if (handle != NULL) pam_end(handle, result);
  return result == PAM_SUCCESS;
}

// Whether the login succeeds in any combination; with `through`, only if a code was asked for.
static bool can_pass(const char *service, char **directories, bool through, int *runs) {
  for (int index = 0; index == 0 || directories[index] != NULL; index++) {
    home = directories[index];
    choice_count = 0;
    do {
      if (--*runs < 0) return false;
      if (passes(service) && (asked || !through)) return true;
    } while (advance());
  }
  return false;
}

static void explore(const char *service, char **directories) {
  char answers[2][5] = {"----", "----"};
  int runs = MAX_RUNS;
  for (int group = 0; group < 2; group++) {
    is_enrolled = group == 0;
    int enough = 0;
    for (int each = 0; each < 4; each++) {
      bool follows = false;
      for (int less = 0; less < each; less++) follows = follows || ((enough & 1 << less) != 0 && (less & each) == less);
      if (follows) continue;
      knows = each;
      is_single_field = false;
      bool gets_in = can_pass(service, directories, false, &runs);
      // A user who knows both may also enter both at every prompt.
      is_single_field = each == (KNOWS_PASSWORD | KNOWS_CODE);
      gets_in = gets_in || (is_single_field && can_pass(service, directories, false, &runs));
      enough |= gets_in << each;
      answers[group][each] = gets_in ? '1' : '0';
    }
  }
  is_enrolled = is_single_field = true;
  knows = KNOWS_PASSWORD | KNOWS_CODE;
  bool single = can_pass(service, directories, true, &runs);
  if (runs < 0) {
    printf("%s too-many\n", service);
  } else {
    printf("%s %s %s %d\n", service, answers[0], answers[1], single);
  }
}

static void read_module(char *rest) {
  if (module_count == MAX_MODULES) fail("too many modules", rest);
  struct module *module = &modules[module_count++];
  module->call = strsep(&rest, "\t");
  module->kind = strsep(&rest, "\t");
  module->flags = strsep(&rest, "\t");
  module->key = strsep(&rest, "\t");
  for (char *word; (word = strsep(&rest, "\t")) != NULL && module->count < MAX_RESULTS;) {
    module->results[module->count++] = atoi(word);
  }
}

int main(int count, char **words) {
  if (count != 3 || chroot(words[1]) != 0 || chdir("/") != 0) {
    fprintf(stderr, "usage: pam_explorer ROOT MODULES <SCRIPT\n");
    return EXIT_FAILURE;
  }
  char *line = NULL;
  size_t size = 0;
  while (getline(&line, &size, stdin) > 0) {
    line[strcspn(line, "\n")] = '\0';
    char *rest = strdup(line);
    const char *word = strsep(&rest, "\t");
    if (strcmp(word, "module") == 0) {
      read_module(rest);
      // Keeps the module loaded from one login to the next.
      const char *call = modules[module_count - 1].call;
      char path[256];
      snprintf(path, sizeof path, "%s/%.*s", words[2], (int)strcspn(call, " "), call);
      if (dlopen(path, RTLD_NOW) == NULL) fail("dlopen", dlerror());
    } else {
      const char *service = strsep(&rest, "\t");
      char *directories[MAX_DIRECTORIES + 1] = {NULL};
      for (int index = 0; index < MAX_DIRECTORIES && rest != NULL; index++) directories[index] = strsep(&rest, "\t");
      explore(service, directories);
    }
  }
  return EXIT_SUCCESS;
}

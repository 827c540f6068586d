#define _GNU_SOURCE
#include "csetup.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* libpam looks up a module's functions with dlsym(3), which the dynamic linker resolves to the function below. It
 * returns a wrapper that calls the module and records the return value. All other calls go to the C library. */

enum { LIMIT = 64 };

struct pam_handle;
typedef int (*module_function)(struct pam_handle *, int, int, const char **);

static struct {
  module_function function;
  char name[64];
  const char *facility;
} modules[LIMIT];
static int module_count;

static struct {
  int module;
  int answer;
} answers[4 * LIMIT];
static int answer_count;
static int is_recording;

static int call_module(int number, struct pam_handle *handle, int flags, int count, const char **arguments) {
  int answer = modules[number].function(handle, flags, count, arguments);
  if (answer_count < 4 * LIMIT) {
    answers[answer_count].module = number;
    answers[answer_count].answer = answer;
    answer_count++;
  }
  return answer;
}

/* One wrapper for each module, since the call does not name the module. */
#define CALL(n)                                                                             \
  static int call_##n(struct pam_handle *handle, int flags, int count, const char **arguments) { \
    return call_module(n, handle, flags, count, arguments);                                 \
  }
#define CALLS(n) CALL(n##0) CALL(n##1) CALL(n##2) CALL(n##3) CALL(n##4) CALL(n##5) CALL(n##6) CALL(n##7)
#define NAMES(n) call_##n##0, call_##n##1, call_##n##2, call_##n##3, call_##n##4, call_##n##5, call_##n##6, call_##n##7,
/* In octal, 00 to 077. */
CALLS(0) CALLS(01) CALLS(02) CALLS(03) CALLS(04) CALLS(05) CALLS(06) CALLS(07)
static const module_function calls[LIMIT] = {NAMES(0) NAMES(01) NAMES(02) NAMES(03)
                                             NAMES(04) NAMES(05) NAMES(06) NAMES(07)};

static void *replacement(module_function function, const char *facility) {
  Dl_info information;
  if (module_count == LIMIT || dladdr((void *)function, &information) == 0 || !information.dli_fname) return NULL;
  const char *slash = strrchr(information.dli_fname, '/');
  modules[module_count].function = function;
  modules[module_count].facility = facility;
  snprintf(modules[module_count].name, sizeof modules[module_count].name, "%s",
           slash ? slash + 1 : information.dli_fname);
  return (void *)calls[module_count++];
}

/* The address sanitizer calls dlsym before it can check anything. */
#define UNCHECKED __attribute__((no_sanitize("address", "undefined")))

/* For RTLD_NEXT, dlsym reads its return address, so our call of it must be a tail call. GCC before 15 lacks the
 * attribute, and makes one at -O2. */
#if __has_attribute(musttail)
#define TAIL_CALL __attribute__((musttail))
#else
#define TAIL_CALL
#endif

UNCHECKED static void *(*real_dlsym(void))(void *, const char *) {
  static void *(*real)(void *, const char *);
  /* glibc 2.34 moved dlsym from libdl into libc under this version. */
  if (!real) real = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
  return real;
}

UNCHECKED __attribute__((visibility("default"))) void *dlsym(void *handle, const char *name) {
  void *(*real)(void *, const char *) = real_dlsym();
  if (is_recording) {
    const char *facility = strcmp(name, "pam_sm_authenticate") == 0 ? "auth"
                           : strcmp(name, "pam_sm_acct_mgmt") == 0  ? "account"
                                                                    : NULL;
    if (facility) {
      void *found = real(handle, name);
      void *ours = found ? replacement((module_function)found, facility) : NULL;
      return ours ? ours : found;
    }
  }
  TAIL_CALL return real(handle, name);
}

void csetup_record_modules(void) {
  module_count = answer_count = 0;
  is_recording = 1;
}

int csetup_module_answer(int index, const char **name, const char **facility, int *answer) {
  if (index < 0 || index >= answer_count) return 0;
  *name = modules[answers[index].module].name;
  *facility = modules[answers[index].module].facility;
  *answer = answers[index].answer;
  return 1;
}

// A module that the tests install under the name of others: pam_explorer.c decides what it does.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <security/pam_modules.h>
#include <string.h>

extern int explore_module(pam_handle_t *handle, const char *name, int count, const char **words);

int pam_sm_authenticate(pam_handle_t *handle, int flags, int count, const char **words) {
  (void)flags;
  Dl_info place;
  if (dladdr((void *)pam_sm_authenticate, &place) == 0) return PAM_SYSTEM_ERR;
  const char *slash = strrchr(place.dli_fname, '/');
  return explore_module(handle, slash == NULL ? place.dli_fname : slash + 1, count, words);
}

int pam_sm_setcred(pam_handle_t *handle, int flags, int count, const char **words) {
  (void)handle, (void)flags, (void)count, (void)words;
  return PAM_SUCCESS;
}

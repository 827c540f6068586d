// A PAM module with a race: without a lock, it reads whether a code was used, decides, and then marks it as used.
//
//   auth required unlocked.so FILE

#include <fcntl.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int pam_sm_authenticate(pam_handle_t *handle, int flags, int argc, const char **argv) {
  (void)flags;
  char *code = NULL, used[64] = "", temporary[4096];
  if (argc != 1 || pam_prompt(handle, PAM_PROMPT_ECHO_OFF, &code, "Code: ") != PAM_SUCCESS || !code)
    return PAM_AUTH_ERR;
  FILE *file = fopen(argv[0], "re");
  if (file) {
    if (!fgets(used, sizeof used, file)) used[0] = 0;
    fclose(file);
  }
  int accepted = strcmp(used, code) != 0;
  if (accepted) {
    snprintf(temporary, sizeof temporary, "%s.%d", argv[0], (int)getpid());
    int descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    accepted = descriptor >= 0 && write(descriptor, code, strlen(code)) > 0 && fsync(descriptor) == 0 &&
               rename(temporary, argv[0]) == 0;
    if (descriptor >= 0) close(descriptor);
  }
  free(code);
  return accepted ? PAM_SUCCESS : PAM_AUTH_ERR;
}

int pam_sm_setcred(pam_handle_t *handle, int flags, int argc, const char **argv) {
  (void)handle, (void)flags, (void)argc, (void)argv;
  return PAM_SUCCESS;
}

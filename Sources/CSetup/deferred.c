/* Loads libcrypt, libpam and libqrencode on first use: at the start, they would double the run time of most
 * commands. Each function calls the library's function of the same name. */
#define _GNU_SOURCE
#include <crypt.h>
#include <dlfcn.h>
#include <qrencode.h>
#include <stddef.h>

#include "cpam.h"
#include "csetup.h"

/* Hidden, so that PAM modules bind to libpam itself. */
#define DEFERRED __attribute__((visibility("hidden")))

/* Libraries stay loaded. RTLD_GLOBAL, because some PAM modules use libpam without linking it. */
struct library {
  const char *names[3];
  void *handle;
};

static struct library crypt_library = {{"libcrypt.so.1", "libcrypt.so.2"}, NULL};
static struct library pam_library = {{"libpam.so.0"}, NULL};
static struct library qrencode_library = {{"libqrencode.so.4"}, NULL};

static void *function(struct library *library, const char *name) {
  for (int index = 0; !library->handle && library->names[index]; index++) {
    library->handle = dlopen(library->names[index], RTLD_NOW | RTLD_GLOBAL);
  }
  return library->handle ? dlsym(library->handle, name) : NULL;
}

#define FIND(library, name) ((__typeof__(name) *)function(&library, #name))

DEFERRED char *crypt_gensalt_rn(const char *prefix, unsigned long count, const char *random, int size, char *output,
                                int output_size) {
  __typeof__(crypt_gensalt_rn) *real = FIND(crypt_library, crypt_gensalt_rn);
  return real ? real(prefix, count, random, size, output, output_size) : NULL;
}

DEFERRED int pam_start(const char *service, const char *user, const struct pam_conv *conversation,
                       pam_handle_t **handle) {
  __typeof__(pam_start) *real = FIND(pam_library, pam_start);
  if (real) return real(service, user, conversation, handle);
  *handle = NULL;
  return PAM_OPEN_ERR;
}

DEFERRED int pam_end(pam_handle_t *handle, int status) {
  __typeof__(pam_end) *real = FIND(pam_library, pam_end);
  return real ? real(handle, status) : PAM_OPEN_ERR;
}

DEFERRED int pam_authenticate(pam_handle_t *handle, int flags) {
  __typeof__(pam_authenticate) *real = FIND(pam_library, pam_authenticate);
  return real ? real(handle, flags) : PAM_OPEN_ERR;
}

DEFERRED int pam_acct_mgmt(pam_handle_t *handle, int flags) {
  __typeof__(pam_acct_mgmt) *real = FIND(pam_library, pam_acct_mgmt);
  return real ? real(handle, flags) : PAM_OPEN_ERR;
}

DEFERRED int pam_set_item(pam_handle_t *handle, int item, const void *value) {
  __typeof__(pam_set_item) *real = FIND(pam_library, pam_set_item);
  return real ? real(handle, item, value) : PAM_OPEN_ERR;
}

DEFERRED const char *pam_strerror(pam_handle_t *handle, int status) {
  __typeof__(pam_strerror) *real = FIND(pam_library, pam_strerror);
  return real ? real(handle, status) : "libpam cannot be loaded";
}

DEFERRED QRcode *QRcode_encodeString(const char *text, int version, QRecLevel level, QRencodeMode mode,
                                     int case_sensitive) {
  __typeof__(QRcode_encodeString) *real = FIND(qrencode_library, QRcode_encodeString);
  return real ? real(text, version, level, mode, case_sensitive) : NULL;
}

DEFERRED void QRcode_free(QRcode *code) {
  __typeof__(QRcode_free) *real = FIND(qrencode_library, QRcode_free);
  if (real) real(code);
}

int csetup_can_draw(void) { return FIND(qrencode_library, QRcode_encodeString) != NULL; }

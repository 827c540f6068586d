#include "copenssl.h"

#include <string.h>

void copenssl_wipe_stack(void) {
  unsigned char used[4096];
  explicit_bzero(used, sizeof used);
}

#ifndef SHARED
/* Provided because the assembler in libcrypto.a reads this table to choose instructions. OpenSSL's constructor fills
 * its own table from an environment variable (OPENSSL_ia32cap, OPENSSL_armcap), which a login module must not read.
 * Zero selects code that runs on every processor. */
#if defined(__x86_64__) || defined(__i386__)
__attribute__((visibility("hidden"))) const unsigned int OPENSSL_ia32cap_P[4] = {0};
#elif defined(__aarch64__) || defined(__arm__)
__attribute__((visibility("hidden"))) const unsigned int OPENSSL_armcap_P = 0;
#endif

/* Provided because the digests call it, and OpenSSL's own is in the object file of that constructor. */
__attribute__((visibility("hidden"))) void OPENSSL_cleanse(void *memory, size_t size) { explicit_bzero(memory, size); }
#endif

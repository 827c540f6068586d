#ifndef COPENSSL_H
#define COPENSSL_H

/* The low-level digests are deprecated since OpenSSL 3.0, but only they can be linked from libcrypto.a without the
 * rest. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/sha.h>

/* Provided because the SHA code leaves parts of the last block on the stack. Overwrites 4096 bytes below the
 * caller's frame. */
__attribute__((noinline)) void copenssl_wipe_stack(void);

#endif

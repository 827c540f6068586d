/* The digests of OpenSSL. */
#ifndef COPENSSL_H
#define COPENSSL_H

/* The low-level digest functions are deprecated since OpenSSL 3.0 in favor of EVP. Only they can be linked in from
 * libcrypto.a without the rest of the library. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/sha.h>

/* Provided because the SHA code leaves parts of the last block on the stack below its caller. Overwrites 4096 bytes
 * there. */
__attribute__((noinline)) void copenssl_wipe_stack(void);

#endif

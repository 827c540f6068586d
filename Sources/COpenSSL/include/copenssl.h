/* The digests of OpenSSL. */
#ifndef COPENSSL_H
#define COPENSSL_H

/* The low-level digest functions are deprecated since OpenSSL 3.0 in favour of EVP. The module needs them:
 * they are what can be linked in from libcrypto.a without the rest of the library. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/sha.h>

/* Provided because the table of the SHA code that is linked in is no part of its headers. Tells that code which of the
 * faster instructions the processor has: as the module is loaded, and because there is this function, which then has
 * nothing left to do. A libcrypto that is shared finds out by itself. */
void copenssl_look_at_processor(void);

/* Provided because the SHA code leaves what it made of the last block, from which the block can be had again, on the
 * stack below its caller. Wipes what is there. */
__attribute__((noinline)) void copenssl_wipe_stack(void);

#endif

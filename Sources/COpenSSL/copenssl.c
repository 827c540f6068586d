#include "copenssl.h"

#if defined(LINKED_IN) && !defined(SHARED)
#include <string.h>

/* Where the SHA code of libcrypto.a is linked in, its assembler asks this table which instructions the
 * processor has. OpenSSL fills it in a constructor that reads an environment variable (OPENSSL_ia32cap,
 * OPENSSL_armcap), and a login module reads none. With the table left at zero the code that every processor
 * of the architecture runs is taken: a login hashes a dozen blocks, for which asking would cost more than
 * the faster instructions save. */
#if defined(__x86_64__) || defined(__i386__)
__attribute__((visibility("hidden"))) unsigned int OPENSSL_ia32cap_P[4];
#elif defined(__aarch64__) || defined(__arm__)
__attribute__((visibility("hidden"))) unsigned int OPENSSL_armcap_P;
#endif

/* Called by the digests for their own contexts. OpenSSL's is in the same object as the constructor. */
__attribute__((visibility("hidden"))) void OPENSSL_cleanse(void *memory, size_t size) { explicit_bzero(memory, size); }
#else
/* ISO C wants a declaration in every file. */
typedef int copenssl_is_shared;
#endif

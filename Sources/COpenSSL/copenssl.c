#include "copenssl.h"

#include <string.h>

void copenssl_wipe_stack(void) {
  unsigned char used[4096];
  explicit_bzero(used, sizeof used);
}

#ifndef SHARED
#if defined(__x86_64__) && __has_include(<sys/platform/x86.h>)
#include <sys/platform/x86.h>
#endif

/* Where the SHA code of libcrypto.a is linked in, its assembler asks this table which instructions the
 * processor has. OpenSSL fills it in a constructor that reads an environment variable (OPENSSL_ia32cap,
 * OPENSSL_armcap), and a login module reads none. With the table left at zero the code that every processor
 * of the architecture runs is taken.
 *
 * It must stand in the module, where nothing else is written once the loader has relocated it and sealed what it wrote.
 * So the table is filled before that, while the loader binds functions, and no login pays for a page of its own. */
#if defined(__x86_64__) && __has_include(<sys/platform/x86.h>)
__attribute__((visibility("hidden"), section(".data.rel.ro"))) unsigned int OPENSSL_ia32cap_P[4];
#elif defined(__x86_64__) || defined(__i386__)
__attribute__((visibility("hidden"))) const unsigned int OPENSSL_ia32cap_P[4] = {0};
#elif defined(__aarch64__) || defined(__arm__)
__attribute__((visibility("hidden"))) const unsigned int OPENSSL_armcap_P = 0;
#endif

/* Called by the digests for their own contexts. OpenSSL's is in the same object as the constructor. */
__attribute__((visibility("hidden"))) void OPENSSL_cleanse(void *memory, size_t size) { explicit_bzero(memory, size); }

#if defined(__x86_64__) && __has_include(<sys/platform/x86.h>)
static void nothing(void) {}

/* What the loader calls to learn where copenssl_look_at_processor() is: once, after the other relocations of the same
 * table (glibc, elf/do-rel.h). With -fno-plt the function that is called here is bound by that table too, and not by
 * that of the PLT, which may come later. */
static void (*look_at_processor(void))(void) {
  /* As OPENSSL_ia32cap(3) has them. The C library asked the processor when the program started; asking again
   * takes longer than a login's hashes. */
  const unsigned int ssse3 = 1u << 9, sha = 1u << 29, bmi1 = 1u << 3, avx2 = 1u << 5, bmi2 = 1u << 8;
  const int has_avx2 = CPU_FEATURE_ACTIVE(AVX2) && CPU_FEATURE_ACTIVE(BMI1) && CPU_FEATURE_ACTIVE(BMI2);
  OPENSSL_ia32cap_P[1] = CPU_FEATURE_ACTIVE(SSSE3) ? ssse3 : 0;
  OPENSSL_ia32cap_P[2] = (CPU_FEATURE_ACTIVE(SHA) ? sha : 0) | (has_avx2 ? bmi1 | avx2 | bmi2 : 0);
  return nothing;
}

void copenssl_look_at_processor(void) __attribute__((ifunc("look_at_processor")));
#else
void copenssl_look_at_processor(void) {}
#endif
#else
void copenssl_look_at_processor(void) {}
#endif

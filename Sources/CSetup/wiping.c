/* What the program gives back is wiped: keys and codes are shown as text, and text of the standard library is copied
 * and given back as it pleases. free() and realloc() take the place of the C library's, and do their work by its own
 * names for them. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#ifdef __x86_64__
#include <sys/platform/x86.h>
#endif

#include "csetup.h"

/* The last texts that were copied are in the vector registers, which the dynamic linker puts on the stack again when a
 * library calls another for the first time. */
#ifdef __x86_64__
#define CLEAR(number) "vpxord %%zmm" #number ", %%zmm" #number ", %%zmm" #number "\n\t"

__attribute__((target("avx512f"))) static void wipe_upper_registers(void) {
  __asm__ volatile(CLEAR(16) CLEAR(17) CLEAR(18) CLEAR(19) CLEAR(20) CLEAR(21) CLEAR(22) CLEAR(23) CLEAR(24)
                       CLEAR(25) CLEAR(26) CLEAR(27) CLEAR(28) CLEAR(29) CLEAR(30) CLEAR(31)::);
}

__attribute__((target("avx"))) static void wipe_lower_registers(void) {
  __asm__ volatile("vzeroall" ::: "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                   "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

/* The C library asked the processor when the program started. Each question costs a way out of a virtual machine and
 * back. */
static void wipe_registers(void) {
  if (CPU_FEATURE_ACTIVE(AVX512F)) wipe_upper_registers();
  if (CPU_FEATURE_ACTIVE(AVX)) wipe_lower_registers();
}
#else
static void wipe_registers(void) {}
#endif

__attribute__((noinline)) void csetup_wipe_stack(void) {
  char unused[256 * 1024];
  explicit_bzero(unused, sizeof unused);
  wipe_registers();
}

/* A sanitizer keeps its own account of the memory. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif

#ifndef IS_SANITIZED

extern void __libc_free(void *memory);

void free(void *memory) {
  if (!memory) return;
  int error = errno; /* free(3) leaves it as it is */
  explicit_bzero(memory, malloc_usable_size(memory));
  __libc_free(memory);
  errno = error;
}

/* In place, or in a new place with the old one wiped. */
void *realloc(void *memory, size_t size) {
  if (!memory) return malloc(size);
  if (size == 0) {
    free(memory);
    return NULL;
  }
  size_t old_size = malloc_usable_size(memory);
  if (size <= old_size && size >= old_size / 2) return memory;
  void *moved = malloc(size);
  if (!moved) return NULL;
  memcpy(moved, memory, size < old_size ? size : old_size);
  free(memory);
  return moved;
}

#endif

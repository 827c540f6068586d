// Preloaded: fails allocations of the PAM module only.
//
//   STARVE_MODULE=NAME  the file name of the module
//   STARVE_AT=N         its N-th allocation fails; 0 for none
//   STARVE_ON=1         all later ones fail, too
//   STARVE_COUNT=FILE   appends one byte for each allocation

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

static int refuse(void *caller) {
  static int count, busy;
  const char *module = getenv("STARVE_MODULE"), *at = getenv("STARVE_AT"), *file = getenv("STARVE_COUNT");
  Dl_info info;
  if (busy || !module || !at) return 0;
  busy = 1;
  int asks = dladdr(caller, &info) && info.dli_fname && strstr(info.dli_fname, module);
  busy = 0;
  if (!asks) return 0;
  int descriptor = file ? open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
  if (descriptor >= 0 && write(descriptor, ".", 1) != 1) abort();
  if (descriptor >= 0) close(descriptor);
  int first = atoi(at);
  count++;
  if (first == 0 || count < first || (count > first && !getenv("STARVE_ON"))) return 0;
  errno = ENOMEM;
  return 1;
}

void *malloc(size_t size) { return refuse(__builtin_return_address(0)) ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) {
  return refuse(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size) {
  return refuse(__builtin_return_address(0)) ? NULL : __libc_realloc(memory, size);
}

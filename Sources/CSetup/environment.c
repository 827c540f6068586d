/* The Swift runtime reads SWIFT_* in a constructor. With SWIFT_BACKTRACE, the caller could choose a program that the
 * runtime starts, with the command's privileges, when the command crashes (if sudo keeps the variable: env_keep).
 * Without it, the runtime starts its own program, which prints memory. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Runs before the constructors of libraries, which have no priority. 101 is the first priority that is not reserved. */
__attribute__((constructor(101))) static void ignore_settings_of_the_runtime(void) {
  static const char prefix[] = "SWIFT_";
  char **kept = environ;
  for (char **entry = environ; entry && *entry; entry++)
    if (strncmp(*entry, prefix, sizeof prefix - 1) != 0) *kept++ = *entry;
  if (kept) *kept = NULL;
  if (setenv("SWIFT_BACKTRACE", "enable=no", 1) != 0) _exit(EXIT_FAILURE);
}

/* For the setup command alone. In a file of its own, so that the linker leaves it out of the module. */
#include "csystem.h"

const char *csystem_next_name(DIR *directory) {
  struct dirent *entry = readdir(directory);
  return entry ? entry->d_name : NULL;
}

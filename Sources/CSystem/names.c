/* For the setup command alone. In a file of its own, so that the linker leaves it out of the module. */
#include "csystem.h"

#include <dirent.h>

int csystem_for_each_name(int directory, void (*visit)(const char *name, void *context), void *context) {
  int own = csystem_openat(directory, ".", O_RDONLY | O_DIRECTORY, 0);
  DIR *stream = own < 0 ? NULL : fdopendir(own);
  if (!stream) {
    if (own >= 0) close(own);
    return -1;
  }
  for (struct dirent *entry; (entry = readdir(stream));) visit(entry->d_name, context);
  closedir(stream);
  return 0;
}

#include "cpam.h"

void cpam_syslog(const pam_handle_t *handle, int priority, const char *text) {
  pam_syslog(handle, priority, "%s", text);
}

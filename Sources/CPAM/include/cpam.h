#ifndef CPAM_H
#define CPAM_H

#include <security/pam_appl.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <syslog.h>

/* Provided because pam_syslog(3) is variadic. Inline, so that programs that do not call it need not link with
 * libpam. */
static inline void cpam_syslog(const pam_handle_t *handle, int priority, const char *text) {
  pam_syslog(handle, priority, "%s", text);
}

#endif

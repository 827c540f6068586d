/// libjansson, loaded on first use.

#ifndef CJANSSON_H
#define CJANSSON_H

#include <jansson.h>

/// Provided because cjansson.c loads libjansson on first use. Returns 1 if it loads, else 0. Without it, no other
/// function works.
int cjansson_is_available(void);

/// Provided because Swift cannot tell the function json_error_code() from the type of its result.
enum json_error_code cjansson_reason(const json_error_t *error);

#endif

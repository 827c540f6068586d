/* Loads libjansson on first use: only imports from apps need it. Each function below that the header does not declare
 * calls the library's function of the same name. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cjansson.h"

#define DEFERRED __attribute__((visibility("hidden")))

static void *library;

#define FIND(name) ((__typeof__(name) *)(library ? dlsym(library, #name) : NULL))

/* The texts in a parsed value contain keys. */
static void wipe_and_free(void *memory) {
  if (memory) explicit_bzero(memory, malloc_usable_size(memory));
  free(memory);
}

int cjansson_is_available(void) {
  if (library) return 1;
  library = dlopen("libjansson.so.4", RTLD_NOW | RTLD_LOCAL);
  __typeof__(json_set_alloc_funcs) *set = FIND(json_set_alloc_funcs);
  if (set) set(malloc, wipe_and_free);
  return set != NULL;
}

enum json_error_code cjansson_reason(const json_error_t *error) { return json_error_code(error); }

DEFERRED json_t *json_loadb(const char *text, size_t size, size_t flags, json_error_t *error) {
  __typeof__(json_loadb) *real = FIND(json_loadb);
  return real ? real(text, size, flags, error) : NULL;
}

DEFERRED void json_delete(json_t *value) {
  __typeof__(json_delete) *real = FIND(json_delete);
  if (real) real(value);
}

DEFERRED json_t *json_object_get(const json_t *object, const char *name) {
  __typeof__(json_object_get) *real = FIND(json_object_get);
  return real ? real(object, name) : NULL;
}

DEFERRED void *json_object_iter(json_t *object) {
  __typeof__(json_object_iter) *real = FIND(json_object_iter);
  return real ? real(object) : NULL;
}

DEFERRED const char *json_object_iter_key(void *member) {
  __typeof__(json_object_iter_key) *real = FIND(json_object_iter_key);
  return real ? real(member) : NULL;
}

DEFERRED void *json_object_iter_next(json_t *object, void *member) {
  __typeof__(json_object_iter_next) *real = FIND(json_object_iter_next);
  return real ? real(object, member) : NULL;
}

DEFERRED size_t json_array_size(const json_t *array) {
  __typeof__(json_array_size) *real = FIND(json_array_size);
  return real ? real(array) : 0;
}

DEFERRED json_t *json_array_get(const json_t *array, size_t index) {
  __typeof__(json_array_get) *real = FIND(json_array_get);
  return real ? real(array, index) : NULL;
}

DEFERRED const char *json_string_value(const json_t *string) {
  __typeof__(json_string_value) *real = FIND(json_string_value);
  return real ? real(string) : NULL;
}

DEFERRED size_t json_string_length(const json_t *string) {
  __typeof__(json_string_length) *real = FIND(json_string_length);
  return real ? real(string) : 0;
}

DEFERRED json_int_t json_integer_value(const json_t *integer) {
  __typeof__(json_integer_value) *real = FIND(json_integer_value);
  return real ? real(integer) : 0;
}

/// XML and decryption for PSKC files. libxml2 and libcrypto are loaded on first use.

#ifndef CPSKC_H
#define CPSKC_H

#include <stddef.h>

/// Callbacks of cpskc_parse(). Names are NUL-terminated; the other texts have a length.
struct cpskc_handler {
  void *context;
  void (*open)(void *context, const char *name, const char *name_space);
  void (*attribute)(void *context, const char *name, const char *value, size_t size);
  void (*text)(void *context, const char *text, size_t size);
  void (*close)(void *context);
};

enum cpskc_result {
  CPSKC_PARSED,
  CPSKC_NO_LIBRARY,
  CPSKC_NO_MEMORY,
  CPSKC_NOT_WELL_FORMED,
  CPSKC_HAS_DOCTYPE,
  CPSKC_TOO_DEEP,
};

/// Provided because xml.c loads libxml2 on first use. Parses a document without loading other files: a DOCTYPE ends the
/// parsing, so no entities are defined. Ignores the encoding that the document declares if `is_utf8`. Stores the line
/// of an error, or 0.
enum cpskc_result cpskc_parse(const char *text, size_t size, int is_utf8, const struct cpskc_handler *handler,
                              int *line);

/// Provided because cipher.c loads libcrypto on first use. Returns 1 if it loads, else 0. Without it, the functions
/// below fail.
int cpskc_can_decrypt(void);

/// Provided because cipher.c loads libcrypto on first use. Decrypts with a cipher, named as in OpenSSL, and keeps the
/// padding. `output` has `size` bytes. Returns the length, or -1.
long cpskc_decrypt(const char *cipher, const unsigned char *key, const unsigned char *vector,
                   const unsigned char *input, size_t size, unsigned char *output);

/// Provided because cipher.c loads libcrypto on first use. Computes an HMAC of at most 64 bytes. Returns its length, or
/// -1.
long cpskc_authenticate(const char *digest, const unsigned char *key, size_t key_size, const unsigned char *input,
                        size_t size, unsigned char *output);

/// Provided because cipher.c loads libcrypto on first use. Derives a key with PBKDF2. Returns 1, or 0 on failure.
int cpskc_derive(const char *digest, const char *passphrase, size_t size, const unsigned char *salt, size_t salt_size,
                 int iterations, unsigned char *output, size_t output_size);

#endif

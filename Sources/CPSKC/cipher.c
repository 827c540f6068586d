/* Loads libcrypto on first use: only imports of encrypted PSKC files need it. */
#include <dlfcn.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "cpskc.h"

static void *library;

#define FIND(name) ((__typeof__(name) *)(library ? dlsym(library, #name) : NULL))

int cpskc_can_decrypt(void) {
  if (!library) library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
  if (!library) library = dlopen("libcrypto.so.4", RTLD_NOW | RTLD_LOCAL);
  return library != NULL;
}

long cpskc_decrypt(const char *name, const unsigned char *key, const unsigned char *vector,
                   const unsigned char *input, size_t size, unsigned char *output) {
  __typeof__(EVP_CIPHER_fetch) *fetch = FIND(EVP_CIPHER_fetch);
  __typeof__(EVP_CIPHER_free) *release = FIND(EVP_CIPHER_free);
  __typeof__(EVP_CIPHER_CTX_new) *create = FIND(EVP_CIPHER_CTX_new);
  __typeof__(EVP_CIPHER_CTX_free) *destroy = FIND(EVP_CIPHER_CTX_free);
  __typeof__(EVP_CIPHER_CTX_set_flags) *set_flags = FIND(EVP_CIPHER_CTX_set_flags);
  __typeof__(EVP_CIPHER_CTX_set_padding) *set_padding = FIND(EVP_CIPHER_CTX_set_padding);
  __typeof__(EVP_DecryptInit_ex) *start = FIND(EVP_DecryptInit_ex);
  __typeof__(EVP_DecryptUpdate) *update = FIND(EVP_DecryptUpdate);
  __typeof__(EVP_DecryptFinal_ex) *finish = FIND(EVP_DecryptFinal_ex);
  if (!fetch || !release || !create || !destroy || !set_flags || !set_padding) return -1;
  if (!start || !update || !finish || size > INT_MAX) return -1;

  EVP_CIPHER *cipher = fetch(NULL, name, NULL);
  EVP_CIPHER_CTX *state = create();
  int length = 0, rest = 0;
  long result = -1;
  if (cipher && state) {
    set_flags(state, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    if (start(state, cipher, NULL, key, vector) == 1 && set_padding(state, 0) == 1 &&
        update(state, output, &length, input, (int)size) == 1 && finish(state, output + length, &rest) == 1) {
      result = length + rest;
    }
  }
  destroy(state);
  release(cipher);
  return result;
}

long cpskc_authenticate(const char *name, const unsigned char *key, size_t key_size, const unsigned char *input,
                        size_t size, unsigned char *output) {
  __typeof__(EVP_MD_fetch) *fetch = FIND(EVP_MD_fetch);
  __typeof__(EVP_MD_free) *release = FIND(EVP_MD_free);
  __typeof__(HMAC) *compute = FIND(HMAC);
  if (!fetch || !release || !compute || key_size > INT_MAX) return -1;
  EVP_MD *digest = fetch(NULL, name, NULL);
  unsigned int length = 0;
  long result = digest && compute(digest, key, (int)key_size, input, size, output, &length) ? (long)length : -1;
  release(digest);
  return result;
}

int cpskc_derive(const char *name, const char *passphrase, size_t size, const unsigned char *salt, size_t salt_size,
                 int iterations, unsigned char *output, size_t output_size) {
  __typeof__(EVP_MD_fetch) *fetch = FIND(EVP_MD_fetch);
  __typeof__(EVP_MD_free) *release = FIND(EVP_MD_free);
  __typeof__(PKCS5_PBKDF2_HMAC) *derive = FIND(PKCS5_PBKDF2_HMAC);
  if (!fetch || !release || !derive || size > INT_MAX || salt_size > INT_MAX || output_size > INT_MAX) return 0;
  EVP_MD *digest = fetch(NULL, name, NULL);
  int done = digest &&
             derive(passphrase, (int)size, salt, (int)salt_size, iterations, digest, (int)output_size, output);
  release(digest);
  return done;
}

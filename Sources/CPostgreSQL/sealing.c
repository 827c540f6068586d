#include <limits.h>
#include <openssl/evp.h>

#include "cpostgresql.h"

enum { TAG = 16 };

int cpostgresql_seal(const uint8_t *key, const uint8_t *nonce, const uint8_t *bound, size_t bound_length,
                     const uint8_t *input, size_t length, uint8_t *output) {
  if (bound_length > INT_MAX || length > INT_MAX) return 0;
  EVP_CIPHER_CTX *state = EVP_CIPHER_CTX_new();
  int written = 0, rest = 0;
  int done = state && EVP_EncryptInit_ex(state, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
             EVP_EncryptUpdate(state, NULL, &written, bound, (int)bound_length) == 1 &&
             EVP_EncryptUpdate(state, output, &written, input, (int)length) == 1 &&
             EVP_EncryptFinal_ex(state, output + written, &rest) == 1 && written == (int)length && rest == 0 &&
             EVP_CIPHER_CTX_ctrl(state, EVP_CTRL_AEAD_GET_TAG, TAG, output + length) == 1;
  EVP_CIPHER_CTX_free(state);
  return done;
}

int cpostgresql_open(const uint8_t *key, const uint8_t *nonce, const uint8_t *bound, size_t bound_length,
                     const uint8_t *input, size_t length, uint8_t *output) {
  if (bound_length > INT_MAX || length > INT_MAX || length < TAG) return 0;
  EVP_CIPHER_CTX *state = EVP_CIPHER_CTX_new();
  int written = 0, rest = 0, size = (int)length - TAG;
  int done = state && EVP_DecryptInit_ex(state, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
             EVP_DecryptUpdate(state, NULL, &written, bound, (int)bound_length) == 1 &&
             EVP_DecryptUpdate(state, output, &written, input, size) == 1 && written == size &&
             EVP_CIPHER_CTX_ctrl(state, EVP_CTRL_AEAD_SET_TAG, TAG, (void *)(input + size)) == 1 &&
             EVP_DecryptFinal_ex(state, output + written, &rest) == 1 && rest == 0;
  EVP_CIPHER_CTX_free(state);
  return done;
}

int cpostgresql_digest(const uint8_t *input, size_t length, uint8_t *output) {
  return EVP_Digest(input, length, output, NULL, EVP_sha256(), NULL) == 1;
}

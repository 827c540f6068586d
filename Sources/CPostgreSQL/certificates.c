#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <time.h>

#include "cpostgresql.h"

/* 0 if the time cannot be read. */
static int64_t end_of(const X509 *certificate) {
  struct tm time = {0};
  if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) != 1) return 0;
  return (int64_t)timegm(&time);
}

int64_t cpostgresql_certificate_end(const char *path) {
  FILE *file = fopen(path, "re");
  if (!file) return 0;
  X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
  fclose(file);
  int64_t end = end_of(certificate);
  X509_free(certificate);
  return end;
}

int64_t cpostgresql_server_certificate_end(const void *tls, int is_authority) {
  if (!tls) return 0;
  const STACK_OF(X509) *chain = SSL_get0_verified_chain((const SSL *)tls);
  int count = chain ? sk_X509_num(chain) : 0;
  return count > 0 ? end_of(sk_X509_value(chain, is_authority ? count - 1 : 0)) : 0;
}

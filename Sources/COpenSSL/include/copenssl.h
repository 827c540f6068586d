#ifndef COPENSSL_H
#define COPENSSL_H
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#endif

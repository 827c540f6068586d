/* Functions of libpq and libcrypto that Swift cannot call directly, or not easily. */
#ifndef CPOSTGRESQL_H
#define CPOSTGRESQL_H

#include <stddef.h>
#include <stdint.h>

/* Provided because PQconninfoParse() returns an array that ends with a NULL, and because the header of libpq is in a
 * folder of its own. Calls `use` with each setting of a connection string. Returns 0 with the reason in `problem` if
 * libpq cannot parse the string. */
int cpostgresql_parse(const char *text, void *context, void (*use)(void *context, const char *name, const char *value),
                      char *problem, size_t capacity);

/* A connection: its parameters, the current result, and whether the server has sent a warning. */
struct cpostgresql;

/* Returns NULL if memory is short. */
struct cpostgresql *cpostgresql_new(void);

/* Closes the connection. */
void cpostgresql_free(struct cpostgresql *database);

/* Provided because PQconnectdbParams() needs arrays of pointers. Adds a copy of a parameter. Returns 0 if memory is
 * short, or there are too many. */
int cpostgresql_set(struct cpostgresql *database, const char *name, const char *value);

/* Connects. Returns 1 if the connection is open and encrypted. */
int cpostgresql_connect(struct cpostgresql *database);

/* The last error of the connection; never NULL. */
const char *cpostgresql_problem(const struct cpostgresql *database);

/* The server's host and, if known, its version, such as 150018; 0 without a connection. */
const char *cpostgresql_host(const struct cpostgresql *database);
int cpostgresql_server_version(const struct cpostgresql *database);

/* The server's address and the version of TLS; empty if unknown. */
const char *cpostgresql_address(const struct cpostgresql *database);
const char *cpostgresql_tls_version(const struct cpostgresql *database);

/* The SSL structure of OpenSSL; NULL if unknown. */
const void *cpostgresql_tls(const struct cpostgresql *database);

/* The Unix time at which a certificate expires: one in a file, and that of the server or of its authority. Return 0 if
 * unknown. */
int64_t cpostgresql_certificate_end(const char *path);
int64_t cpostgresql_server_certificate_end(const void *tls, int is_authority);

/* Sends statements as one message of the simple protocol, and forgets earlier warnings. Returns 0 on failure. */
int cpostgresql_send(struct cpostgresql *database, const char *statements);

enum cpostgresql_kind {
  CPOSTGRESQL_END,   /* all statements are done */
  CPOSTGRESQL_ROWS,  /* a statement returned rows, or none */
  CPOSTGRESQL_DONE,  /* a statement without rows is done */
  CPOSTGRESQL_ERROR, /* a statement failed; the rest is skipped */
};

/* Waits for the result of the next statement, which replaces the last one. */
enum cpostgresql_kind cpostgresql_next(struct cpostgresql *database);

/* Whether a notice of severity WARNING or worse, or of unknown severity, has come since the last message was sent. */
int cpostgresql_has_warning(const struct cpostgresql *database);

/* About the current result. Texts are never NULL. */
int cpostgresql_row_count(const struct cpostgresql *database);
int cpostgresql_column_count(const struct cpostgresql *database);
int cpostgresql_is_null(const struct cpostgresql *database, int row, int column);
const char *cpostgresql_value(const struct cpostgresql *database, int row, int column);
const char *cpostgresql_tag(const struct cpostgresql *database);
const char *cpostgresql_state(const struct cpostgresql *database);
const char *cpostgresql_message(const struct cpostgresql *database);

/* Provided because EVP needs a context and many calls. AES-256-GCM with a key of 32 bytes, a nonce of 12, and a tag of
 * 16 at the end of the sealed bytes. Return 1, or 0 on failure. `output` has `length` + 16 or `length` - 16 bytes. */
int cpostgresql_seal(const uint8_t *key, const uint8_t *nonce, const uint8_t *bound, size_t bound_length,
                     const uint8_t *input, size_t length, uint8_t *output);
int cpostgresql_open(const uint8_t *key, const uint8_t *nonce, const uint8_t *bound, size_t bound_length,
                     const uint8_t *input, size_t length, uint8_t *output);

/* SHA-256 in 32 bytes. Returns 0 on failure. */
int cpostgresql_digest(const uint8_t *input, size_t length, uint8_t *output);

/* Provided because only async-signal-safe C may run in a signal handler. On SIGALRM, writes a copy of `answer`, at most
 * 512 bytes, to standard output, and ends the process. */
void cpostgresql_answer_alarm(const uint8_t *answer, size_t length);

/* Lets SIGALRM end the process without an answer. */
void cpostgresql_ignore_answer(void);

enum { CPOSTGRESQL_CHILD_OUTPUT = 8192 };

/* Provided because Swift cannot call fork(2). Starts a process that calls `work`, writes the text that it returns to a
 * pipe, and ends after so many seconds at the latest. Returns the end of the pipe to read from, or -1. */
int cpostgresql_start_child(unsigned seconds, int index, void *context,
                            size_t (*work)(int index, void *context, uint8_t *text, size_t capacity));

/* Reads up to the end of the pipe, and closes it. Returns the length. */
size_t cpostgresql_read_child(int descriptor, uint8_t *text, size_t capacity);

/* Provided because setenv(3) may not be called beside threads. Sets the only variable of the environment: HOME, to a
 * folder that does not exist, so that libpq reads no files of the user. Returns 0 on failure. */
int cpostgresql_hide_home(void);

#endif

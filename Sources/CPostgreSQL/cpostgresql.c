#define _GNU_SOURCE
#include "cpostgresql.h"

#include <libpq-fe.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LONGEST = 40 };

struct cpostgresql {
  char *names[LONGEST + 1], *values[LONGEST + 1];
  int count;
  PGconn *connection;
  PGresult *result;
  int has_warning;
};

int cpostgresql_parse(const char *text, void *context, void (*use)(void *context, const char *name, const char *value),
                      char *problem, size_t capacity) {
  char *error = NULL;
  PQconninfoOption *options = PQconninfoParse(text, &error);
  if (!options) {
    size_t length = error ? strnlen(error, capacity - 1) : 0;
    if (length) memcpy(problem, error, length);
    problem[length] = 0;
    PQfreemem(error);
    return 0;
  }
  for (PQconninfoOption *option = options; option->keyword; option++) {
    if (option->val) use(context, option->keyword, option->val);
  }
  PQconninfoFree(options);
  return 1;
}

struct cpostgresql *cpostgresql_new(void) { return calloc(1, sizeof(struct cpostgresql)); }

void cpostgresql_free(struct cpostgresql *database) {
  PQclear(database->result);
  PQfinish(database->connection);
  for (int index = 0; index < database->count; index++) {
    free(database->names[index]);
    free(database->values[index]);
  }
  free(database);
}

int cpostgresql_set(struct cpostgresql *database, const char *name, const char *value) {
  if (database->count == LONGEST) return 0;
  char *name_copy = strdup(name), *value_copy = strdup(value);
  if (!name_copy || !value_copy) {
    free(name_copy);
    free(value_copy);
    return 0;
  }
  database->names[database->count] = name_copy;
  database->values[database->count++] = value_copy;
  return 1;
}

/* Any severity except these, also an unknown one, counts as a warning. */
static void receive(void *context, const PGresult *notice) {
  static const char *const harmless[] = {"NOTICE", "INFO", "LOG", "DEBUG"};
  const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
  for (size_t index = 0; severity && index < sizeof harmless / sizeof harmless[0]; index++) {
    if (strcmp(severity, harmless[index]) == 0) return;
  }
  ((struct cpostgresql *)context)->has_warning = 1;
}

int cpostgresql_connect(struct cpostgresql *database) {
  database->connection = PQconnectdbParams((const char *const *)database->names, (const char *const *)database->values, 0);
  if (PQstatus(database->connection) != CONNECTION_OK || !PQsslInUse(database->connection)) return 0;
  PQsetNoticeReceiver(database->connection, receive, database);
  return 1;
}

static const char *text(const char *text) { return text ? text : ""; }

const char *cpostgresql_problem(const struct cpostgresql *database) { return text(PQerrorMessage(database->connection)); }

const char *cpostgresql_host(const struct cpostgresql *database) { return text(PQhost(database->connection)); }

int cpostgresql_server_version(const struct cpostgresql *database) { return PQserverVersion(database->connection); }

const char *cpostgresql_address(const struct cpostgresql *database) { return text(PQhostaddr(database->connection)); }

const char *cpostgresql_tls_version(const struct cpostgresql *database) {
  return text(PQsslAttribute(database->connection, "protocol"));
}

const void *cpostgresql_tls(const struct cpostgresql *database) {
  return PQsslStruct(database->connection, "OpenSSL");
}

int cpostgresql_send(struct cpostgresql *database, const char *statements) {
  PQclear(database->result);
  database->result = NULL;
  database->has_warning = 0;
  return PQsendQuery(database->connection, statements);
}

enum cpostgresql_kind cpostgresql_next(struct cpostgresql *database) {
  PQclear(database->result);
  database->result = PQgetResult(database->connection);
  if (!database->result) return CPOSTGRESQL_END;
  switch (PQresultStatus(database->result)) {
  case PGRES_TUPLES_OK: return CPOSTGRESQL_ROWS;
  case PGRES_COMMAND_OK: return CPOSTGRESQL_DONE;
  default: return CPOSTGRESQL_ERROR;
  }
}

int cpostgresql_has_warning(const struct cpostgresql *database) { return database->has_warning; }

int cpostgresql_row_count(const struct cpostgresql *database) { return PQntuples(database->result); }

int cpostgresql_column_count(const struct cpostgresql *database) { return PQnfields(database->result); }

int cpostgresql_is_null(const struct cpostgresql *database, int row, int column) {
  return PQgetisnull(database->result, row, column);
}

const char *cpostgresql_value(const struct cpostgresql *database, int row, int column) {
  return text(PQgetvalue(database->result, row, column));
}

const char *cpostgresql_tag(const struct cpostgresql *database) { return text(PQcmdStatus(database->result)); }

const char *cpostgresql_state(const struct cpostgresql *database) {
  return text(PQresultErrorField(database->result, PG_DIAG_SQLSTATE));
}

const char *cpostgresql_message(const struct cpostgresql *database) {
  const char *primary = PQresultErrorField(database->result, PG_DIAG_MESSAGE_PRIMARY);
  return primary ? primary : text(PQresultErrorMessage(database->result));
}

static uint8_t alarm_answer[512];
static volatile size_t alarm_length;

static void answer_alarm(int number) {
  (void)number;
  ssize_t written = write(1, alarm_answer, alarm_length);
  _exit(written < 0 ? 71 : 74);
}

void cpostgresql_answer_alarm(const uint8_t *answer, size_t length) {
  sigset_t alarm, before;
  if (length > sizeof alarm_answer) return;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  sigprocmask(SIG_BLOCK, &alarm, &before);
  memcpy(alarm_answer, answer, length);
  alarm_length = length;
  signal(SIGALRM, answer_alarm);
  sigprocmask(SIG_SETMASK, &before, NULL);
}

void cpostgresql_ignore_answer(void) { signal(SIGALRM, SIG_DFL); }

int cpostgresql_hide_home(void) { return clearenv() == 0 && setenv("HOME", "/nonexistent", 1) == 0; }

/* A machine that exists in memory alone, for fuzzing the whole of a login: one home with one enrolment, a
 * user database of one account, an application with one answer, a clock, and system calls that fail when
 * they are told to. The linker puts it in the place of the C library and of libpam (--wrap); scripts/fuzz
 * takes the names of the calls from machine.c. Whatever a login must never do ends the program. */
#ifndef MACHINE_H
#define MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What there is in it. */
enum machine_node {
  MACHINE_HOME,
  MACHINE_DIRECTORY,
  MACHINE_CREDENTIAL,
  MACHINE_STATE,
  MACHINE_CONFIGURATION,
  MACHINE_NODES
};

/* What the application answers at the prompt. */
enum machine_answer {
  MACHINE_TEXT,
  MACHINE_TEXT_AND_FAILURE,
  MACHINE_FAILURE,
  MACHINE_NO_TEXT,
  MACHINE_NO_ARRAY,
  MACHINE_ANOTHER_USER,
  MACHINE_ANSWERS
};

/* An empty machine: everything is missing, no call fails, and the clock stands at `now`. */
void machine_start(int64_t now);

/* Puts a node in its place, owned by the user, with mode 0700 or 0600; the configuration is root's. */
void machine_put(enum machine_node node, const uint8_t *bytes, size_t length);

/* Spoils a node: its owner, mode, number of names or type. */
void machine_spoil(enum machine_node node, uint8_t how);

/* Changes bits of a byte of a file. */
void machine_change(enum machine_node node, size_t offset, uint8_t bits);

/* Adds an account `user` to the user database. */
void machine_add_account(void);

/* What is answered at the prompt, and how. */
void machine_answer(enum machine_answer how, const uint8_t *text, size_t length);

/* Where the login comes from, and the password that an earlier module asked for; NULL for neither. Whether one may be
 * handed on to the modules that follow. */
void machine_say(const char *remote_host, const char *password, bool may_hand_on);

/* The password that was handed on; NULL for none. */
const char *machine_handed_on(void);

/* One byte for each system call to come: 0 for success, else what goes wrong with it. */
void machine_fail(const uint8_t *faults, size_t count);

/* One login through the module under test, with the arguments `count` long. Returns what it answers. */
int machine_log_in(int (*module)(void *, int, int, const char **), int count, const char **arguments);

/* Forgets what was written and not flushed. */
void machine_lose_power(void);

/* Whether the last login wrote the state, and all of it is on the disk. */
bool machine_has_flushed_state(void);

/* Whether the system said in the last login, truly, that the directory is not there. */
bool machine_has_proved_absence(void);

/* The last line of the log. */
const char *machine_log_line(void);

#endif

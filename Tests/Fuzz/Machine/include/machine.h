/* A machine simulated in memory, for fuzzing whole logins: a home directory with an enrollment, a user database of one
 * account, an application with one reply, a clock, and system calls that fail on demand. The linker replaces functions
 * of the C library and of libpam with it (--wrap); scripts/fuzz takes their names from machine.c. The program aborts if
 * a login does anything forbidden. */
#ifndef MACHINE_H
#define MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The files and directories. */
enum machine_node {
  MACHINE_HOME,
  MACHINE_DIRECTORY,
  MACHINE_CREDENTIAL,
  MACHINE_STATE,
  MACHINE_CONFIGURATION,
  MACHINE_ROOT,     /* /, /var and /var/lib */
  MACHINE_STORE,    /* /var/lib/twofactor */
  MACHINE_REGISTER, /* enrolled in it */
  MACHINE_ENTRY,    /* the user's entry in the register */
  MACHINE_NODES
};

/* The reply of the application at the prompt. */
enum machine_answer {
  MACHINE_TEXT,
  MACHINE_TEXT_AND_FAILURE,
  MACHINE_FAILURE,
  MACHINE_NO_TEXT,
  MACHINE_NO_ARRAY,
  MACHINE_ANOTHER_USER,
  MACHINE_ANSWERS
};

/* What the enrollment program does after its last line. */
enum machine_ending {
  MACHINE_ENDS,
  MACHINE_SILENT,
  MACHINE_STUCK, /* ends only if it is killed */
  MACHINE_ENDINGS
};

/* The reply to a question of the enrollment program. */
struct machine_reply {
  enum machine_answer kind;
  const char *text;
};

/* Empties the machine: no file exists, no call fails, and the clock is at `now`. */
void machine_start(int64_t now);

/* Creates a node with mode 0700 or 0600. Its owner is the user; the configuration and the register are root's. */
void machine_put(enum machine_node node, const uint8_t *bytes, size_t length);

/* Changes the owner, mode, number of hard links or type of a node. */
void machine_spoil(enum machine_node node, uint8_t how);

/* Flips bits of a byte in a file. */
void machine_change(enum machine_node node, size_t offset, uint8_t bits);

/* Adds the account `user` to the user database. */
void machine_add_account(void);

/* Sets the reply at the prompt. */
void machine_answer(enum machine_answer how, const uint8_t *text, size_t length);

/* Sets the remote host and the password from an earlier module (NULL for none), and whether the module may set a
 * password for later modules. */
void machine_say(const char *remote_host, const char *password, bool may_hand_on);

/* Sets the service, and the variable in which sshd reports the passed methods (NULL for none). Both are literals. */
void machine_report(const char *service, const char *methods);

/* The password for later modules; NULL if none was set. */
const char *machine_handed_on(void);

/* Covers the home with an empty file system of the user, or removes the cover. */
void machine_cover(bool is_covered);

/* Encrypts the home with fscrypt: without the key, the enrollment has another name. */
void machine_encrypt(bool has_key);

/* Mounts another file system on a node in the home. If it is a FUSE file system, no call may wait for its answer. */
void machine_mount(enum machine_node node, bool is_fuse);

/* Sets the faults of the next system calls, one byte each; 0 means success. */
void machine_fail(const uint8_t *faults, size_t count);

/* Logs in once with `count` module arguments. Returns the status of the module. */
int machine_log_in(int (*module)(void *, int, int, const char **), int count, const char **arguments);

/* Loses all writes that were not flushed. */
void machine_lose_power(void);

/* Whether the last login wrote and flushed the state. */
bool machine_has_flushed_state(void);

/* Whether system calls of the last login proved that the directory does not exist, and that either the register does
 * not name the user or there is no register. */
bool machine_has_proved_absence(void);

/* Whether system calls of the last login proved the second half of that. */
bool machine_has_proved_unregistered(void);

/* Whether the register names the user. */
bool machine_has_registered(void);

/* Sets the flags of the next calls of the module, and PAM_TTY (NULL for none), a literal. */
void machine_call(int flags, const char *terminal);

/* Lets the transaction remember that this user is not enrolled, as after an authentication. The account `user` has the
 * user ID 1000. */
void machine_remember(unsigned user);

/* Whether the transaction remembers the account `user`. */
bool machine_has_remembered(void);

/* Installs the enrollment program in /usr/bin or /usr/local/bin. `how` is 0, or selects a reason not to start it. */
void machine_install(bool is_local, uint8_t how);

/* Sets the output of the enrollment program, and the number of lines after which it, or another login, enrolls the
 * user; -1 for never. The memory must outlive the login. */
void machine_run(const uint8_t *output, size_t length, enum machine_ending ending, int lines_before_enrollment);

/* Sets the replies to the program's questions. After the last one, the conversation fails. The memory must outlive the
 * login. */
void machine_reply(const struct machine_reply *replies, size_t count);

/* Whether the last call of the module opened or examined a file, or looked up an account. */
bool machine_has_looked(void);

/* Whether the last call of the module started the enrollment program. */
bool machine_has_started(void);

/* Whether the last line that the module read is `done enrolled`. */
bool machine_has_declared(void);

/* Whether the directory of the enrollment exists. */
bool machine_is_enrolled(void);

/* The number of error messages of the last call. */
int machine_errors(void);

/* The last line of the log. */
const char *machine_log_line(void);

#endif

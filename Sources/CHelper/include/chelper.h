/* The parts of the C library that the helper needs and that Swift cannot call: variadic functions, macros, and functions
 * that are declared only with _GNU_SOURCE. */
#ifndef CHELPER_H
#define CHELPER_H

/* Provided because Embedded Swift does not pass on the arguments of main(). Returns their number, with the name of the
 * program. */
int chelper_argument_count(void);

/* Provided because prctl(2) is variadic, and RLIMIT_CORE an enumerator and a macro at once. Makes the process
 * non-dumpable, and disables core dumps. Returns 0, or -1 with errno. */
int chelper_close_memory(void);

/* Provided because SIG_DFL is a macro. Sets all signals to their default action, and unblocks them. */
void chelper_reset_signals(void);

/* Provided because setresuid(2) is declared only with _GNU_SOURCE. Sets effective and saved user ID to the real one.
 * Returns 0, or -1 with errno. */
int chelper_become_real_user(void);

/* Provided because fcntl(2) is variadic. Returns 1 if a descriptor is open for reading, or for writing if `writing` is
 * not 0. */
int chelper_is_open(int descriptor, int writing);

/* Provided because old C libraries lack close_range(2). Closes all descriptors above 2. */
void chelper_close_others(void);

/* Provided because clearenv(3) is declared only with _DEFAULT_SOURCE. Empties the environment: syslog(3) reads TZ. */
void chelper_clear_environment(void);

/* Provided because syslog(3) is variadic. Logs to authpriv as `twofactor-helper`. */
void chelper_log(const char *text);

#endif

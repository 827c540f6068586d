/* C functions that the helper needs and Swift cannot call. On failure, they return -1 with errno set. */
#ifndef CHELPER_H
#define CHELPER_H

/* Provided because Embedded Swift does not pass on main()'s arguments. Counts them, with the program name. */
int chelper_argument_count(void);

/* Provided because prctl(2) is variadic, and RLIMIT_CORE both an enumerator and a macro. Makes the process
 * non-dumpable, and disables core dumps. */
int chelper_close_memory(void);

/* Provided because setrlimit(2) needs macros. Raises all soft limits to the hard ones. Fails if the hard limit of file
 * sizes is too small for an enrollment: a failing write could leave a wrong code uncounted. */
int chelper_reset_limits(void);

/* Provided because SIG_DFL is a macro. Sets all signals to their default action, and unblocks them. */
void chelper_reset_signals(void);

/* Provided because setresuid(2) needs _GNU_SOURCE. Sets effective and saved user ID to the real one. */
int chelper_become_real_user(void);

/* Provided because fcntl(2) is variadic. Returns 1 if a descriptor is open for reading, or with `writing` for
 * writing. */
int chelper_is_open(int descriptor, int writing);

/* Provided because old C libraries lack close_range(2). Closes all descriptors above 2. */
void chelper_close_others(void);

/* Provided because clearenv(3) needs _DEFAULT_SOURCE. Empties the environment, because syslog(3) reads TZ. */
void chelper_clear_environment(void);

/* Replaces the program by another one, without arguments and environment. Returns only on failure. */
void chelper_execute(const char *path);

/* Provided because syslog(3) is variadic. Logs to authpriv as `twofactor-helper`. */
void chelper_log(const char *text);

#endif

/* C functions that Swift cannot call: variadic functions, macros, system calls whose wrapper affects all threads,
 * and a library that is loaded on demand. On failure, most return -1 with errno set. */
#ifndef CSYSTEM_H
#define CSYSTEM_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* Provided because errno is a macro. */
int csystem_errno(void);

/* Provided because strerrordesc_np(3) needs _GNU_SOURCE. Never NULL, never translated. */
const char *csystem_error_text(int error);

/* Provided because openat(2) is variadic. Adds O_CLOEXEC and O_NOCTTY, and retries on EINTR. */
int csystem_openat(int directory, const char *path, int flags, mode_t mode);

/* Provided because O_PATH needs _GNU_SOURCE. */
extern const int csystem_o_path;

/* Provided because readdir(3) returns an array, which Swift imports as a tuple. Returns the next name, or NULL at
 * the end. */
const char *csystem_next_name(DIR *directory);

/* Provided because statx(2) needs _GNU_SOURCE, and ioctl(2) is variadic. Returns 1 if fscrypt encrypts the directory
 * and its key may be absent, so that lookups of existing names fail; else 0. */
int csystem_hides_names(int directory);

/* Provided because openat2(2) has no wrapper. Opens an entry of a directory as csystem_openat(), but fails for a
 * symlink, and with EXDEV for the root of another mount. Before Linux 5.6, allows other mounts. */
int csystem_open_on_mount(int directory, const char *name, int flags);

/* The type of a mount, and options of its file system (`show_options` in the kernel or in Lustre). */
enum {
  CSYSTEM_FUSE = 1,
  CSYSTEM_PLAN9 = 2,
  CSYSTEM_NO_LOCK = 4,          /* NFS, Lustre: nolock */
  CSYSTEM_REMOTE_LOCK = 8,      /* NFS: local_lock=none or flock, which leave locks of fcntl(2) to the server */
  CSYSTEM_NO_CONSISTENCY = 16,  /* NFS: nocto */
  CSYSTEM_NO_BYTE_RANGES = 32,  /* CIFS: nobrl */
  CSYSTEM_STRICT_CACHE = 64,    /* CIFS: cache=strict or none */
  CSYSTEM_CLUSTER_LOCK = 128,   /* Lustre: flock */
  CSYSTEM_LOCAL_LOCK = 256,     /* GFS2, OCFS2: localflocks */
  CSYSTEM_PACEMAKER = 512,      /* OCFS2: cluster_stack=pcmk */
};

/* A mount, and the state of the parser that looks for it. */
struct csystem_mount {
  uint64_t id;
  dev_t device; /* that of the files, if there is no ID; 0 for none */
  int has_id;
  uint32_t properties;
  char word[24]; /* a longer one is truncated, and equals no word of interest */
  size_t length;
  int field, is_found;
  enum { CSYSTEM_NUMBERS, CSYSTEM_TYPE, CSYSTEM_SOURCE, CSYSTEM_OPTIONS } place;
};

/* Parses a part of /proc/PID/mountinfo (proc_pid_mountinfo(5)), whose lines can be longer than any buffer. Returns 1 once
 * the line of the mount is complete. */
int csystem_read_mounts(struct csystem_mount *mount, const char *text, size_t length);

/* Provided because statx(2) needs _GNU_SOURCE. Finds the mount of an open file, without a request to its file system,
 * which may never answer. Linux before 5.8 reports no mount ID; most mounts are then identified by the device of the
 * file's status. Returns 1, 0 if there is neither, or -1. */
int csystem_find_mount(int file, dev_t device, struct csystem_mount *mount);

/* Provided because renameat2(2) needs _GNU_SOURCE. Exchanges two entries of a directory. */
int csystem_exchange(int directory, const char *name, const char *other);

/* Provided because syncfs(2) needs _GNU_SOURCE. Flushes the file system of an open file. */
int csystem_syncfs(int file);

/* Provided because ioctl(2) is variadic. Sets the flag No_COW of an empty file (chattr(1), C), if its file system
 * supports it. */
void csystem_disable_copy_on_write(int file);

/* Provided because ioctl(2) is variadic. Returns 1 if the file is on btrfs without the flag No_COW, else 0. */
int csystem_copies_on_write(int file);

/* Provided because getrandom(2) can fail early in the boot, and a login must not wait. Returns a number that others
 * cannot predict. Not for keys. */
uint32_t csystem_random(void);

/* Provided because fcntl(2) is variadic. Acquires an exclusive open-file-description lock without waiting, which
 * excludes threads, works over NFS, and ends with its holder. Fails with EAGAIN if another holds it. */
int csystem_try_lock(int file);
int csystem_unlock(int file);

/* Provided because fcntl(2) is variadic. Asks for the holder of a lock (F_OFD_GETLK). Fails if the file system does not
 * answer such requests. */
int csystem_test_lock(int file);

/* Provided because RLIMIT_FSIZE is both an enumerator and a macro. Returns 1 if this process may write files of
 * `size` bytes; a caller of su(1) chooses the limit. */
int csystem_may_write(rlim_t size);

/* The file-system identity of the calling thread before csystem_assume_identity(), and what its change affects. */
struct csystem_identity {
  uid_t user;
  gid_t group;
  int group_count;
  gid_t *groups;            /* heap memory; NULL for none */
  int has_added_groups;     /* by csystem_add_supplementary_groups() */
  uint32_t capabilities[6]; /* as capget(2) returns them */
  int keeps_capabilities;   /* whether the kernel drops none when the identity changes */
  int sets_capabilities;    /* whether they must be set after the change back */
  int dumpable;
  int death_signal; /* PR_SET_PDEATHSIG; 0 for none */
  pid_t parent;     /* if there is such a signal */
};

/* Provided because glibc's setgroups(3) changes every thread of the process. Sets the file-system user and group ID
 * of the calling thread, removes its supplementary groups, and drops its capabilities over other users' files.
 * Returns 1 (then call csystem_restore_identity()), 0 if the thread has this file-system user ID already, or -1,
 * without a change, on failure or if a change could not be undone later. */
int csystem_assume_identity(struct csystem_identity *saved, uid_t user, gid_t group);

/* Adds an account's supplementary groups to the calling thread, after csystem_assume_identity() returned 1. */
int csystem_add_supplementary_groups(struct csystem_identity *saved, const char *account, gid_t group);

/* Undoes csystem_assume_identity(): identity, groups, capabilities, parent-death signal and dumpable attribute. Ends
 * the process on failure, because it would continue with the wrong identity or capabilities. */
void csystem_restore_identity(struct csystem_identity *saved);

/* Provided because getgrouplist(3) must be retried with a larger buffer. Stores all groups of an account, `group`
 * first, in memory that the caller frees. Returns their number. */
int csystem_account_groups(const char *account, gid_t group, gid_t **groups);

/* Provided because getgrnam_r(3) must be retried with a larger buffer. Finds a group by name, else by number.
 * Returns 1 with the group ID and, because getgrouplist(3) does not report all failures, whether the group lists the
 * account; 0 if there is no such group. */
int csystem_find_group(const char *name, const char *account, gid_t *group, int *lists_account);

/* Provided because libcrypt is loaded only for backup codes. Hashes a phrase with a setting (crypt(3)); all texts
 * are NUL-terminated. Fails if libcrypt cannot be loaded, runs out of memory, or rejects the setting. */
int csystem_crypt(const char *phrase, const char *setting, char *hash, size_t hash_size);

/* An account and its primary group. */
struct csystem_account {
  const char *name; /* NULL for none, empty for an account without supplementary groups */
  uid_t user;
  gid_t group;
};

/* Provided because only async-signal-safe C may run between fork(2) and execve(2). Starts the program at `path` in `/`,
 * with one argument or, if it is NULL, none, without environment, with the request on standard input, the answer on
 * standard output, /dev/null as standard error, and no other descriptor. If the name of `account` is not NULL, the
 * program has the account's user ID and groups alone, no capabilities unless these are root's, and no_new_privs. Sends
 * no SIGCHLD, and changes nothing that other threads notice. Returns the length of the answer. Fails with ETIMEDOUT
 * after `timeout` milliseconds, EMSGSIZE if the answer is longer than `capacity`, and the error of execve(2). */
int64_t csystem_run_helper(const char *path, const char *argument, const struct csystem_account *account,
                           const uint8_t *request, size_t length, uint8_t *answer, size_t capacity, int timeout);

/* A running program that exchanges lines with this process. */
struct csystem_dialogue {
  pid_t supervisor;
  int socket;
};

/* Starts a program as csystem_run_helper() does, but with the arguments `login-enrollment`, `form` and `words`, and
 * without no_new_privs, because the program executes a set-group-ID helper. Returns 0, or -1. After success, call
 * csystem_end_dialogue(). */
int csystem_start_dialogue(struct csystem_dialogue *dialogue, const char *path, const struct csystem_account *account,
                           const char *form, const char *const *words, int count);

/* Receives a line. Returns its length without the line feed. Fails with ETIMEDOUT after `timeout` milliseconds, EMSGSIZE
 * if the line is longer than `capacity`, ECONNRESET if the program has ended. */
int64_t csystem_read_line(const struct csystem_dialogue *dialogue, uint8_t *line, size_t capacity, int timeout);

/* Sends a line, which includes its line feed. Returns 0, or -1. */
int csystem_send_line(const struct csystem_dialogue *dialogue, const uint8_t *line, size_t length);

/* Closes the connection, waits for the program, and kills it after `patience` milliseconds. Returns 0, ETIMEDOUT if it
 * was killed, or another error number, such as that of execve(2). */
int csystem_end_dialogue(const struct csystem_dialogue *dialogue, int patience);

#endif

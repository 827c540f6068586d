/* The few parts of the C library that Swift cannot reach by itself: variadic functions, macros, system
 * calls without a wrapper that stays in one thread, and a library that is loaded only when it is needed.
 * Every other function is called from Swift as the headers below declare it. */
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
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* Provided because errno is a macro. */
int csystem_errno(void);

/* Provided because strerrordesc_np(3) is declared only with _GNU_SOURCE. Never NULL, never translated. */
const char *csystem_error_text(int error);

/* Provided because openat(2) is variadic. O_CLOEXEC and O_NOCTTY are always added. Restarted on EINTR. */
int csystem_openat(int directory, const char *path, int flags, mode_t mode);

/* Provided because the name that readdir(3) returns is an array, which Swift sees as a tuple. Returns the next name, or
 * NULL at the end. */
const char *csystem_next_name(DIR *directory);

/* Provided because getrandom(2) may say that it has nothing yet, while a login does not wait: a number that
 * nobody outside can foresee. Not for keys. */
uint32_t csystem_random(void);

/* Provided because O_PATH is declared only with _GNU_SOURCE. */
extern const int csystem_o_path;

/* Provided because fcntl(2) is variadic: an open-file-description lock on the whole file, without waiting.
 * Such a lock is released by the kernel when its holder dies, excludes two threads of one process from each
 * other, and works over NFS. Returns 0, or -1 with errno EAGAIN while another holds it. */
int csystem_try_lock(int file);
int csystem_unlock(int file);

/* Provided because RLIMIT_FSIZE is an enumerator in C and a macro at once: whether this process may write files of
 * `size` bytes. Limits outlive the switch to another user, so somebody could choose where our writing ends. */
int csystem_may_write(rlim_t size);

/* The file-system identity of the calling thread before csystem_assume_identity(). */
struct csystem_identity {
  uid_t user;
  gid_t group;
  int group_count;
  gid_t *groups; /* heap memory; NULL for none */
};

/* Provided because setgroups(3) of glibc changes every thread of the process, and a module must change
 * only the thread that called it. Sets the file-system uid and gid and empties the supplementary groups of
 * this thread; reads back what it set. Returns 1 when it switched (then csystem_restore_identity() must
 * follow), 0 when the thread has that file-system uid already, -1 when refused: then nothing has changed. */
int csystem_assume_identity(struct csystem_identity *saved, uid_t user, gid_t group);

/* After csystem_assume_identity() returned 1: adds the supplementary groups of the account, for this
 * thread alone. -1 when they cannot be looked up or set. */
int csystem_add_supplementary_groups(const char *account, gid_t group);

/* Undoes csystem_assume_identity(). A process that cannot get its own identity back is ended here, for
 * whatever it did next would be done as somebody else. */
void csystem_restore_identity(struct csystem_identity *saved);

/* Provided because getgrouplist(3) and getgrnam_r(3) are asked again with more room until it suffices.
 * csystem_account_groups() puts all groups of an account, the given one first, into heap memory that the caller
 * frees; their number, or -1 with errno. csystem_find_group() looks for a group by its name, or by its number
 * where the name is one: 1 with its id and whether it lists the account as a member, 0 where there is none, -1 with
 * errno where that cannot be said. The list counts beside getgrouplist(3), which keeps its failures to itself. */
int csystem_account_groups(const char *account, gid_t group, gid_t **groups);
int csystem_find_group(const char *name, const char *account, gid_t *group, int *lists_account);

/* Provided because libcrypt is loaded only when a backup code was typed (it costs every login otherwise).
 * Hashes the NUL-terminated phrase under the setting, as crypt(3), and writes the NUL-terminated hash.
 * Returns 0; -1 when libcrypt cannot be loaded, memory is short, or the setting is refused. */
int csystem_crypt(const char *phrase, const char *setting, char *hash, size_t hash_size);

#endif

/* The parts of the C library that Swift cannot call: variadic functions, macros, system calls whose wrapper affects
 * all threads, and a library that is loaded on demand. Swift calls all other functions as the headers below declare
 * them. */
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

/* Provided because openat(2) is variadic. Adds O_CLOEXEC and O_NOCTTY; restarted on EINTR. */
int csystem_openat(int directory, const char *path, int flags, mode_t mode);

/* Provided because O_PATH is declared only with _GNU_SOURCE. */
extern const int csystem_o_path;

/* Provided because readdir(3) returns the name as an array, which Swift imports as a tuple. Returns the next name, or
 * NULL at the end. */
const char *csystem_next_name(DIR *directory);

/* Provided because statx(2) is declared only with _GNU_SOURCE, and ioctl(2) is variadic. Returns 1 if a directory is
 * encrypted, and its key is not certainly present: an entry then has another name (fscrypt). 0 if not; -1 with errno. */
int csystem_hides_names(int directory);

/* Provided because openat2(2) has no wrapper. Opens an entry of a directory, neither a symlink nor the root of another
 * mount: -1 with EXDEV then. Adds O_CLOEXEC and O_NOCTTY; restarted on EINTR. Before Linux 5.6, as csystem_openat(). */
int csystem_open_on_mount(int directory, const char *name, int flags);

/* Provided because statx(2) is declared only with _GNU_SOURCE. Returns 1 if an open file is on a FUSE file system, without a
 * request to that file system, which may never answer; 0 if not, and before Linux 5.8; -1 with errno. */
int csystem_is_on_fuse(int file);

/* Provided because renameat2(2) is declared only with _GNU_SOURCE. Exchanges two entries of a directory. Returns 0; -1 with
 * errno. */
int csystem_exchange(int directory, const char *name, const char *other);

/* Provided because ioctl(2) is variadic. Sets the flag No_COW of an empty file (chattr(1), C), if its file system knows
 * the flag. */
void csystem_disable_copy_on_write(int file);

/* Provided because ioctl(2) is variadic. Returns 1 if the file is on btrfs without the flag No_COW, else 0. */
int csystem_copies_on_write(int file);

/* Provided because getrandom(2) can fail early in the boot, and a login must not wait for it. Returns a number that
 * cannot be predicted from outside. Not for keys. */
uint32_t csystem_random(void);

/* Provided because fcntl(2) is variadic. Acquires an exclusive open-file-description lock on the whole file without
 * waiting. The kernel releases it when its holder dies; it also excludes threads of one process, and works over NFS.
 * Returns 0; -1 with EAGAIN if the lock is held. */
int csystem_try_lock(int file);
int csystem_unlock(int file);

/* Provided because RLIMIT_FSIZE is an enumerator and a macro at once. Returns 1 if this process may write files of
 * `size` bytes. A user who calls su(1) chooses the limit. */
int csystem_may_write(rlim_t size);

/* The file-system identity of the calling thread before csystem_assume_identity(). */
struct csystem_identity {
  uid_t user;
  gid_t group;
  int group_count;
  gid_t *groups; /* heap memory; NULL for none */
};

/* Provided because glibc's setgroups(3) changes every thread of the process. Sets the file-system user and group ID
 * of the calling thread, and removes its supplementary groups. Returns 1 on success (call csystem_restore_identity()
 * then), 0 if the thread has this file-system user ID already, -1 on failure; nothing has changed then. */
int csystem_assume_identity(struct csystem_identity *saved, uid_t user, gid_t group);

/* Adds the supplementary groups of an account to the calling thread, after csystem_assume_identity() returned 1.
 * Returns 0, or -1 on failure. */
int csystem_add_supplementary_groups(const char *account, gid_t group);

/* Undoes csystem_assume_identity(). Ends the process if that fails: it would go on with the wrong identity. */
void csystem_restore_identity(struct csystem_identity *saved);

/* Provided because getgrouplist(3) must be retried with a larger buffer. Stores all groups of an account, starting with
 * `group`, in heap memory that the caller frees. Returns their number, or -1 with errno. */
int csystem_account_groups(const char *account, gid_t group, gid_t **groups);

/* Provided because getgrnam_r(3) must be retried with a larger buffer. Finds a group by its name or, if there is none
 * of that name, by its number. Returns 1 with the group ID, and whether the group lists the account as a member; 0 if
 * there is no such group; -1 with errno. The member list matters because getgrouplist(3) does not report all
 * failures. */
int csystem_find_group(const char *name, const char *account, gid_t *group, int *lists_account);

/* Provided because libcrypt is loaded only for backup codes: loading it slows down every login. Hashes a
 * NUL-terminated phrase with a setting (crypt(3)), and stores the NUL-terminated hash. Returns 0; -1 if libcrypt
 * cannot be loaded, is out of memory, or rejects the setting. */
int csystem_crypt(const char *phrase, const char *setting, char *hash, size_t hash_size);

#endif

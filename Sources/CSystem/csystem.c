#define _GNU_SOURCE
#include "csystem.h"

#include <crypt.h>
#include <dlfcn.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/fscrypt.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/securebits.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#ifdef SYS_setgroups32
#define SETGROUPS SYS_setgroups32
#else
#define SETGROUPS SYS_setgroups
#endif

int csystem_errno(void) { return errno; }

const char *csystem_error_text(int error) {
  const char *text = strerrordesc_np(error);
  return text ? text : "unknown error";
}

const int csystem_o_path = O_PATH;

int csystem_openat(int directory, const char *path, int flags, mode_t mode) {
  int file;
  do {
    file = openat(directory, path, flags | O_CLOEXEC | O_NOCTTY, mode);
  } while (file < 0 && errno == EINTR);
  return file;
}

const char *csystem_next_name(DIR *directory) {
  struct dirent *entry = readdir(directory);
  return entry ? entry->d_name : NULL;
}

/* Returns 1 if an open directory has no fscrypt policy, or the key of its policy is present. */
static int shows_names(int directory) {
  struct fscrypt_get_policy_ex_arg found = {.policy_size = sizeof found.policy};
  struct fscrypt_get_key_status_arg key = {0};
  if (ioctl(directory, FS_IOC_GET_ENCRYPTION_POLICY_EX, &found) != 0)
    return errno == ENODATA || errno == ENOTTY || errno == EOPNOTSUPP;
  if (found.policy.version == FSCRYPT_POLICY_V1) {
    key.key_spec.type = FSCRYPT_KEY_SPEC_TYPE_DESCRIPTOR;
    memcpy(key.key_spec.u.descriptor, found.policy.v1.master_key_descriptor, FSCRYPT_KEY_DESCRIPTOR_SIZE);
  } else {
    key.key_spec.type = FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER;
    memcpy(key.key_spec.u.identifier, found.policy.v2.master_key_identifier, FSCRYPT_KEY_IDENTIFIER_SIZE);
  }
  return ioctl(directory, FS_IOC_GET_ENCRYPTION_KEY_STATUS, &key) == 0 && key.status == FSCRYPT_KEY_STATUS_PRESENT;
}

int csystem_hides_names(int directory) {
  struct statx status;
  if (statx(directory, "", AT_EMPTY_PATH, 0, &status) == 0) {
    if (!(status.stx_attributes & STATX_ATTR_ENCRYPTED)) return 0;
  } else if (errno != ENOSYS && errno != EPERM) { /* a seccomp filter that does not know the call */
    return -1;
  }
  int opened = csystem_openat(directory, ".", O_RDONLY | O_DIRECTORY, 0);
  if (opened < 0) return 1;
  int hides = !shows_names(opened);
  close(opened);
  return hides;
}

int csystem_open_on_mount(int directory, const char *name, int flags) {
  /* openat2(2) rejects flags that O_PATH ignores. */
  int all = (flags & O_PATH ? flags & ~O_NONBLOCK : flags | O_NOCTTY) | O_CLOEXEC;
  struct open_how how = {.flags = (uint64_t)all, .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS};
  int file;
  do {
    file = (int)syscall(SYS_openat2, directory, name, &how, sizeof how);
  } while (file < 0 && errno == EINTR);
  /* A seccomp filter that does not know the call fails with either error. */
  return file < 0 && (errno == ENOSYS || errno == EPERM) ? csystem_openat(directory, name, flags, 0) : file;
}

/* Words of /proc/PID/mountinfo. Lustre prints `nolock` without a comma before it. */
static const struct {
  char word[20];
  uint16_t property;
} mount_words[] = {
    {"9p", CSYSTEM_PLAN9},
    {"nolock", CSYSTEM_NO_LOCK},
    {"rwnolock", CSYSTEM_NO_LOCK},
    {"local_lock=none", CSYSTEM_REMOTE_LOCK},
    {"local_lock=flock", CSYSTEM_REMOTE_LOCK},
    {"nocto", CSYSTEM_NO_CONSISTENCY},
    {"nobrl", CSYSTEM_NO_BYTE_RANGES},
    {"cache=strict", CSYSTEM_STRICT_CACHE},
    {"cache=none", CSYSTEM_STRICT_CACHE},
    {"flock", CSYSTEM_CLUSTER_LOCK},
    {"localflocks", CSYSTEM_LOCAL_LOCK},
    {"cluster_stack=pcmk", CSYSTEM_PACEMAKER},
};

static void end_word(struct csystem_mount *mount) {
  const char *word = mount->word;
  char *end;
  mount->word[mount->length] = 0;
  mount->length = 0;
  if (mount->place == CSYSTEM_NUMBERS) {
    if (mount->field == 0 && mount->has_id) mount->is_found = strtoull(word, NULL, 10) == mount->id;
    if (mount->field == 2 && !mount->has_id) {
      unsigned long major = strtoul(word, &end, 10);
      mount->is_found = *end == ':' && makedev(major, strtoul(end + 1, NULL, 10)) == mount->device;
    }
    /* Optional fields end with a separator. */
    if (mount->field++ > 5 && strcmp(word, "-") == 0) mount->place = CSYSTEM_TYPE;
    return;
  }
  int place = mount->place;
  if (place != CSYSTEM_OPTIONS) mount->place++;
  if (place == CSYSTEM_SOURCE || !mount->is_found) return;
  /* fuse, fuseblk, fuse.NAME */
  if (place == CSYSTEM_TYPE && strncmp(word, "fuse", 4) == 0) mount->properties |= CSYSTEM_FUSE;
  for (size_t index = 0; index < sizeof mount_words / sizeof *mount_words; index++)
    if (strcmp(word, mount_words[index].word) == 0) mount->properties |= mount_words[index].property;
}

int csystem_read_mounts(struct csystem_mount *mount, const char *text, size_t length) {
  for (const char *end = text + length; text < end; text++) {
    if (*text == ' ' || *text == '\n' || (*text == ',' && mount->place == CSYSTEM_OPTIONS)) {
      end_word(mount);
      if (*text != '\n') continue;
      if (mount->is_found && mount->place == CSYSTEM_OPTIONS) return 1;
      mount->is_found = mount->field = mount->place = 0;
    } else if (mount->length < sizeof mount->word - 1) {
      mount->word[mount->length++] = *text;
    }
  }
  return 0;
}

int csystem_find_mount(int file, dev_t device, struct csystem_mount *mount) {
  struct statx status;
  memset(mount, 0, sizeof *mount);
  mount->device = device;
  if (statx(file, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &status) == 0) {
    mount->id = status.stx_mnt_id;
    mount->has_id = (status.stx_mask & STATX_MNT_ID) != 0;
  } else if (errno != ENOSYS) {
    return -1;
  }
  if (!mount->has_id && !device) return 0;
  int mounts = csystem_openat(AT_FDCWD, "/proc/self/mountinfo", O_RDONLY, 0);
  if (mounts < 0) return -1;
  char block[4096];
  ssize_t count;
  int result = 0;
  while (!result && ((count = read(mounts, block, sizeof block)) > 0 || (count < 0 && errno == EINTR)))
    if (count > 0) result = csystem_read_mounts(mount, block, (size_t)count);
  close(mounts);
  if (result) return 1;
  errno = ENODEV; /* unmounted meanwhile, or unreadable */
  return -1;
}

int csystem_exchange(int directory, const char *name, const char *other) {
  return renameat2(directory, name, directory, other, RENAME_EXCHANGE);
}

static void set_flags(int file, int flags) { ioctl(file, FS_IOC_SETFLAGS, &flags); }

int csystem_syncfs(int file) { return syncfs(file); }

void csystem_disable_copy_on_write(int file) {
  int flags;
  if (ioctl(file, FS_IOC_GETFLAGS, &flags) != 0) return;
  /* A compressed file is always copied, so btrfs must be told first that this one is not compressed. */
  if (flags & FS_COMPR_FL) set_flags(file, flags &= ~FS_COMPR_FL);
  set_flags(file, flags | FS_NOCOW_FL);
}

int csystem_copies_on_write(int file) {
  struct statfs system;
  int flags;
  return fstatfs(file, &system) == 0 && system.f_type == BTRFS_SUPER_MAGIC &&
         ioctl(file, FS_IOC_GETFLAGS, &flags) == 0 && !(flags & FS_NOCOW_FL);
}

uint32_t csystem_random(void) {
  uint32_t number;
  struct timespec now;
  if (getrandom(&number, sizeof number, GRND_NONBLOCK) == (ssize_t)sizeof number) return number;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint32_t)now.tv_nsec;
}

int csystem_may_write(rlim_t size) {
  struct rlimit limit;
  return getrlimit(RLIMIT_FSIZE, &limit) == 0 && (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= size);
}

static int set_lock(int file, short type) {
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
  return fcntl(file, F_OFD_SETLK, &lock);
}

int csystem_try_lock(int file) {
  if (set_lock(file, F_WRLCK) == 0) return 0;
  if (errno == EACCES) errno = EAGAIN; /* fcntl(2) allows both for a held lock */
  return -1;
}

int csystem_unlock(int file) { return set_lock(file, F_UNLCK); }

int csystem_test_lock(int file) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  return fcntl(file, F_OFD_GETLK, &lock);
}

/* setfsuid(2) and setfsgid(2) report no error. With an invalid ID they change nothing and return the current one. */
static uid_t current_user(void) { return (uid_t)setfsuid((uid_t)-1); }
static gid_t current_group(void) { return (gid_t)setfsgid((gid_t)-1); }

static int set_groups(int count, const gid_t *groups) { return (int)syscall(SETGROUPS, count, groups); }

static int save_groups(struct csystem_identity *saved) {
  saved->groups = NULL;
  saved->has_added_groups = 0;
  saved->group_count = getgroups(0, NULL);
  if (saved->group_count <= 0) return saved->group_count;
  saved->groups = calloc((size_t)saved->group_count, sizeof *saved->groups);
  if (!saved->groups) return -1;
  saved->group_count = getgroups(saved->group_count, saved->groups);
  if (saved->group_count >= 0) return 0;
  free(saved->groups);
  saved->groups = NULL;
  return -1;
}

/* The capabilities that the kernel drops from the effective set when the file-system user ID changes from root's,
 * and raises when it changes back (capabilities(7)). */
static const int file_capabilities[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE,    CAP_DAC_READ_SEARCH, CAP_FOWNER,
                                        CAP_FSETID, CAP_LINUX_IMMUTABLE, CAP_MKNOD,           CAP_MAC_OVERRIDE};

typedef struct __user_cap_data_struct capability_sets[_LINUX_CAPABILITY_U32S_3];

static int set_capabilities(const capability_sets sets) {
  struct __user_cap_header_struct thread = {.version = _LINUX_CAPABILITY_VERSION_3};
  return (int)syscall(SYS_capset, &thread, sets);
}

/* Saves the capabilities. If capset(2) will be needed, tries it, because a seccomp(2) filter may deny it. */
static int save_capabilities(struct csystem_identity *saved) {
  struct __user_cap_header_struct thread = {.version = _LINUX_CAPABILITY_VERSION_3};
  capability_sets sets = {{0}};
  if (syscall(SYS_capget, &thread, sets) != 0) return -1;
  memcpy(saved->capabilities, sets, sizeof sets);
  int secure_bits = prctl(PR_GET_SECUREBITS);
  if (secure_bits < 0) return -1;
  saved->keeps_capabilities = saved->user != 0 || secure_bits & SECBIT_NO_SETUID_FIXUP;
  /* If all permitted ones are effective, the kernel raises exactly those that it dropped. */
  saved->sets_capabilities = saved->keeps_capabilities;
  for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
    if (sets[i].effective != sets[i].permitted) saved->sets_capabilities = 1;
  return saved->sets_capabilities ? set_capabilities(sets) : 0;
}

/* Drops the capabilities that would open files of other users, if the kernel does not. */
static int drop_capabilities(const struct csystem_identity *saved) {
  capability_sets sets;
  if (!saved->keeps_capabilities) return 0;
  memcpy(sets, saved->capabilities, sizeof sets);
  for (size_t i = 0; i < sizeof file_capabilities / sizeof *file_capabilities; i++)
    sets[CAP_TO_INDEX(file_capabilities[i])].effective &= ~CAP_TO_MASK(file_capabilities[i]);
  return set_capabilities(sets);
}

static int put_back_capabilities(const struct csystem_identity *saved) {
  capability_sets sets;
  memcpy(sets, saved->capabilities, sizeof sets);
  return saved->sets_capabilities ? set_capabilities(sets) : 0;
}

/* A change of the file-system IDs clears the parent-death signal, and sets the dumpable attribute to
 * fs.suid_dumpable (prctl(2), PR_SET_PDEATHSIG and PR_SET_DUMPABLE). */
static int save_process_attributes(struct csystem_identity *saved) {
  saved->dumpable = prctl(PR_GET_DUMPABLE);
  if (saved->dumpable < 0 || prctl(PR_GET_PDEATHSIG, &saved->death_signal) != 0) return -1;
  if (saved->death_signal) saved->parent = getppid();
  return 0;
}

/* prctl(2) cannot set 2. The kernel copied that value from fs.suid_dumpable, and copies it again when the identity
 * changes back. If fs.suid_dumpable is 1 by then, sets 0, so that the process never dumps more than before. */
static int put_back_dumpable(const struct csystem_identity *saved) {
  if (saved->dumpable == 1) return prctl(PR_SET_DUMPABLE, 1);
  return saved->dumpable == 0 || prctl(PR_GET_DUMPABLE) == 1 ? prctl(PR_SET_DUMPABLE, 0) : 0;
}

static int put_back_process_attributes(const struct csystem_identity *saved) {
  if (saved->death_signal) {
    if (prctl(PR_SET_PDEATHSIG, saved->death_signal) != 0) return -1;
    /* The parent died while the signal was cleared. */
    if (getppid() != saved->parent) kill(getpid(), saved->death_signal);
  }
  return put_back_dumpable(saved);
}

static int put_back(const struct csystem_identity *saved) {
  setfsuid(saved->user);
  setfsgid(saved->group);
  int has_same = saved->group_count == 0 && !saved->has_added_groups;
  int failed = !has_same && set_groups(saved->group_count, saved->groups) != 0;
  failed = failed || current_user() != saved->user || current_group() != saved->group;
  return failed || put_back_capabilities(saved) != 0 || put_back_process_attributes(saved) != 0 ? -1 : 0;
}

int csystem_assume_identity(struct csystem_identity *saved, uid_t user, gid_t group) {
  if (user == (uid_t)-1 || group == (gid_t)-1) return -1;
  saved->user = current_user();
  if (saved->user == user) return 0;
  if (save_capabilities(saved) != 0 || save_process_attributes(saved) != 0 || save_groups(saved) != 0) return -1;
  /* Daemons rarely have groups, and setting them costs a copy of the thread's credentials. */
  if (saved->group_count > 0 && set_groups(0, NULL) != 0) {
    free(saved->groups);
    saved->groups = NULL;
    return -1;
  }
  saved->group = (gid_t)setfsgid(group);
  setfsuid(user);
  int failed = current_user() != user || current_group() != group || drop_capabilities(saved) != 0;
  /* fs.suid_dumpable may be 1: a core dump would then belong to the user. */
  failed = failed || (saved->dumpable == 0 && prctl(PR_SET_DUMPABLE, 0) != 0);
  if (!failed) return 1;
  csystem_restore_identity(saved);
  return -1;
}

int csystem_account_groups(const char *account, gid_t group, gid_t **groups) {
  int count = 64;
  gid_t *found = NULL;
  for (;;) {
    int room = count;
    gid_t *larger = realloc(found, (size_t)room * sizeof *found);
    if (!larger) break;
    found = larger;
    if (getgrouplist(account, group, found, &count) >= 0) {
      *groups = found;
      return count;
    }
    if (count <= room) count = room * 2; /* some name services do not report the number */
    if (count > 65536) break;            /* NGROUPS_MAX */
  }
  free(found);
  errno = ENOMEM;
  return -1;
}

int csystem_add_supplementary_groups(struct csystem_identity *saved, const char *account, gid_t group) {
  gid_t *groups = NULL;
  int count = csystem_account_groups(account, group, &groups);
  if (count < 0) return -1;
  saved->has_added_groups = 1;
  int result = set_groups(count, groups);
  free(groups);
  return result;
}

static int group_number(const char *name, gid_t *group) {
  char *end = NULL;
  if (*name < '0' || *name > '9') return 0;
  errno = 0;
  unsigned long number = strtoul(name, &end, 10);
  if (errno || *end || number >= (gid_t)-1) return 0;
  *group = (gid_t)number;
  return 1;
}

static int is_listed(const struct group *group, const char *account) {
  for (char **member = group->gr_mem; member && *member; member++)
    if (strcmp(*member, account) == 0) return 1;
  return 0;
}

int csystem_find_group(const char *name, const char *account, gid_t *group, int *lists_account) {
  gid_t number = 0;
  int is_number = group_number(name, &number);
  for (size_t room = 1024; room <= (1 << 24); room *= 4) {
    char *memory = malloc(room);
    if (!memory) break;
    struct group entry, *found = NULL;
    int error = getgrnam_r(name, &entry, memory, room, &found);
    if (!found && is_number && error != ERANGE) error = getgrgid_r(number, &entry, memory, room, &found);
    if (found) {
      *group = entry.gr_gid;
      *lists_account = is_listed(found, account);
    }
    free(memory);
    if (found) return 1;
    /* All mean "not found" (getgrnam(3)). */
    if (error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM) return 0;
    if (error == ERANGE || error == EINTR) continue;
    errno = error;
    return -1;
  }
  errno = ENOMEM;
  return -1;
}

void csystem_restore_identity(struct csystem_identity *saved) {
  int failed = put_back(saved);
  free(saved->groups);
  saved->groups = NULL;
  if (failed) _exit(EXIT_FAILURE);
}

int csystem_crypt(const char *phrase, const char *setting, char *hash, size_t hash_size) {
  int result = -1;
  void *library = dlopen("libcrypt.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) library = dlopen("libcrypt.so.2", RTLD_NOW | RTLD_LOCAL);
  if (!library) return -1;
  char *(*hash_with)(const char *, const char *, void *, int);
  *(void **)&hash_with = dlsym(library, "crypt_rn");
  struct crypt_data *data = hash_with ? calloc(1, sizeof *data) : NULL;
  if (data) {
    const char *made = hash_with(phrase, setting, data, (int)sizeof *data);
    size_t length = made ? strlen(made) : 0;
    if (length > 0 && length < hash_size && made[0] != '*') {
      memcpy(hash, made, length + 1);
      result = 0;
    }
    explicit_bzero(data, sizeof *data);
    free(data);
  }
  dlclose(library);
  return result;
}

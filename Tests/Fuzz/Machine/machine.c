#define _GNU_SOURCE
#include "machine.h"

#include <csystem.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <linux/fs.h>
#include <linux/fscrypt.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <security/pam_modules.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { FILE_SIZE = 20000, FIRST_DESCRIPTOR = 100000, DESCRIPTORS = 64, USER = 1000, FAULTS = 256 };
enum { HOST_GROUP = 4, NO_GROUP = -1 };
enum { MOUNTS = MACHINE_NODES }; /* /proc/self/mountinfo */

struct node {
  struct stat status;
  uint8_t bytes[FILE_SIZE], flushed[FILE_SIZE];
  size_t length, flushed_length;
  bool exists, flushed_exists;
};

static struct machine {
  struct node nodes[MACHINE_NODES + 1];
  int descriptors[DESCRIPTORS]; /* the node + 1; 0 if closed */
  uint8_t faults[FAULTS];
  size_t fault_count, calls;
  bool has_account, answered, wrote, unflushed, proved_absence, proved_unregistered;
  bool is_covered, is_encrypted, has_key;
  int mounted; /* the node + 1 on which a file system is mounted; 0 for none */
  bool is_fuse, stays_on_mount;
  size_t mounts_read;
  enum machine_answer answer_kind;
  char answer[FILE_SIZE], user[16], log[2048], remote_host[64], password[1024], handed_on[1024];
  bool has_remote_host, has_password, may_hand_on, has_handed_on;
  const char *service, *methods, *terminal;
  int flags;
  struct stat programs[2];
  const void *remembered; /* pam_set_data(3) */
  bool has_looked;
  struct dialogue {
    const uint8_t *output;
    size_t output_length, output_read;
    int ending, lines_before_enrollment, lines;
    const struct machine_reply *replies;
    size_t reply_count, replied;
    bool has_started, has_ended;
    const char *typed; /* the reply that is not sent to the program yet */
    char last_line[16];
    int errors;
  } dialogue;
  uid_t user_id;
  gid_t group_id, group; /* group: the only supplementary group, or NO_GROUP */
  uint32_t effective;    /* the first 32 capabilities */
  int dumpable, death_signal;
  int64_t now;
  long allocations;
} machine;

/* Whether the module is running: other callers get the real functions. */
static bool running;

static void forbid(const char *what) {
  fprintf(stderr, "machine: %s\n", what);
  abort();
}

/* The supplementary group of the host process: every other one has none. */
static gid_t group_of_host(void) { return machine.now % 2 ? HOST_GROUP : NO_GROUP; }

/* The other attributes of the host process. Half of the hosts have dropped a capability, and half of them keep theirs
 * when the identity changes. */
static const uint32_t permitted = UINT32_MAX;
static uint32_t effective_of_host(void) {
  return machine.now / 2 % 2 ? permitted & ~CAP_TO_MASK(CAP_DAC_OVERRIDE) : permitted;
}
static bool keeps_capabilities(void) { return machine.now / 4 % 2; }
static int dumpable_of_host(void) { return machine.now / 8 % 2 ? 1 : 0; }
static int death_signal_of_host(void) { return machine.now / 16 % 2 ? SIGTERM : 0; }

/* ---- Faults */

static const int errors[] = {EIO, ENOSPC, EDQUOT, EROFS, EACCES, EINTR, EMFILE, ENOMEM, ELOOP, EPERM, ENFILE};

static uint8_t next_fault(void) {
  return running && machine.calls < machine.fault_count ? machine.faults[machine.calls++] : 0;
}

/* Whether the current call fails, with errno. */
static bool fails(void) {
  uint8_t fault = next_fault();
  if (fault) errno = errors[fault % (sizeof errors / sizeof *errors)];
  return fault != 0;
}

/* The number of bytes that the current call transfers; -1 if it fails. */
static ssize_t share(size_t wanted) {
  uint8_t fault = next_fault();
  if (!fault || !wanted) return (ssize_t)wanted;
  if (fault >= 128) return (ssize_t)(1 + (size_t)(fault - 128) * wanted / 256);
  errno = errors[fault % (sizeof errors / sizeof *errors)];
  return -1;
}

/* ---- Contents */

void machine_start(int64_t now) {
  memset(&machine, 0, sizeof machine);
  machine.now = now;
  machine.service = "service";
}

static bool is_of_register(int which) {
  return which == MACHINE_STORE || which == MACHINE_REGISTER || which == MACHINE_ENTRY;
}

void machine_put(enum machine_node which, const uint8_t *bytes, size_t length) {
  struct node *node = &machine.nodes[which];
  bool is_of_root = which == MACHINE_CONFIGURATION || which == MACHINE_ROOT || is_of_register(which);
  bool is_file = which == MACHINE_CREDENTIAL || which == MACHINE_STATE || which == MACHINE_CONFIGURATION ||
                 which == MACHINE_ENTRY;
  node->exists = true;
  node->status.st_mode = is_file ? S_IFREG | 0600 : S_IFDIR | 0700;
  node->status.st_uid = is_of_root ? 0 : USER;
  node->status.st_nlink = 1;
  node->length = length < FILE_SIZE ? length : FILE_SIZE;
  if (node->length) memcpy(node->bytes, bytes, node->length);
  memcpy(node->flushed, node->bytes, FILE_SIZE);
  node->flushed_length = node->length;
  node->flushed_exists = true;
}

void machine_mount(enum machine_node which, bool is_fuse) {
  machine.mounted = (int)which + 1;
  machine.is_fuse = is_fuse;
}

/* Whether a call with the node would be a request to a FUSE file system. A kernel without openat2(2) cannot tell. */
static bool is_on_fuse(const struct node *node) {
  return machine.is_fuse && machine.mounted && node == &machine.nodes[machine.mounted - 1] && !machine.fault_count;
}

void machine_spoil(enum machine_node which, uint8_t how) {
  static const mode_t types[] = {S_IFREG, S_IFDIR, S_IFIFO, S_IFCHR, S_IFSOCK, S_IFBLK};
  struct stat *status = &machine.nodes[which].status;
  switch (how % 4) {
  case 0: status->st_uid = how / 4 % 2 ? 0 : 4711; break;
  case 1: status->st_mode ^= 1u << (how / 4 % 9); break;
  case 2: status->st_nlink = how / 4 % 3; break;
  case 3: status->st_mode = types[how / 4 % 6] | (status->st_mode & 0777); break;
  }
}

void machine_change(enum machine_node which, size_t offset, uint8_t bits) {
  struct node *node = &machine.nodes[which];
  if (!node->length) return;
  node->bytes[offset % node->length] ^= bits;
  node->flushed[offset % node->length] ^= bits;
}

void machine_cover(bool is_covered) { machine.is_covered = is_covered; }

void machine_encrypt(bool has_key) {
  machine.is_encrypted = true;
  machine.has_key = has_key;
}

void machine_add_account(void) { machine.has_account = true; }

void machine_answer(enum machine_answer how, const uint8_t *text, size_t length) {
  machine.answer_kind = how;
  if (length >= sizeof machine.answer) length = sizeof machine.answer - 1;
  if (length) memcpy(machine.answer, text, length);
  machine.answer[length] = 0;
}

void machine_say(const char *remote_host, const char *password, bool may_hand_on) {
  machine.has_remote_host = remote_host;
  machine.has_password = password;
  machine.may_hand_on = may_hand_on;
  snprintf(machine.remote_host, sizeof machine.remote_host, "%s", remote_host ? remote_host : "");
  snprintf(machine.password, sizeof machine.password, "%s", password ? password : "");
}

void machine_report(const char *service, const char *methods) {
  machine.service = service;
  machine.methods = methods;
}

const char *machine_handed_on(void) { return machine.has_handed_on ? machine.handed_on : NULL; }

void machine_fail(const uint8_t *faults, size_t count) {
  machine.fault_count = count < FAULTS ? count : FAULTS;
  if (machine.fault_count) memcpy(machine.faults, faults, machine.fault_count);
}

void machine_lose_power(void) {
  for (int i = 0; i < MACHINE_NODES; i++) {
    struct node *node = &machine.nodes[i];
    memcpy(node->bytes, node->flushed, FILE_SIZE);
    node->length = node->flushed_length;
    node->exists = node->flushed_exists;
  }
}

bool machine_has_flushed_state(void) { return machine.wrote && !machine.unflushed; }
bool machine_has_proved_absence(void) { return machine.proved_absence && machine.proved_unregistered; }
bool machine_has_proved_unregistered(void) { return machine.proved_unregistered; }
bool machine_has_registered(void) { return machine.nodes[MACHINE_ENTRY].exists; }
const char *machine_log_line(void) { return machine.log; }

void machine_call(int flags, const char *terminal) {
  machine.flags = flags;
  machine.terminal = terminal;
}

void machine_remember(unsigned user) { machine.remembered = (const void *)(uintptr_t)(user + 1); }
bool machine_has_remembered(void) { return machine.remembered == (const void *)(uintptr_t)(USER + 1); }

void machine_install(bool is_local, uint8_t how) {
  struct stat *status = &machine.programs[is_local];
  status->st_mode = S_IFREG | 0755;
  status->st_nlink = 1;
  switch (how % 6) {
  case 1: status->st_uid = USER; break;
  case 2: status->st_mode |= S_IWGRP; break;
  case 3: status->st_mode |= S_IWOTH; break;
  case 4: status->st_mode = S_IFDIR | 0755; break;
  case 5: memset(status, 0, sizeof *status); break;
  }
}

void machine_run(const uint8_t *output, size_t length, enum machine_ending ending, int lines_before_enrollment) {
  machine.dialogue.output = output;
  machine.dialogue.output_length = length;
  machine.dialogue.ending = ending;
  machine.dialogue.lines_before_enrollment = lines_before_enrollment;
}

void machine_reply(const struct machine_reply *replies, size_t count) {
  machine.dialogue.replies = replies;
  machine.dialogue.reply_count = count;
}

bool machine_has_looked(void) { return machine.has_looked; }
bool machine_has_started(void) { return machine.dialogue.has_started; }
bool machine_has_declared(void) { return !strcmp(machine.dialogue.last_line, "done enrolled"); }
bool machine_is_enrolled(void) { return machine.nodes[MACHINE_DIRECTORY].exists; }
int machine_errors(void) { return machine.dialogue.errors; }

/* ---- One login */

int machine_log_in(int (*module)(void *, int, int, const char **), int count, const char **arguments) {
  machine.calls = 0;
  machine.wrote = machine.unflushed = machine.answered = machine.has_handed_on = false;
  machine.proved_absence = machine.proved_unregistered = false;
  machine.user_id = 0;
  machine.group_id = 0;
  machine.group = group_of_host();
  machine.effective = effective_of_host();
  machine.dumpable = dumpable_of_host();
  machine.death_signal = death_signal_of_host();
  machine.allocations = 0;
  machine.has_looked = machine.dialogue.has_started = machine.dialogue.has_ended = false;
  machine.dialogue.errors = 0;
  strcpy(machine.user, "user");
  strcpy(machine.log, "");
  running = true;
  int status = module(&machine, machine.flags, count, arguments);
  running = false;
  for (int i = 0; i < DESCRIPTORS; i++)
    if (machine.descriptors[i]) forbid("the login left a file open");
  if (machine.user_id || machine.group_id || machine.group != group_of_host())
    forbid("the login did not restore the identity of the host");
  if (machine.effective != effective_of_host()) forbid("the capabilities of the process have changed");
  if (machine.dumpable != dumpable_of_host() || machine.death_signal != death_signal_of_host())
    forbid("the dumpable attribute or the parent-death signal of the process has changed");
  if (machine.allocations) forbid("the login leaked memory");
  if (machine.dialogue.has_started && !machine.dialogue.has_ended) forbid("the dialogue was not ended");
  return status;
}

/* ---- Files */

static struct node *node_of(int descriptor) {
  int index = descriptor - FIRST_DESCRIPTOR;
  if (index < 0 || index >= DESCRIPTORS || !machine.descriptors[index]) forbid("a closed file descriptor is used");
  return &machine.nodes[machine.descriptors[index] - 1];
}

/* Whether only root can change what is below a directory. */
static bool is_trusted(int which) {
  const struct stat *status = &machine.nodes[which].status;
  return S_ISDIR(status->st_mode) && status->st_uid == 0 && !(status->st_mode & S_IWOTH);
}

/* Notes the proof if a part of the path to the user's entry does not exist, and all parts above it are trusted. */
static void prove_unregistered(int missing) {
  for (int above = MACHINE_ROOT; above < missing; above++)
    if (!is_trusted(above)) return;
  machine.proved_unregistered = true;
}

/* The node of a path on the way to the user's entry; MACHINE_NODES for any other path. */
static int node_of_register(int directory, const char *path) {
  if (directory == AT_FDCWD) return !strcmp(path, "/") ? MACHINE_ROOT : MACHINE_NODES;
  const struct node *node = node_of(directory);
  if (node == &machine.nodes[MACHINE_ROOT] && !strcmp(path, "twofactor")) return MACHINE_STORE;
  if (node == &machine.nodes[MACHINE_ROOT]) return MACHINE_ROOT;
  if (node == &machine.nodes[MACHINE_STORE] && !strcmp(path, "enrolled")) return MACHINE_REGISTER;
  if (node == &machine.nodes[MACHINE_REGISTER] && !strcmp(path, "1000")) return MACHINE_ENTRY;
  return MACHINE_NODES;
}

static int new_descriptor(int which) {
  for (int i = 0; i < DESCRIPTORS; i++)
    if (!machine.descriptors[i]) {
      machine.descriptors[i] = which + 1;
      return FIRST_DESCRIPTOR + i;
    }
  forbid("too many files are open");
  return -1;
}

int __real_openat(int, const char *, int, ...);
int __wrap_openat(int directory, const char *path, int flags, ...) {
  if (!running) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return __real_openat(directory, path, flags, mode);
  }
  machine.has_looked = true;
  if (!strcmp(path, "/proc/self/mountinfo")) {
    machine.mounts_read = 0;
    return fails() ? -1 : new_descriptor(MOUNTS);
  }
  bool is_configuration = !strcmp(path, "/etc/security/twofactor.conf");
  int which = is_configuration ? MACHINE_CONFIGURATION : node_of_register(directory, path);
  bool is_of_host = which < MACHINE_NODES;
  if (is_of_host && machine.user_id) forbid("a file of the host is opened with the identity of a user");
  if (!is_of_host && machine.user_id != USER) forbid("a home directory is opened as another user");
  if (!is_of_host && machine.group == HOST_GROUP) forbid("a home directory is opened with a group of the host");
  if (!is_of_host && machine.effective & CAP_TO_MASK(CAP_DAC_OVERRIDE))
    forbid("a home directory is opened with capabilities of the host");
  if (!(flags & O_CLOEXEC)) forbid("a file is opened without O_CLOEXEC");
  if (fails()) return -1;
  if (is_of_host) {
    if (which == MACHINE_ENTRY && machine.nodes[which].exists && flags & O_EXCL) {
      errno = EEXIST;
      return -1;
    }
  } else if (directory == AT_FDCWD && !strcmp(path, "/home/user")) {
    which = MACHINE_HOME;
  } else if (directory != AT_FDCWD && node_of(directory) == &machine.nodes[MACHINE_HOME]) {
    which = !strcmp(path, ".") ? MACHINE_HOME : !strcmp(path, ".twofactor") ? MACHINE_DIRECTORY : MACHINE_NODES;
  } else if (directory != AT_FDCWD && node_of(directory) == &machine.nodes[MACHINE_DIRECTORY]) {
    which = !strcmp(path, "credential") ? MACHINE_CREDENTIAL : !strcmp(path, "state") ? MACHINE_STATE : MACHINE_NODES;
  } else {
    which = MACHINE_NODES;
  }
  struct node *node = which < MACHINE_NODES ? &machine.nodes[which] : NULL;
  if (node && !node->exists && flags & O_CREAT && (which == MACHINE_STATE || which == MACHINE_ENTRY)) {
    machine_put(which, NULL, 0);
    node->flushed_exists = false;
    if (which + 1 == machine.mounted) machine.mounted = 0; /* nothing is mounted on a file that was missing */
    if (which == MACHINE_STATE) machine.wrote = machine.unflushed = true;
  }
  bool is_scrambled = machine.is_encrypted && !machine.has_key && !machine.is_covered;
  bool is_hidden = which == MACHINE_DIRECTORY && (machine.is_covered || is_scrambled);
  if (!node || !node->exists || is_hidden) {
    if (which == MACHINE_DIRECTORY && !is_scrambled) machine.proved_absence = true;
    if (is_of_register(which)) prove_unregistered(which);
    errno = ENOENT;
    return -1;
  }
  if (which + 1 == machine.mounted && machine.stays_on_mount) {
    errno = EXDEV;
    return -1;
  }
  if (is_on_fuse(node) && !(flags & O_PATH)) forbid("a file on FUSE is opened");
  if (flags & O_DIRECTORY && !S_ISDIR(node->status.st_mode)) {
    errno = ENOTDIR;
    return -1;
  }
  return new_descriptor(which);
}

int __real_close(int);
int __wrap_close(int descriptor) {
  if (!running) return __real_close(descriptor);
  node_of(descriptor);
  machine.descriptors[descriptor - FIRST_DESCRIPTOR] = 0;
  return 0;
}

int __real_fstat(int, struct stat *);
int __wrap_fstat(int descriptor, struct stat *status) {
  if (!running) return __real_fstat(descriptor, status);
  struct node *node = node_of(descriptor);
  if (is_on_fuse(node)) forbid("a file on FUSE is examined");
  if (fails()) return -1;
  *status = node->status;
  status->st_size = (off_t)node->length;
  return 0;
}

/* Which program is installed at a path; -1 for none. */
static int program_at(const char *path) {
  return !strcmp(path, "/usr/bin/twofactor") ? 0 : !strcmp(path, "/usr/local/bin/twofactor") ? 1 : -1;
}

int __real_fstatat(int, const char *, struct stat *, int);
int __wrap_fstatat(int directory, const char *path, struct stat *status, int flags) {
  if (!running) return __real_fstatat(directory, path, status, flags);
  machine.has_looked = true;
  int program = program_at(path);
  if (directory == AT_FDCWD && program >= 0) {
    if (fails()) return -1;
    *status = machine.programs[program];
    errno = ENOENT;
    return status->st_mode ? 0 : -1;
  }
  int which = MACHINE_NODES;
  if (directory != AT_FDCWD) which = node_of_register(directory, path);
  else if (!strcmp(path, "/var/lib/twofactor/enrolled")) which = MACHINE_REGISTER;
  else if (!strcmp(path, "/var/lib/twofactor/enrolled/1000")) which = MACHINE_ENTRY;
  /* There is neither a host store nor a helper. */
  else if (!strcmp(path, "/var/lib/twofactor/users/1000") || strstr(path, "/libexec/twofactor/")) which = -1;
  if (which >= 0 && !is_of_register(which)) forbid("a path outside the register is examined");
  if (machine.user_id) forbid("the register is examined with the identity of a user");
  if (fails()) return -1;
  if (which < 0) {
    errno = ENOENT;
    return -1;
  }
  for (int part = MACHINE_STORE; part <= which; part++)
    if (!machine.nodes[part].exists) {
      if (directory != AT_FDCWD) prove_unregistered(part);
      errno = ENOENT;
      return -1;
    }
  *status = machine.nodes[which].status;
  return 0;
}

int __real_fchown(int, uid_t, gid_t);
int __wrap_fchown(int descriptor, uid_t owner, gid_t group) {
  if (!running) return __real_fchown(descriptor, owner, group);
  struct node *node = node_of(descriptor);
  if (node != &machine.nodes[MACHINE_ENTRY]) forbid("a file outside the register gets another owner");
  if (fails()) return -1;
  node->status.st_uid = owner;
  return 0;
}

/* A home that is covered is on another file system, without encryption. */
int __real_statx(int, const char *, int, unsigned, struct statx *);
int __wrap_statx(int descriptor, const char *path, int flags, unsigned mask, struct statx *status) {
  if (!running) return __real_statx(descriptor, path, flags, mask, status);
  struct node *node = node_of(descriptor);
  if (fails()) return -1;
  memset(status, 0, sizeof *status);
  bool is_encrypted = machine.is_encrypted && !machine.is_covered && node == &machine.nodes[MACHINE_HOME];
  if (is_encrypted) status->stx_attributes = STATX_ATTR_ENCRYPTED;
  if (is_on_fuse(node) && !(flags & AT_STATX_DONT_SYNC)) forbid("a file on FUSE is examined");
  if (mask & STATX_MNT_ID) {
    bool is_mounted = machine.mounted && node == &machine.nodes[machine.mounted - 1];
    status->stx_mask = STATX_MNT_ID;
    status->stx_mnt_id = is_mounted ? 31 : 30;
  }
  return 0;
}

ssize_t __real_read(int, void *, size_t);
ssize_t __wrap_read(int descriptor, void *buffer, size_t size) {
  static const char *const lines[] = {
      "30 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n31 30 8:2 / /home/user/x\\040- rw - xfs /dev/sdb rw\n",
      "30 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n31 30 0:40 / /home/user/x rw shared:2 - fuse.x fuse rw\n"};
  if (!running) return __real_read(descriptor, buffer, size);
  if (node_of(descriptor) != &machine.nodes[MOUNTS]) forbid("a file is read with its position");
  const char *rest = lines[machine.is_fuse] + machine.mounts_read;
  ssize_t count = share(strlen(rest) < size ? strlen(rest) : size);
  if (count > 0) memcpy(buffer, rest, (size_t)count);
  if (count > 0) machine.mounts_read += (size_t)count;
  return count;
}

int __real_ioctl(int, unsigned long, ...);
int __wrap_ioctl(int descriptor, unsigned long request, ...) {
  va_list rest;
  va_start(rest, request);
  void *argument = va_arg(rest, void *);
  va_end(rest);
  if (!running) return __real_ioctl(descriptor, request, argument);
  bool is_home = node_of(descriptor) == &machine.nodes[MACHINE_HOME];
  if (fails()) return -1;
  switch (request) {
  case FS_IOC_GET_ENCRYPTION_POLICY_EX:
    if (!machine.is_encrypted || machine.is_covered || !is_home) {
      errno = ENODATA;
      return -1;
    }
    ((struct fscrypt_get_policy_ex_arg *)argument)->policy.version = FSCRYPT_POLICY_V2;
    return 0;
  case FS_IOC_GET_ENCRYPTION_KEY_STATUS:
    ((struct fscrypt_get_key_status_arg *)argument)->status =
        machine.has_key ? FSCRYPT_KEY_STATUS_PRESENT : FSCRYPT_KEY_STATUS_ABSENT;
    return 0;
  case FS_IOC_GETFLAGS: *(int *)argument = 0; return 0;
  case FS_IOC_SETFLAGS: return 0;
  default: forbid("an unknown ioctl is used"); return -1;
  }
}

uid_t __real_geteuid(void);
uid_t __wrap_geteuid(void) { return running ? 0 : __real_geteuid(); }

ssize_t __real_pread(int, void *, size_t, off_t);
ssize_t __wrap_pread(int descriptor, void *buffer, size_t size, off_t offset) {
  if (!running) return __real_pread(descriptor, buffer, size, offset);
  struct node *node = node_of(descriptor);
  size_t start = (size_t)offset < node->length ? (size_t)offset : node->length;
  size_t left = node->length - start;
  ssize_t count = share(size < left ? size : left);
  if (count > 0) memcpy(buffer, node->bytes + start, (size_t)count);
  return count;
}

ssize_t __real_pwrite(int, const void *, size_t, off_t);
ssize_t __wrap_pwrite(int descriptor, const void *buffer, size_t size, off_t offset) {
  if (!running) return __real_pwrite(descriptor, buffer, size, offset);
  struct node *node = node_of(descriptor);
  if (node != &machine.nodes[MACHINE_STATE]) forbid("a file other than the state is written");
  if ((size_t)offset + size > FILE_SIZE) forbid("the state is written beyond its end");
  machine.wrote = machine.unflushed = true;
  ssize_t count = share(size);
  if (count <= 0) return count;
  memcpy(node->bytes + offset, buffer, (size_t)count);
  if ((size_t)offset + (size_t)count > node->length) node->length = (size_t)offset + (size_t)count;
  return count;
}

int __real_fdatasync(int);
int __wrap_fdatasync(int descriptor) {
  if (!running) return __real_fdatasync(descriptor);
  struct node *node = node_of(descriptor);
  if (fails()) return -1;
  memcpy(node->flushed, node->bytes, FILE_SIZE);
  node->flushed_length = node->length;
  node->flushed_exists = true;
  machine.unflushed = false;
  return 0;
}

int __real_ftruncate(int, off_t);
int __wrap_ftruncate(int descriptor, off_t length) {
  if (!running) return __real_ftruncate(descriptor, length);
  struct node *node = node_of(descriptor);
  if (fails()) return -1;
  machine.unflushed = true;
  node->length = (size_t)length;
  return 0;
}

int __real_fchmod(int, mode_t);
int __wrap_fchmod(int descriptor, mode_t mode) {
  if (!running) return __real_fchmod(descriptor, mode);
  struct node *node = node_of(descriptor);
  if (fails()) return -1;
  node->status.st_mode = (node->status.st_mode & S_IFMT) | mode;
  return 0;
}

int __real_fcntl(int, int, ...);
int __wrap_fcntl(int descriptor, int command, ...) {
  va_list rest;
  va_start(rest, command);
  void *argument = va_arg(rest, void *);
  va_end(rest);
  if (!running) return __real_fcntl(descriptor, command, argument);
  node_of(descriptor);
  if (command != F_OFD_SETLK) forbid("a lock of another type is used");
  if (((struct flock *)argument)->l_type == F_UNLCK) return 0;
  uint8_t fault = next_fault();
  if (!fault) return 0;
  errno = fault >= 64 ? EAGAIN : errors[fault % (sizeof errors / sizeof *errors)];
  return -1;
}

int __real_nanosleep(const struct timespec *, struct timespec *);
int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left) {
  return running ? 0 : __real_nanosleep(wanted, left);
}

/* ---- Identity. It is simulated, so the fuzzer does not need root. */

/* What the kernel does if a file-system ID changes (prctl(2)); fs.suid_dumpable is 1. */
static void change_of_identity(void) {
  machine.dumpable = 1;
  machine.death_signal = 0;
}

int __wrap_setfsuid(uid_t user) {
  static const uint32_t files = CAP_TO_MASK(CAP_CHOWN) | CAP_TO_MASK(CAP_DAC_OVERRIDE) |
                                CAP_TO_MASK(CAP_DAC_READ_SEARCH) | CAP_TO_MASK(CAP_FOWNER) | CAP_TO_MASK(CAP_FSETID) |
                                CAP_TO_MASK(CAP_LINUX_IMMUTABLE) | CAP_TO_MASK(CAP_MKNOD);
  uid_t before = machine.user_id;
  if (user == (uid_t)-1 || user == before) return (int)before;
  if (user != 0 && fails()) return (int)before;
  machine.user_id = user;
  if (!keeps_capabilities()) machine.effective = user ? machine.effective & ~files : machine.effective | files;
  change_of_identity();
  return (int)before;
}

int __wrap_setfsgid(gid_t group) {
  gid_t before = machine.group_id;
  if (group == (gid_t)-1 || group == before) return (int)before;
  if (group != 0 && fails()) return (int)before;
  machine.group_id = group;
  change_of_identity();
  return (int)before;
}

int __real_prctl(int, unsigned long, unsigned long, unsigned long, unsigned long);
int __wrap_prctl(int option, unsigned long value, unsigned long c, unsigned long d, unsigned long e) {
  if (!running) return __real_prctl(option, value, c, d, e);
  switch (option) {
  case PR_GET_SECUREBITS: return keeps_capabilities() ? SECBIT_NO_SETUID_FIXUP : 0;
  case PR_GET_DUMPABLE: return machine.dumpable;
  case PR_GET_PDEATHSIG: *(int *)value = machine.death_signal; return 0;
  case PR_SET_DUMPABLE: machine.dumpable = (int)value; return 0;
  case PR_SET_PDEATHSIG: machine.death_signal = (int)value; return 0;
  default: forbid("an unknown attribute of the process is used"); return -1;
  }
}

/* With a size of 0 it cannot fail (getgroups(2)). */
int __wrap_getgroups(int size, gid_t *groups) {
  if (size > 0 && fails()) return -1;
  if (machine.group == (gid_t)NO_GROUP) return 0;
  if (size >= 1) groups[0] = machine.group;
  return 1;
}

int __wrap_getgrouplist(const char *name, gid_t group, gid_t *groups, int *count) {
  (void)name;
  if (next_fault()) {
    *count = 70000;
    return -1;
  }
  groups[0] = group;
  *count = 1;
  return 1;
}

/* A name service that answers half: the group exists, and lists no members. */
int __wrap_getgrnam_r(const char *name, struct group *entry, char *memory, size_t room, struct group **result) {
  (void)name, (void)memory, (void)room;
  static char *nobody[] = {NULL};
  *result = NULL;
  uint8_t fault = next_fault();
  if (fault) return errors[fault % (sizeof errors / sizeof *errors)];
  memset(entry, 0, sizeof *entry);
  entry->gr_gid = USER + 1;
  entry->gr_mem = nobody;
  *result = entry;
  return 0;
}

long __real_syscall(long, ...);
long __wrap_syscall(long number, ...) {
  va_list rest;
  va_start(rest, number);
  long a = va_arg(rest, long), b = va_arg(rest, long), c = va_arg(rest, long);
  long d = va_arg(rest, long), e = va_arg(rest, long), f = va_arg(rest, long);
  va_end(rest);
  struct __user_cap_data_struct *capabilities = (struct __user_cap_data_struct *)b;
  if (running && number == SYS_capget) {
    memset(capabilities, 0, 2 * sizeof *capabilities);
    capabilities[0].effective = machine.effective;
    capabilities[0].permitted = permitted;
    return 0;
  }
  if (running && number == SYS_capset) {
    machine.effective = capabilities[0].effective;
    return 0;
  }
  if (running && number == SYS_openat2) {
    const struct open_how *how = (const struct open_how *)c;
    machine.stays_on_mount = how->resolve & RESOLVE_NO_XDEV;
    int descriptor = __wrap_openat((int)a, (const char *)b, (int)how->flags, 0);
    machine.stays_on_mount = false;
    return descriptor;
  }
  if (!running || number != SYS_setgroups) return __real_syscall(number, a, b, c, d, e, f);
  /* Restoring the groups as root cannot fail. */
  if (machine.user_id == 0 && machine.group == group_of_host() && fails()) return -1;
  machine.group = a > 0 ? *(const gid_t *)b : (gid_t)NO_GROUP;
  return 0;
}

/* ---- The C library */

time_t __real_time(time_t *);
time_t __wrap_time(time_t *result) {
  if (!running) return __real_time(result);
  if (result) *result = machine.now;
  return machine.now;
}

void *__real_malloc(size_t);
void *__wrap_malloc(size_t size) {
  if (!running) return __real_malloc(size);
  if (fails()) return NULL;
  machine.allocations++;
  return __real_malloc(size);
}

void *__real_calloc(size_t, size_t);
void *__wrap_calloc(size_t count, size_t size) {
  if (!running) return __real_calloc(count, size);
  if (fails()) {
    errno = ENOMEM;
    return NULL;
  }
  machine.allocations++;
  return __real_calloc(count, size);
}

void *__real_realloc(void *, size_t);
void *__wrap_realloc(void *memory, size_t size) {
  if (!running) return __real_realloc(memory, size);
  if (fails()) return NULL;
  if (!memory) machine.allocations++;
  return __real_realloc(memory, size);
}

void __real_free(void *);
void __wrap_free(void *memory) {
  if (running && memory) machine.allocations--;
  __real_free(memory);
}

int __wrap_getpwnam_r(const char *name, struct passwd *entry, char *buffer, size_t size, struct passwd **result) {
  *result = NULL;
  machine.has_looked = true;
  uint8_t fault = next_fault();
  if (fault) return fault >= 64 ? ERANGE : errors[fault % (sizeof errors / sizeof *errors)];
  if (!machine.has_account || strcmp(name, "user")) return 0;
  if (size < 32) return ERANGE;
  memset(entry, 0, sizeof *entry);
  entry->pw_name = strcpy(buffer, "user");
  entry->pw_dir = strcpy(buffer + 8, "/home/user");
  entry->pw_uid = USER;
  entry->pw_gid = USER;
  *result = entry;
  return 0;
}

/* A fast hash instead of yescrypt, which takes 25 ms. */
int __wrap_csystem_crypt(const char *phrase, const char *setting, char *hash, size_t size) {
  if (fails()) return -1;
  uint64_t value = 0xcbf29ce484222325;
  for (const char *next = phrase; *next; next++) value = (value ^ (unsigned char)*next) * 0x100000001b3;
  const char *end = strrchr(setting, '$');
  int length = end ? (int)(end - setting) : 0;
  return snprintf(hash, size, "%.*s$%016llx", length, setting, (unsigned long long)value) < (int)size ? 0 : -1;
}

/* ---- libpam and the application */

int __wrap_pam_get_user(pam_handle_t *handle, const char **user, const char *prompt) {
  (void)handle, (void)prompt;
  if (fails()) return PAM_CONV_ERR;
  *user = machine.user;
  return PAM_SUCCESS;
}

static char *copied(const char *text) {
  /* Counted, because the module frees it. */
  size_t size = strlen(text) + 1;
  char *copy = __real_calloc(1, size);
  machine.allocations++;
  return memcpy(copy, text, size);
}

/* Forbids control characters: C0 except line feeds, DEL, and C1 in UTF-8 or as single bytes. */
static void examine(const char *text) {
  if (!*text && !machine.fault_count) forbid("an empty text");
  unsigned char before = 0;
  for (const unsigned char *next = (const unsigned char *)text; *next; before = *next++)
    if ((*next < 0x20 && *next != '\n') || *next == 0x7f ||
        (*next >= 0x80 && *next < 0xa0 && (before < 0x80 || before == 0xc2)))
      forbid("a control character in a text");
}

/* The next reply to a question of the enrollment program. */
static int reply(struct pam_response **responses) {
  struct dialogue *dialogue = &machine.dialogue;
  if (dialogue->typed) forbid("a question before the last reply was sent");
  if (dialogue->replied == dialogue->reply_count) return PAM_CONV_ERR;
  const struct machine_reply *next = &dialogue->replies[dialogue->replied++];
  if (next->kind == MACHINE_FAILURE) return PAM_CONV_ERR;
  if (next->kind != MACHINE_TEXT_AND_FAILURE) dialogue->typed = "";
  if (next->kind == MACHINE_NO_ARRAY) return PAM_SUCCESS;
  if (next->kind == MACHINE_ANOTHER_USER) strcpy(machine.user, "root");
  struct pam_response *response = __real_calloc(1, sizeof *response);
  machine.allocations++;
  *responses = response;
  if (next->kind == MACHINE_NO_TEXT) return PAM_SUCCESS;
  response->resp = copied(next->text);
  if (dialogue->typed) dialogue->typed = next->text;
  return next->kind == MACHINE_TEXT_AND_FAILURE ? PAM_CONV_ERR : PAM_SUCCESS;
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *context) {
  (void)context;
  if (count != 1) forbid("several messages in one conversation");
  *responses = NULL;
  if (machine.user_id) forbid("the application is called with the identity of a user");
  if (machine.dialogue.has_started) examine(messages[0]->msg);
  if (messages[0]->msg_style != PAM_PROMPT_ECHO_OFF && messages[0]->msg_style != PAM_PROMPT_ECHO_ON) {
    if (machine.flags & PAM_SILENT) forbid("a message in spite of PAM_SILENT");
    machine.dialogue.errors += messages[0]->msg_style == PAM_ERROR_MSG;
    return PAM_SUCCESS;
  }
  if (machine.dialogue.has_ended) forbid("a question after the dialogue");
  if (machine.dialogue.has_started) return reply(responses);
  if (machine.answered) forbid("the user is prompted twice");
  machine.answered = true;
  for (int i = 0; i < DESCRIPTORS; i++)
    if (machine.descriptors[i]) forbid("a file is open at the prompt");
  if (machine.answer_kind == MACHINE_NO_ARRAY) return PAM_SUCCESS;
  if (machine.answer_kind == MACHINE_FAILURE) return PAM_CONV_ERR;
  if (machine.answer_kind == MACHINE_ANOTHER_USER) strcpy(machine.user, "root");
  struct pam_response *response = __real_calloc(1, sizeof *response);
  machine.allocations++;
  if (machine.answer_kind != MACHINE_NO_TEXT) response->resp = copied(machine.answer);
  *responses = response;
  return machine.answer_kind == MACHINE_TEXT_AND_FAILURE ? PAM_CONV_ERR : PAM_SUCCESS;
}

int __wrap_pam_fail_delay(pam_handle_t *handle, unsigned microseconds) {
  (void)handle, (void)microseconds;
  return PAM_SUCCESS;
}

int __wrap_pam_set_item(pam_handle_t *handle, int item, const void *value) {
  (void)handle;
  if (item != PAM_AUTHTOK || !machine.may_hand_on) forbid("a PAM item other than PAM_AUTHTOK is set");
  if (fails()) return PAM_BUF_ERR;
  machine.has_handed_on = true;
  snprintf(machine.handed_on, sizeof machine.handed_on, "%s", (const char *)value);
  return PAM_SUCCESS;
}

int __wrap_pam_set_data(pam_handle_t *handle, const char *name, void *value,
                        void (*cleanup)(pam_handle_t *, void *, int)) {
  (void)handle;
  if (strcmp(name, "pam_twofactor_unenrolled") || cleanup) forbid("unknown data is remembered");
  if (fails()) return PAM_BUF_ERR;
  machine.remembered = value;
  return PAM_SUCCESS;
}

int __wrap_pam_get_data(const pam_handle_t *handle, const char *name, const void **value) {
  (void)handle;
  if (strcmp(name, "pam_twofactor_unenrolled")) forbid("unknown data is looked up");
  if (!machine.remembered) return PAM_NO_MODULE_DATA;
  *value = machine.remembered;
  return PAM_SUCCESS;
}

const char *__wrap_pam_getenv(pam_handle_t *handle, const char *name) {
  (void)handle;
  return strcmp(name, "SSH_AUTH_INFO_0") ? NULL : machine.methods;
}

int __wrap_pam_get_item(const pam_handle_t *handle, int item, const void **value) {
  static const struct pam_conv conversation = {converse, NULL};
  (void)handle;
  *value = item == PAM_CONV                                 ? (const void *)&conversation
           : item == PAM_USER                               ? (const void *)machine.user
           : item == PAM_SERVICE                            ? (const void *)machine.service
           : item == PAM_TTY                                ? (const void *)machine.terminal
           : item == PAM_RHOST && machine.has_remote_host   ? (const void *)machine.remote_host
           : item == PAM_AUTHTOK && machine.has_password    ? (const void *)machine.password
                                                            : NULL;
  return PAM_SUCCESS;
}

void __wrap_pam_syslog(const pam_handle_t *handle, int priority, const char *format, ...) {
  (void)handle, (void)priority;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(machine.log, sizeof machine.log, format, arguments);
  va_end(arguments);
  for (const char *next = machine.log; *next; next++)
    if ((unsigned char)*next < 0x20 || (unsigned char)*next > 0x7e) forbid("the log line has a control character");
}

/* ---- The enrollment program */

int __wrap_csystem_start_dialogue(struct csystem_dialogue *dialogue, const char *path,
                                  const struct csystem_account *account, const char *form, const char *const *words,
                                  int count) {
  int program = program_at(path);
  if (machine.dialogue.has_started) forbid("two dialogues in one login");
  if (!machine.remembered) forbid("a program is started without an authentication");
  if (program < 0) forbid("an unknown program is started");
  const struct stat *status = &machine.programs[program];
  if (!S_ISREG(status->st_mode) || status->st_uid || status->st_mode & (S_IWGRP | S_IWOTH))
    forbid("a program that others can write is started");
  if (!account->name || strcmp(account->name, "user") || account->user != USER || account->group != USER)
    forbid("the program is started as another user");
  if (machine.user_id) forbid("a program is started with the identity of a user");
  for (int i = 0; i < DESCRIPTORS; i++)
    if (machine.descriptors[i]) forbid("a program is started while a file is open");
  bool has_terminal = machine.terminal && *machine.terminal && *machine.terminal != ':';
  const char *expected = !has_terminal ? "plain" : machine.flags & PAM_SILENT ? "questions" : "messages";
  if (strcmp(form, expected)) forbid("the program gets another form");
  if (count && !words[0]) forbid("the program lacks the arguments");
  if (fails()) return -1;
  machine.dialogue.has_started = true;
  machine.dialogue.output_read = 0;
  machine.dialogue.lines = 0;
  machine.dialogue.replied = 0;
  machine.dialogue.typed = NULL;
  strcpy(machine.dialogue.last_line, "");
  *dialogue = (struct csystem_dialogue){.supervisor = USER, .socket = USER};
  return 0;
}

static void require_open(const struct csystem_dialogue *dialogue) {
  if (!machine.dialogue.has_started || machine.dialogue.has_ended || dialogue->socket != USER)
    forbid("a dialogue that is not open is used");
}

/* This login, or another one, enrolls the user. */
static void enroll(void) {
  for (int node = MACHINE_DIRECTORY; node <= MACHINE_STATE; node++) machine_put((enum machine_node)node, NULL, 0);
}

int64_t __wrap_csystem_read_line(const struct csystem_dialogue *opened, uint8_t *line, size_t capacity, int timeout) {
  struct dialogue *dialogue = &machine.dialogue;
  require_open(opened);
  if (timeout <= 0 || timeout > 30000) forbid("the program has more than 30 seconds");
  if (capacity > 8192) forbid("a line has more than 8192 bytes");
  if (fails()) return -1;
  if (dialogue->lines++ == dialogue->lines_before_enrollment) enroll();
  for (size_t length = 0;; length++) {
    if (dialogue->output_read == dialogue->output_length) {
      errno = dialogue->ending == MACHINE_SILENT ? ETIMEDOUT : ECONNRESET;
      return -1;
    }
    uint8_t byte = dialogue->output[dialogue->output_read++];
    if (byte == '\n') {
      snprintf(dialogue->last_line, sizeof dialogue->last_line, "%.*s", (int)length, (const char *)line);
      return (int64_t)length;
    }
    if (length == capacity) {
      errno = EMSGSIZE;
      return -1;
    }
    line[length] = byte;
  }
}

int __wrap_csystem_send_line(const struct csystem_dialogue *opened, const uint8_t *line, size_t length) {
  struct dialogue *dialogue = &machine.dialogue;
  require_open(opened);
  if (!dialogue->typed) forbid("the program gets a line without a question");
  if (!length || line[length - 1] != '\n') forbid("the program gets an incomplete line");
  for (size_t i = 0; i + 1 < length; i++)
    if (line[i] < 0x20 || line[i] == 0x7f) forbid("the program gets a control character");
  if (length > 514 || strncmp(dialogue->typed, (const char *)line, length - 1))
    forbid("the program gets another reply");
  dialogue->typed = NULL;
  return fails() ? -1 : 0;
}

int __wrap_csystem_end_dialogue(const struct csystem_dialogue *opened, int patience) {
  require_open(opened);
  if (patience <= 0 || patience > 10000) forbid("the program may run for more than ten seconds");
  machine.dialogue.has_ended = true;
  if (machine.dialogue.lines == machine.dialogue.lines_before_enrollment) enroll();
  if (fails()) return errno;
  return machine.dialogue.ending == MACHINE_STUCK ? ETIMEDOUT : 0;
}

// The minimal C module: switches to the user's file-system identity, opens, locks, reads, computes three codes, writes,
// flushes. One file, one device, no policy, no messages, hardly a check.
//
// For comparison only. The file is ~/.floor, a struct record.

#define _GNU_SOURCE
#define OPENSSL_SUPPRESS_DEPRECATED
#include <endian.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/sha.h>
#include <pwd.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#ifdef __x86_64__
#include <sys/platform/x86.h>
#else
#include <sys/auxv.h>
#endif
#include <sys/stat.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

struct record {
  uint64_t last;
  unsigned char secret[20];
};

// OpenSSL's own object for these symbols would add a constructor.
__attribute__((visibility("hidden"))) unsigned int OPENSSL_ia32cap_P[4];
__attribute__((visibility("hidden"))) unsigned int OPENSSL_armcap_P;
__attribute__((visibility("hidden"))) void OPENSSL_cleanse(void *memory, size_t size) { explicit_bzero(memory, size); }

// Selects the fastest SHA code, as all contenders do; see OPENSSL_ia32cap(3).
static void look_at_processor(void) {
#ifdef __x86_64__
  int has_avx2 = CPU_FEATURE_ACTIVE(AVX2) && CPU_FEATURE_ACTIVE(BMI1) && CPU_FEATURE_ACTIVE(BMI2);
  OPENSSL_ia32cap_P[1] = CPU_FEATURE_ACTIVE(SSSE3) ? 1u << 9 : 0;
  OPENSSL_ia32cap_P[2] = (CPU_FEATURE_ACTIVE(SHA) ? 1u << 29 : 0) | (has_avx2 ? 1u << 3 | 1u << 5 | 1u << 8 : 0);
#elif defined(__aarch64__)
  OPENSSL_armcap_P = getauxval(AT_HWCAP) & HWCAP_SHA1 ? 1u << 3 : 0; /* ARMV8_SHA1 in OpenSSL's arm_arch.h */
#endif
}

static uint32_t code(const SHA_CTX *inner, const SHA_CTX *outer, uint64_t step) {
  unsigned char digest[20];
  uint64_t message = htobe64(step);
  uint32_t value;
  SHA_CTX hash = *inner;
  SHA1_Update(&hash, &message, sizeof message);
  SHA1_Final(digest, &hash);
  hash = *outer;
  SHA1_Update(&hash, digest, sizeof digest);
  SHA1_Final(digest, &hash);
  memcpy(&value, digest + (digest[19] & 15), sizeof value);
  return (be32toh(value) & 0x7fffffff) % 1000000;
}

static uint64_t matching_step(const struct record *record, uint32_t typed) {
  unsigned char pad[64] = {0};
  SHA_CTX inner, outer;
  memcpy(pad, record->secret, sizeof record->secret);
  for (size_t i = 0; i < sizeof pad; i++) pad[i] ^= 0x36;
  SHA1_Init(&inner);
  SHA1_Update(&inner, pad, sizeof pad);
  for (size_t i = 0; i < sizeof pad; i++) pad[i] ^= 0x36 ^ 0x5c;
  SHA1_Init(&outer);
  SHA1_Update(&outer, pad, sizeof pad);
  uint64_t now = (uint64_t)time(NULL) / 30, found = 0;
  for (uint64_t step = now - 1; step <= now + 1; step++)
    if (code(&inner, &outer, step) == typed && step > record->last) found = step;
  explicit_bzero(pad, sizeof pad);
  explicit_bzero(&inner, sizeof inner);
  explicit_bzero(&outer, sizeof outer);
  return found;
}

static int check(const char *home, uint32_t typed) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  struct record record;
  struct stat status;
  int accepted = 0, directory = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
  int file = openat(directory, ".floor", O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file >= 0 && fcntl(file, F_OFD_SETLK, &lock) == 0 && fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
      pread(file, &record, sizeof record, 0) == sizeof record) {
    uint64_t step = matching_step(&record, typed);
    if (step) {
      record.last = step;
      accepted = pwrite(file, &record, sizeof record, 0) == sizeof record && fdatasync(file) == 0;
    }
  }
  explicit_bzero(&record, sizeof record);
  if (file >= 0) close(file);
  if (directory >= 0) close(directory);
  return accepted;
}

int pam_sm_authenticate(pam_handle_t *handle, int flags, int count, const char **arguments) {
  (void)flags, (void)count, (void)arguments;
  const char *user;
  char *answer = NULL, buffer[1024];
  struct passwd entry, *account = NULL;
  look_at_processor();
  if (pam_get_user(handle, &user, NULL) != PAM_SUCCESS) return PAM_AUTH_ERR;
  if (getpwnam_r(user, &entry, buffer, sizeof buffer, &account) != 0 || !account) return PAM_AUTH_ERR;
  if (pam_prompt(handle, PAM_PROMPT_ECHO_OFF, &answer, "Code: ") != PAM_SUCCESS || !answer) return PAM_AUTH_ERR;

  gid_t groups[64];
  int group_count = getgroups(64, groups);
  if (group_count < 0 || syscall(SYS_setgroups, 0, NULL) != 0) return PAM_AUTH_ERR;
  gid_t group = (gid_t)setfsgid(account->pw_gid);
  uid_t own = (uid_t)setfsuid(account->pw_uid);
  int accepted = check(account->pw_dir, (uint32_t)strtoul(answer, NULL, 10));
  setfsuid(own);
  setfsgid(group);
  if (syscall(SYS_setgroups, group_count, groups) != 0) _exit(1);

  explicit_bzero(answer, strlen(answer));
  free(answer);
  pam_syslog(handle, LOG_INFO, accepted ? "accepted %s" : "denied %s", user);
  return accepted ? PAM_SUCCESS : PAM_AUTH_ERR;
}

int pam_sm_setcred(pam_handle_t *handle, int flags, int count, const char **arguments) {
  (void)handle, (void)flags, (void)count, (void)arguments;
  return PAM_SUCCESS;
}

/* A name service that reports too few members, as sssd with ignore_group_members or a directory that is down: it finds
 * the group `remote` without its members, and initgroups(3) fails (nss(5)). */
#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <string.h>

enum { REMOTE = 424242 };

static enum nss_status group(struct group *entry, char *memory, size_t room, int *error) {
  static const char name[] = "remote", password[] = "x";
  char **members = (char **)memory;
  if (room < sizeof *members + sizeof name + sizeof password) {
    *error = ERANGE;
    return NSS_STATUS_TRYAGAIN;
  }
  *members = NULL;
  entry->gr_mem = members;
  entry->gr_name = memcpy(memory + sizeof *members, name, sizeof name);
  entry->gr_passwd = memcpy(entry->gr_name + sizeof name, password, sizeof password);
  entry->gr_gid = REMOTE;
  return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_half_getgrnam_r(const char *name, struct group *entry, char *memory, size_t room, int *error);
enum nss_status _nss_half_getgrnam_r(const char *name, struct group *entry, char *memory, size_t room, int *error) {
  return strcmp(name, "remote") ? NSS_STATUS_NOTFOUND : group(entry, memory, room, error);
}

enum nss_status _nss_half_initgroups_dyn(
    const char *user, gid_t group, long *start, long *size, gid_t **groups, long limit, int *error);
enum nss_status _nss_half_initgroups_dyn(
    const char *user, gid_t group, long *start, long *size, gid_t **groups, long limit, int *error) {
  (void)user, (void)group, (void)start, (void)size, (void)groups, (void)limit;
  *error = EAGAIN;
  return NSS_STATUS_UNAVAIL;
}

/* The row of a user, and the requests of logins. */

/*
 * The row: the lowest unused moving factor, whether the backup code is spent, failures, the generation of the
 * credential, the device (a replacement has another key), and whether the row exists.
 */
#define NEXT(row) ((row) & 3)
#define SPENT(row) (((row) >> 2) & 1)
#define FAILURES(row) (((row) >> 3) & 3)
#define GENERATION(row) (((row) >> 5) & 1)
#define DEVICE(row) (((row) >> 6) & 1)
#define ABSENT 0
#define ENROLLED 128
#define WITH_NEXT(row, next) (((row) & ~3) | (next))
#define WITH_SPENT(row) ((row) | 4)
#define WITHOUT_FAILURES(row) ((row) & ~24)
#define WITH_FAILURE(row) (FAILURES(row) == 3 -> (row) : (row) + 8)
/* Keeps the device, and replaces the backup codes. */
#define RENEWED(row) (((row) & ~4) | 32)
/* Replaces the device and the backup codes. */
#define REPLACED (ENROLLED | 32 | 64)
/* The sequence number of the record, which only killable processes compare. */
#if defined(KILLABLE) && !defined(SEQUENCE_REPEATED)
#define SEQUENCE 256
#else
#define SEQUENCE 0
#endif
#define COUNTED_ROW(row) (WITH_FAILURE(row) + SEQUENCE)

/*
 * Requests: two codes and the backup code of the first enrollment; a wrong code; a check that keeps a right code; a
 * code of the replacement and its backup code; changes of the enrollment; the first enrollment; the login at the end.
 */
#define CODE_0 0
#define CODE_1 1
#define BACKUP 2
#define WRONG 3
#define KEPT 4
#define NEW_CODE 5
#define NEW_BACKUP 6
#define RENEW 7
#define REPLACE 8
#define ENROLL 9
#define UNLOCK 10
#define FRESH 11

#define BIT(request) (1 << (request))
#if defined(CHANGES)
#define REQUESTS (BIT(CODE_0) | BIT(BACKUP) | BIT(NEW_CODE) | BIT(NEW_BACKUP) | BIT(RENEW) | BIT(REPLACE))
#elif defined(ENROLLMENT)
#define REQUESTS (BIT(CODE_0) | BIT(ENROLL))
#elif defined(KILLABLE) && LOGINS == 3
#define REQUESTS (BIT(WRONG) | BIT(KEPT) | BIT(UNLOCK))
#elif defined(KILLABLE)
#define REQUESTS (BIT(CODE_1) | BIT(WRONG) | BIT(KEPT) | BIT(RENEW))
#elif SERVERS == 3
#define REQUESTS BIT(CODE_0)
#else
#define REQUESTS (BIT(CODE_0) | BIT(CODE_1) | BIT(BACKUP))
#endif

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpostgresql.h"

static void work_in_child(int output, unsigned seconds, int index, void *context,
                          size_t (*work)(int index, void *context, uint8_t *text, size_t capacity)) {
  static uint8_t text[CPOSTGRESQL_CHILD_OUTPUT];
  signal(SIGALRM, SIG_DFL);
  alarm(seconds);
  size_t length = work(index, context, text, sizeof text);
  for (size_t done = 0; done < length;) {
    ssize_t count = write(output, text + done, length - done);
    if (count <= 0) break;
    done += (size_t)count;
  }
  _exit(0);
}

int cpostgresql_start_child(unsigned seconds, int index, void *context,
                            size_t (*work)(int index, void *context, uint8_t *text, size_t capacity)) {
  int ends[2];
  if (pipe(ends) != 0) return -1;
  pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    work_in_child(ends[1], seconds, index, context, work);
  }
  close(ends[1]);
  if (child > 0) return ends[0];
  close(ends[0]);
  return -1;
}

size_t cpostgresql_read_child(int descriptor, uint8_t *text, size_t capacity) {
  size_t length = 0;
  ssize_t count;
  while (length < capacity && (count = read(descriptor, text + length, capacity - length)) > 0) length += (size_t)count;
  close(descriptor);
  return length;
}

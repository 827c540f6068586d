// Logs in once, and then searches its own memory for secrets.
//
//   memory CONFDIR SERVICE USER <SCRIPT
//
// The lines of the script have a word, a name and hexadecimal text. All bits of the text are inverted, so that the
// search does not find the script itself:
//
//   answer - HEX      the reply to the prompt
//   plant NAME HEX    data to put into memory, which shows that the search works
//   needle NAME HEX   data to search for
//
// Prints `result N`, and `found NAME in MAPPING` for each occurrence.

#include <security/pam_appl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NEEDLES = 1024, LENGTH = 64 };

struct text {
  char name[40];
  unsigned char inverted[LENGTH];
  size_t length;
};

static struct text answer, needles[NEEDLES];
static int needle_count;
static unsigned char *planted;

static void read_hex(struct text *text, const char *name, const char *hex) {
  unsigned value;
  snprintf(text->name, sizeof text->name, "%s", name);
  for (text->length = 0; text->length < LENGTH && sscanf(hex + 2 * text->length, "%2x", &value) == 1; text->length++)
    text->inverted[text->length] = (unsigned char)value;
}

static char *in_the_clear(const struct text *text) {
  char *clear = calloc(text->length + 1, 1);
  for (size_t i = 0; i < text->length; i++) clear[i] = (char)~text->inverted[i];
  return clear;
}

static void read_script(void) {
  char line[512], word[16], name[40], hex[2 * LENGTH + 1];
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "%15s %39s %128s", word, name, hex) != 3) exit(2);
    struct text text;
    read_hex(&text, name, hex);
    if (!strcmp(word, "answer")) answer = text;
    if (!strcmp(word, "plant")) planted = (unsigned char *)in_the_clear(&text);
    if (!strcmp(word, "needle") && needle_count < NEEDLES) needles[needle_count++] = text;
  }
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *context) {
  (void)context;
  *responses = calloc((size_t)count, sizeof **responses);
  for (int i = 0; i < count; i++)
    if (messages[i]->msg_style == PAM_PROMPT_ECHO_OFF) (*responses)[i].resp = in_the_clear(&answer);
  return PAM_SUCCESS;
}

// Searches one mapping for every needle. The index by first byte saves minutes.
static void search(const volatile unsigned char *start, size_t size, const char *mapping) {
  static int by_first[256][NEEDLES + 1];
  static int ready;
  if (!ready++)
    for (int i = 0; i < needle_count; i++) {
      int *list = by_first[needles[i].inverted[0] ^ 0xff];
      while (*list) list++;
      *list = i + 1;
    }
  for (size_t at = 0; at < size; at++)
    for (const int *next = by_first[start[at]]; *next; next++) {
      const struct text *needle = &needles[*next - 1];
      size_t same = 1;
      if (needle->length > size - at) continue;
      while (same < needle->length && (start[at + same] ^ needle->inverted[same]) == 0xff) same++;
      if (same == needle->length) printf("found %s in %s at %zu of %zu\n", needle->name, mapping, at, size);
    }
}

int main(int argc, char **argv) {
  struct pam_conv conversation = {converse, NULL};
  pam_handle_t *handle = NULL;
  if (argc != 4) return 2;
  read_script();
  if (pam_start_confdir(argv[2], argv[3], &conversation, argv[1], &handle) != PAM_SUCCESS) return 2;
  int status = pam_authenticate(handle, 0);
  printf("result %d\n", status);

  // Before pam_end, because libpam keeps its data until the session ends.
  FILE *maps = fopen("/proc/self/maps", "re");
  char line[512], name[256];
  unsigned long start, end;
  char mode[5];
  while (maps && fgets(line, sizeof line, maps)) {
    name[0] = 0;
    if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %255s", &start, &end, mode, name) < 3) continue;
    if (mode[0] != 'r' || mode[1] != 'w' || !strncmp(name, "[v", 2)) continue;
    search((const volatile unsigned char *)(uintptr_t)start, end - start, name[0] ? name : "memory");
  }
  fclose(maps);
  pam_end(handle, status);
  free(planted);
  return 0;
}

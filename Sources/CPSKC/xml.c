/* Loads libxml2 on first use: only imports of PSKC files need it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <libxml/parser.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "cpskc.h"

static void *library;

#define FIND(name) ((__typeof__(name) *)(library ? dlsym(library, #name) : NULL))

/* The memory of the parser contains keys. */
static void wipe_and_free(void *memory) {
  if (memory) explicit_bzero(memory, malloc_usable_size(memory));
  free(memory);
}

static void *wipe_and_reallocate(void *memory, size_t size) {
  void *larger = malloc(size);
  if (!memory || !larger) return larger;
  size_t old = malloc_usable_size(memory);
  memcpy(larger, memory, old < size ? old : size);
  wipe_and_free(memory);
  return larger;
}

static int load(void) {
  if (library) return 1;
  library = dlopen("libxml2.so.2", RTLD_NOW | RTLD_LOCAL);
  if (!library) library = dlopen("libxml2.so.16", RTLD_NOW | RTLD_LOCAL);
  __typeof__(xmlMemSetup) *set = FIND(xmlMemSetup);
  return set && set(wipe_and_free, malloc, wipe_and_reallocate, strdup) == 0;
}

/* In bytes. */
#define PART (1 << 20)

/* PSKC needs 11 levels. */
#define DEEPEST 32

struct parsing {
  const struct cpskc_handler *handler;
  xmlParserCtxtPtr parser;
  int depth;
  enum cpskc_result result;
};

static void stop(struct parsing *parsing, enum cpskc_result result) {
  parsing->result = result;
  __typeof__(xmlStopParser) *stop_parser = FIND(xmlStopParser);
  if (stop_parser) stop_parser(parsing->parser);
}

static void start_element(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *name_space,
                          int namespace_count, const xmlChar **namespaces, int count, int defaulted,
                          const xmlChar **attributes) {
  (void)prefix, (void)namespace_count, (void)namespaces, (void)defaulted;
  struct parsing *parsing = context;
  const struct cpskc_handler *handler = parsing->handler;
  if (parsing->result != CPSKC_PARSED) return;
  if (++parsing->depth > DEEPEST) return stop(parsing, CPSKC_TOO_DEEP);
  handler->open(handler->context, (const char *)name, name_space ? (const char *)name_space : "");
  /* Each attribute is name, prefix, namespace, start and end of the value. */
  for (const xmlChar **attribute = attributes; count > 0; count--, attribute += 5) {
    handler->attribute(handler->context, (const char *)attribute[0], (const char *)attribute[3],
                       (size_t)(attribute[4] - attribute[3]));
  }
}

static void end_element(void *context, const xmlChar *name, const xmlChar *prefix, const xmlChar *name_space) {
  (void)name, (void)prefix, (void)name_space;
  struct parsing *parsing = context;
  if (parsing->result != CPSKC_PARSED) return;
  parsing->depth--;
  parsing->handler->close(parsing->handler->context);
}

static void characters(void *context, const xmlChar *text, int size) {
  struct parsing *parsing = context;
  if (parsing->result != CPSKC_PARSED || size <= 0) return;
  parsing->handler->text(parsing->handler->context, (const char *)text, (size_t)size);
}

static void doctype(void *context, const xmlChar *name, const xmlChar *external, const xmlChar *system) {
  (void)name, (void)external, (void)system;
  stop(context, CPSKC_HAS_DOCTYPE);
}

enum cpskc_result cpskc_parse(const char *text, size_t size, int is_utf8, const struct cpskc_handler *handler,
                              int *line) {
  *line = 0;
  if (!load()) return CPSKC_NO_LIBRARY;
  __typeof__(xmlCreatePushParserCtxt) *create = FIND(xmlCreatePushParserCtxt);
  __typeof__(xmlCtxtUseOptions) *use = FIND(xmlCtxtUseOptions);
  __typeof__(xmlParseChunk) *parse = FIND(xmlParseChunk);
  __typeof__(xmlCtxtGetLastError) *last_error = FIND(xmlCtxtGetLastError);
  __typeof__(xmlFreeParserCtxt) *destroy = FIND(xmlFreeParserCtxt);
  if (!create || !use || !parse || !last_error || !destroy) return CPSKC_NO_LIBRARY;

  xmlSAXHandler events = {
      .initialized = XML_SAX2_MAGIC,
      .internalSubset = doctype,
      .startElementNs = start_element,
      .endElementNs = end_element,
      .characters = characters,
      .ignorableWhitespace = characters,
      .cdataBlock = characters,
  };
  struct parsing parsing = {.handler = handler, .result = CPSKC_PARSED};
  parsing.parser = create(&events, &parsing, NULL, 0, NULL);
  if (!parsing.parser) return CPSKC_NO_MEMORY;
  /* Without XML_PARSE_NOENT, XML_PARSE_DTDLOAD, XML_PARSE_XINCLUDE and XML_PARSE_HUGE. */
  use(parsing.parser,
      XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | (is_utf8 ? XML_PARSE_IGNORE_ENC : 0));
  /* In parts: libxml2 refuses more than 10 MB at once. */
  int problem = 0;
  for (size_t start = 0; problem == 0 && parsing.result == CPSKC_PARSED; start += PART) {
    int is_last = size - start <= PART;
    problem = parse(parsing.parser, text + start, is_last ? (int)(size - start) : PART, is_last);
    if (is_last) break;
  }
  if (parsing.result == CPSKC_PARSED && problem != 0) {
    parsing.result = problem == XML_ERR_NO_MEMORY ? CPSKC_NO_MEMORY : CPSKC_NOT_WELL_FORMED;
    const xmlError *error = last_error(parsing.parser);
    if (error) *line = error->line;
  }
  destroy(parsing.parser);
  return parsing.result;
}

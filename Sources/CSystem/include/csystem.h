#ifndef CSYSTEM_H
#define CSYSTEM_H
#include <errno.h>
#endif

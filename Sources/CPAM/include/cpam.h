#ifndef CPAM_H
#define CPAM_H
#include <security/pam_appl.h>
#endif

#include "cpam.h"

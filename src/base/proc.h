// What Linux tells about itself in /proc.
#ifndef AM_BASE_PROC_H
#define AM_BASE_PROC_H

#include <stddef.h>

// The value of the first line "key : value" of a /proc file; "" when there is none.
void am_proc_value(const char *file, const char *key, char *out, size_t bytes);

#endif

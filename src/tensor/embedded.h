/* Models compiled into the library: the one place that knows their names. Each is a GGUF pair,
 * assets/micro/NAME.gguf and mmproj-NAME.gguf (docs/micro.md). */
#ifndef CR_TENSOR_EMBEDDED_H
#define CR_TENSOR_EMBEDDED_H

#include "base/bytes.h"

struct cr_embedded {
    const char *name;
    struct cr_bytes text;   /* a .gguf file's bytes, aligned to 64 */
    struct cr_bytes vision; /* of its mmproj file; data NULL: none */
};

/* By name; false where there is none. */
bool cr_embedded_find(const char *name, struct cr_embedded *out);
/* Their names, sorted, and NULL past the end. */
const char *cr_embedded_name(size_t i);

#endif

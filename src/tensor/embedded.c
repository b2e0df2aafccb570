#include "tensor/embedded.h"

#include <string.h>

#include "tensor/assets.h"

static const char vision_prefix[] = "mmproj-";

static bool is_vision(const char *name) {
    return strncmp(name, vision_prefix, sizeof vision_prefix - 1) == 0;
}

bool cr_embedded_find(const char *name, struct cr_embedded *out) {
    memset(out, 0, sizeof *out);
    for (const struct cr_asset *a = cr_model_assets; a->name; a++) {
        bool vision = is_vision(a->name);
        const char *model = vision ? a->name + sizeof vision_prefix - 1 : a->name;
        if (strcmp(model, name) != 0)
            continue;
        struct cr_bytes bytes = {(const unsigned char *)a->data, a->len};
        if (vision) {
            out->vision = bytes;
        } else {
            out->name = a->name;
            out->text = bytes;
        }
    }
    return out->name != NULL;
}

const char *cr_embedded_name(size_t i) {
    for (const struct cr_asset *a = cr_model_assets; a->name; a++)
        if (!is_vision(a->name) && i-- == 0)
            return a->name;
    return NULL;
}

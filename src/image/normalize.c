#include "image/image.h"

void cr_normalize_table(float table[3][256], const struct cr_normalize *n) {
    for (size_t c = 0; c < 3; c++) {
        for (size_t x = 0; x < 256; x++) {
            float scaled = (float)((double)x * n->rescale);
            table[c][x] = (scaled - n->mean[c]) / n->std[c];
        }
    }
}

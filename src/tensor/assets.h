/* The .gguf files of assets/micro, compiled in (cmake/assets.cmake). */
#ifndef CR_TENSOR_ASSETS_H
#define CR_TENSOR_ASSETS_H

#include "base/asset.h"

extern const struct cr_asset cr_model_assets[];

#endif

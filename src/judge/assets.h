/* assets/templates, compiled in (cmake/assets.cmake). */
#ifndef CR_JUDGE_ASSETS_H
#define CR_JUDGE_ASSETS_H

#include "base/asset.h"

extern const struct cr_asset cr_template_assets[];

#endif

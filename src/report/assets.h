/* assets/report, compiled in, and Chart.js ("chart") where the build found it. */
#ifndef CR_REPORT_ASSETS_H
#define CR_REPORT_ASSETS_H

#include "base/asset.h"

extern const struct cr_asset cr_report_assets[];

#endif

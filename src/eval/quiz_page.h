/* Pages of POPE, MME and MMBench scores: headline, table and chart with intervals, what the rules read
 * differently. The first fault stays in the page. */
#ifndef CR_EVAL_QUIZ_PAGE_H
#define CR_EVAL_QUIZ_PAGE_H

#include "eval/mmbench.h"
#include "eval/mme.h"
#include "eval/pope.h"
#include "report/page.h"

void cr_pope_page(struct cr_page *page, const struct cr_pope *scores);
void cr_mme_page(struct cr_page *page, const struct cr_mme *scores);
void cr_mmbench_page(struct cr_page *page, const struct cr_mmbench *scores);

/* Wilson's 95 % interval of a group's share of hits. */
struct cr_interval cr_mmbench_interval(const struct cr_mmbench_group *group,
                                       enum cr_mmbench_rule rule);

#endif

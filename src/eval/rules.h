/* The benchmarks' own parse rules, quirks and all (docs/evaluation.md), on raw text. Each says whether
 * it read a verdict; nothing stands in for one that is missing. The rules that critic would
 * rather have read are those of judge/verdict.h. Pure functions, any bytes. */
#ifndef CR_EVAL_RULES_H
#define CR_EVAL_RULES_H

#include "base/bytes.h"

/* ---- two scores on the first line ------------------------------------------------------- */

/* LLaVA llava/eval/eval_gpt_review_bench.py, VLMEvalKit vlmeval/dataset/utils/llavabench.py:
 * first line, "," to " ", split at every single space: exactly two numbers. */
bool cr_rule_pair_llava(struct cr_str text, double pair[2]);
/* lmms-eval tasks/llava-in-the-wild: first line, "," and ";" to " ", its first two numbers. */
bool cr_rule_pair_lmms(struct cr_str text, double pair[2]);
/* LLaVA-Wilder: as LLaVA's, blanks around the line taken off first. */
bool cr_rule_pair_wilder(struct cr_str text, double pair[2]);
/* Ours: a first line of two numbers however they are separated, else the last lines
 * "Assistant 1: N" and "Assistant 2: N". */
bool cr_rule_pair_robust(struct cr_str text, double pair[2]);

/* ---- five labels: WildVision ------------------------------------------------------------- */

enum cr_arena_verdict {
    CR_ARENA_NONE,
    CR_ARENA_A_MUCH, /* A>>B */
    CR_ARENA_A,
    CR_ARENA_TIE,
    CR_ARENA_B,
    CR_ARENA_B_MUCH
};
/* WildVision-Bench get_judgement.py: all "[[" + letters of "AB<>=" + "]]"; one distinct label
 * that is one of the five. */
enum cr_arena_verdict cr_rule_arena(struct cr_str text);
/* lmms-eval tasks/wild_vision_bench: the first of A>B, A>>B, A=B, B>A, B>>A that is in it. */
enum cr_arena_verdict cr_rule_arena_lmms(struct cr_str text);
/* "A>>B" and so on, as recorded; anything else is NONE. */
enum cr_arena_verdict cr_arena_of_label(struct cr_str label);
enum cr_arena_verdict cr_arena_swap(enum cr_arena_verdict verdict);

/* ---- one of two ---------------------------------------------------------------------------- */

/* VL_RewardBench cal.py: line feeds and "*" deleted, from the first "Overall Judgment" or "Therefore"
 * the last "Answer N is [the ][slightly ]better", letter case ignored, with any blanks between or
 * none. N may be any number. */
bool cr_rule_vlrb(struct cr_str text, unsigned *number);
/* multimodal_rewardbench: "[[A]]" anywhere, else "[[B]]"; returns 'A', 'B' or 0 (where the
 * original tosses a coin). The robust one takes the last. */
char cr_rule_letter(struct cr_str text);
char cr_rule_letter_robust(struct cr_str text);

/* ---- a score --------------------------------------------------------------------------------- */

/* LLaVA-RLHF Eval/eval_gpt_mmhal.py: the one s of 0 to 6 with "rating: s" in it; several or
 * none are 0 in the original: *several or no verdict is told by the result false. */
bool cr_rule_mmhal(struct cr_str text, double *score);
/* VLMEvalKit's MM-Vet: the whole reply is a number in [0, 1]. */
bool cr_rule_mmvet_vlmeval(struct cr_str text, double *score);
/* lmms-eval's MM-Vet: the first space-separated token is one. */
bool cr_rule_mmvet_lmms(struct cr_str text, double *score);
/* lmms-eval's Video Detailed Description: the reply is {'score': N}; cut to a whole number. */
bool cr_rule_video_dc(struct cr_str text, double *score);
/* MLLM-as-a-Judge, batch: letters in double brackets, best first, a permutation of the first n
 * letters, into order (n bytes). */
bool cr_rule_batch(struct cr_str text, size_t n, char *order);

/* ---- plain answers ---------------------------------------------------------------------------- */

enum cr_yes { CR_YES_NO, CR_YES_YES, CR_YES_OTHER };

/* MME eval_tool/calculation.py: lower case; "yes", else "no" within the first 4 characters. The
 * text is the rest of its line without the line feed. */
enum cr_yes cr_rule_mme(struct cr_str text);
/* lmms-eval tasks/mme: trimmed, periods out, also "y" and "n" alone. */
enum cr_yes cr_rule_mme_lmms(struct cr_str text);
/* POPE evaluate.py: up to the first ".", "," deleted, split at spaces: one of "No", "not",
 * "no" makes no, everything else yes. */
enum cr_yes cr_rule_pope(struct cr_str text);
/* lmms-eval's POPE: lower case and trimmed, it is "yes" or "no". */
enum cr_yes cr_rule_pope_exact(struct cr_str text);
/* Ours for all of them: the first word that is yes or no. */
enum cr_yes cr_rule_yes_robust(struct cr_str text);

#endif

/* What goes to a chat endpoint and what comes back, as JSON. */
#ifndef CR_REMOTE_CHAT_JSON_H
#define CR_REMOTE_CHAT_JSON_H

#include "remote/chat.h"

/* Appends the request body; the same request gives the same bytes. Invalid UTF-8 in a text is
 * CRITIC_BAD_DATA. */
enum critic_status cr_chat_body(struct cr_buf *out, const char *model,
                                const struct cr_chat_request *request, critic_error *err);
/* Reads a 200 answer: up to max_choices texts, *n of them, and the usage. `where` begins
 * errors. *early says that the answer ends early or is empty, so that another try may help.
 * Errors: CRITIC_BAD_DATA, CRITIC_NO_MEMORY. */
enum critic_status cr_chat_read(struct cr_str body, const char *where,
                                struct cr_chat_choice *choices, size_t max_choices,
                                size_t *n, struct cr_chat_usage *usage, bool *early,
                                critic_error *err);
/* What an error answer says, on one line into `out`: its error.message, error, message or
 * detail, else what kind of text it is. */
void cr_chat_complaint(struct cr_str body, char *out, size_t size);

#endif

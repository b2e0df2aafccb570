#include "world/record.h"

#include <string.h>

size_t cr_record_n_turns(const json_t *record) {
    return json_array_size(json_object_get(record, "conversations"));
}

struct cr_str cr_record_turn(const json_t *record, size_t i, const char *who) {
    const json_t *turn = json_array_get(json_object_get(record, "conversations"), i);
    const char *from = json_string_value(json_object_get(turn, "from"));
    const json_t *value = json_object_get(turn, "value");
    if (!from || strcmp(from, who) != 0 || !json_is_string(value))
        return (struct cr_str){NULL, 0};
    return (struct cr_str){json_string_value(value), json_string_length(value)};
}

struct cr_str cr_record_image(const json_t *record, size_t i) {
    const json_t *image = json_object_get(record, "image");
    if (json_is_array(image))
        image = json_array_get(image, i);
    else if (i > 0)
        image = NULL;
    if (!json_is_string(image))
        return (struct cr_str){NULL, 0};
    return (struct cr_str){json_string_value(image), json_string_length(image)};
}

/* Contact sheets (stats.h). */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/dir.h"
#include "base/file.h"
#include "image/image.h"
#include "train/records.h"
#include "world/record.h"
#include "world/seen.h"
#include "world/stats.h"

enum { MARGIN = 4 };

struct sheet {
    struct cr_image canvas;
    size_t side, columns, n, n_done;
};

static void place(struct sheet *s, const struct cr_image *small) {
    size_t x = MARGIN + s->n_done % s->columns * (s->side + MARGIN);
    size_t y = MARGIN + s->n_done / s->columns * (s->side + MARGIN);
    for (size_t row = 0; row < s->side; row++)
        memcpy(s->canvas.rgb + ((y + row) * s->canvas.width + x) * 3,
               small->rgb + row * s->side * 3, s->side * 3);
    s->n_done++;
}

static enum critic_status add_picture(struct sheet *s, const char *folder,
                                      struct cr_str name, critic_error *err) {
    struct cr_image full = {0}, small = {0};
    struct cr_buf path;
    char *copy = cr_str_dup(name);
    enum critic_status status = CRITIC_NO_MEMORY;
    cr_buf_init(&path, 1 << 16);
    if (copy)
        status = cr_path_join(&path, folder, copy, err);
    if (status == CRITIC_OK)
        status = cr_image_load(&full, path.data, NULL, err);
    if (status == CRITIC_OK)
        status = cr_image_resize(&small, &full, s->side, s->side, CR_BICUBIC, err);
    if (status == CRITIC_OK)
        place(s, &small);
    cr_image_free(&full);
    cr_image_free(&small);
    cr_buf_fini(&path);
    free(copy);
    return status;
}

static enum critic_status add_pictures(struct sheet *s, const char *path,
                                       const char *folder, critic_error *err) {
    struct cr_records records;
    struct cr_seen seen = {0};
    enum critic_status status = cr_records_open(&records, path, 0, err);
    for (size_t r = 0; status == CRITIC_OK && r < records.n && s->n_done < s->n; r++) {
        json_t *record;
        status = cr_records_get(&records, r, &record, err);
        if (status != CRITIC_OK)
            break;
        struct cr_str name = cr_record_image(record, 0);
        uint32_t owner = 0;
        bool again = true;
        uint64_t key = 0;
        for (size_t i = 0; i < name.len; i++)
            key = key * 1099511628211u + (unsigned char)name.data[i] + 1;
        if (name.data)
            status = cr_seen_put(&seen, key, &owner, &again, err);
        if (status == CRITIC_OK && !again)
            status = add_picture(s, folder, name, err);
        json_decref(record);
    }
    cr_records_close(&records);
    cr_seen_fini(&seen);
    return status;
}

enum critic_status cr_contact_sheet(struct cr_buf *out, const char *path,
                                    const char *image_folder, size_t n, size_t side,
                                    size_t columns, critic_error *err) {
    struct sheet s = {.side = side, .columns = columns, .n = n};
    struct cr_buf folder;
    enum critic_status status = CRITIC_OK;
    if (n == 0 || n > 4096 || side < 8 || side > 1024 || columns == 0 || columns > 256)
        return cr_fail(err, CRITIC_BAD_ARGUMENT,
                       "a sheet of %zu pictures of %zu pixels in %zu columns; expected "
                       "up to 4096, 8 to "
                       "1024, up to 256",
                       n, side, columns);
    s.canvas.width = MARGIN + columns * (side + MARGIN);
    s.canvas.height = MARGIN + CR_CEIL_DIV(n, columns) * (side + MARGIN);
    s.canvas.rgb = malloc(s.canvas.width * s.canvas.height * 3);
    if (!s.canvas.rgb)
        return cr_fail(err, CRITIC_NO_MEMORY, "no memory for a contact sheet");
    memset(s.canvas.rgb, 255, s.canvas.width * s.canvas.height * 3);
    cr_buf_init(&folder, 1 << 16);
    if (!image_folder)
        status = cr_path_parent(&folder, path, err);
    if (status == CRITIC_OK)
        status = add_pictures(&s, path, image_folder ? image_folder : folder.data, err);
    if (status == CRITIC_OK && s.n_done == 0)
        status = cr_fail(err, CRITIC_BAD_DATA, "%s: no pictures in it", path);
    if (status == CRITIC_OK) { /* rows that stayed empty are cut off */
        s.canvas.height = MARGIN + CR_CEIL_DIV(s.n_done, columns) * (side + MARGIN);
        status = cr_image_encode_png(out, &s.canvas, err);
    }
    cr_image_free(&s.canvas);
    cr_buf_fini(&folder);
    return status;
}

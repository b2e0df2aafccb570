/* Replays a fuzz corpus as a plain test: every file of the folder given goes once through the
 * target. Sanitizers and asserts do the judging; a missing or empty folder fails. */
#include <stdio.h>
#include <string.h>

#include "base/dir.h"
#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum critic_status replay(const char *folder, size_t *n_files, critic_error *err) {
    struct cr_buf names;
    struct cr_buf path;
    enum critic_status status;
    cr_buf_init(&names, 1 << 24);
    cr_buf_init(&path, 1 << 16);
    CR_TRY_GOTO(cr_dir_list(&names, folder, err));
    for (const char *name = cr_dir_next(&names, NULL); name;
         name = cr_dir_next(&names, name)) {
        struct cr_buf data;
        cr_buf_init(&data, 1 << 26);
        CR_TRY_GOTO(cr_path_join(&path, folder, name, err));
        status = cr_file_read(path.data, &data, err);
        if (status == CRITIC_OK)
            LLVMFuzzerTestOneInput((const uint8_t *)data.data, data.len);
        cr_buf_fini(&data);
        if (status != CRITIC_OK)
            goto fail;
        *n_files += 1;
    }
fail:
    cr_buf_fini(&names);
    cr_buf_fini(&path);
    return status;
}

int main(int argc, char **argv) {
    critic_error err = {0};
    size_t n_files = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
        return 2;
    }
    if (replay(argv[1], &n_files, &err) != CRITIC_OK || n_files == 0) {
        fprintf(stderr, "%s: %s\n", argv[1],
                n_files ? err.message : "no files to replay");
        return 1;
    }
    printf("%zu files replayed\n", n_files);
    return 0;
}

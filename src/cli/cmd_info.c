/* critic info: this machine, the kernels chosen, the libraries linked. */
#include <curl/curl.h>
#include <dnnl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* jpeglib.h wants size_t and FILE before it. */
#include <jpeglib.h>
#include <png.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <sqlite3.h>
#include <utf8proc.h>
#include <webp/decode.h>

#include "base/checked.h"
#include "cli/cli.h"
#include "engine/engine.h"
#include "tensor/embedded.h"

#define STRING_OF_(x) #x
#define STRING_OF(x)  STRING_OF_(x)

struct library {
    const char *name;
    char version[40];
};

static void pcre2_version(char *out, size_t size) {
    char text[64];
    if (pcre2_config(PCRE2_CONFIG_VERSION, NULL) > (int)sizeof text) {
        snprintf(out, size, "?");
        return;
    }
    pcre2_config(PCRE2_CONFIG_VERSION, text);
    snprintf(out, size, "%.*s", (int)strcspn(text, " "), text);
}

/* As linked now, except libjpeg, which does not tell: there the headers' version. */
static size_t list_libraries(struct library out[10]) {
    const dnnl_version_t *dnnl = dnnl_version();
    unsigned png = (unsigned)png_access_version_number();
    unsigned webp = (unsigned)WebPGetDecoderVersion();
    size_t n = 0;
    out[n].name = "oneDNN";
    snprintf(out[n++].version, sizeof out->version, "%d.%d.%d", dnnl->major, dnnl->minor,
             dnnl->patch);
    out[n].name = "Jansson";
    snprintf(out[n++].version, sizeof out->version, "%s", jansson_version_str());
    out[n].name = "utf8proc";
    snprintf(out[n++].version, sizeof out->version, "%s", utf8proc_version());
    out[n].name = "PCRE2";
    pcre2_version(out[n++].version, sizeof out->version);
    out[n].name = "libjpeg-turbo";
    snprintf(out[n++].version, sizeof out->version, "%s",
             STRING_OF(LIBJPEG_TURBO_VERSION));
    out[n].name = "libpng";
    snprintf(out[n++].version, sizeof out->version, "%u.%u.%u", png / 10000,
             png / 100 % 100, png % 100);
    out[n].name = "libwebp";
    snprintf(out[n++].version, sizeof out->version, "%u.%u.%u", webp >> 16,
             webp >> 8 & 0xff, webp & 0xff);
    out[n].name = "libcurl";
    snprintf(out[n++].version, sizeof out->version, "%s",
             curl_version_info(CURLVERSION_NOW)->version);
    out[n].name = "SQLite";
    snprintf(out[n++].version, sizeof out->version, "%s", sqlite3_libversion());
    return n;
}

static enum critic_status print_json(const struct cr_exec *ex, const char *cpu,
                                     critic_error *err) {
    struct library libraries[10];
    size_t n = list_libraries(libraries);
    json_t *list = json_object();
    json_t *isas = json_array(), *models = json_array();
    for (size_t i = 0; cr_embedded_name(i); i++)
        json_array_append_new(models, json_string(cr_embedded_name(i)));
    for (size_t i = 0; i < n; i++)
        json_object_set_new(list, libraries[i].name, json_string(libraries[i].version));
    for (int i = 0; i < CR_ISA_COUNT; i++)
        if (cr_isa_available((enum cr_isa)i))
            json_array_append_new(isas, json_string(cr_isa_name((enum cr_isa)i)));
    return cr_print_json(
        json_pack("{s:s,s:s,s:I,s:o,s:s,s:s,s:i,s:o,s:o}", "version", critic_version(),
                  "cpu", cpu, "memory_bytes", (json_int_t)cr_memory_bytes(), "isas", isas,
                  "isa", cr_isa_name(ex->isa), "compute",
                  ex->compute == CR_COMPUTE_BF16 ? "bf16" : "f32", "threads",
                  ex->n_threads, "models", models, "libraries", list),
        err);
}

static void print_text(const struct cr_exec *ex, const char *cpu) {
    struct library libraries[10];
    size_t n = list_libraries(libraries);
    printf("critic     %s\n", critic_version());
    printf("cpu        %s\n", *cpu ? cpu : "unknown");
    printf("memory     %s\n", cr_size_text((double)cr_memory_bytes()).text);
    printf("kernels    %s (this machine can run:", cr_isa_name(ex->isa));
    for (int i = 0; i < CR_ISA_COUNT; i++)
        if (cr_isa_available((enum cr_isa)i))
            printf(" %s", cr_isa_name((enum cr_isa)i));
    printf(")\nprecision  %s\n", ex->compute == CR_COMPUTE_BF16 ? "bf16" : "f32");
    printf("threads    %d\n", ex->n_threads);
    printf("models    ");
    for (size_t i = 0; cr_embedded_name(i); i++)
        printf(" %s", cr_embedded_name(i));
    printf("\nlibraries ");
    for (size_t i = 0; i < n; i++)
        printf(" %s %s%s", libraries[i].name, libraries[i].version,
               i + 1 < n ? "," : "\n");
}

static enum critic_status run_parsed(struct cr_common *c, critic_error *err) {
    struct cr_engine_opts opts;
    struct cr_exec *ex;
    char cpu[49];
    CR_TRY(cr_common_engine_opts(c, &opts, err));
    CR_TRY(cr_exec_new(&ex, &opts.exec, err));
    cr_cpu_name(cpu);
    enum critic_status status = CRITIC_OK;
    if (c->json)
        status = print_json(ex, cpu, err);
    else
        print_text(ex, cpu);
    cr_exec_free(ex);
    return status;
}

int cr_cmd_info(int n_args, const char *const *args) {
    struct cr_common common;
    critic_error err = {0};
    cr_common_init(&common);
    const struct cr_flag flags[] = {CR_MACHINE_FLAGS(common), CR_OUTPUT_FLAGS(common),
                                    CR_END_FLAGS};
    const struct cr_args_spec spec = {
        .command = "info",
        .usage = "[--json]",
        .about =
            "This machine, the kernels and the precision that are used on it, and the "
            "libraries\nlinked. Put it into a bug report.",
        .example = "critic info",
        .flags = flags};
    struct cr_args parsed;
    int status = cr_command_begin(&parsed, &spec, n_args, args);
    if (status >= 0)
        return status;
    return cr_command_end(&parsed, cr_outcome(run_parsed(&common, &err), &err));
}

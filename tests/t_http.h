/* An HTTP server of a test's own: one thread, plain sockets, scripted answers. */
#ifndef CR_TESTS_T_HTTP_H
#define CR_TESTS_T_HTTP_H

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "t.h"

#define T_MAX_SCRIPT 16

struct t_server {
    int fd;
    int port;
    pthread_t thread;
    /* Whole HTTP answers; NULL: close without one; "": none until the client is gone. */
    const char *script[T_MAX_SCRIPT];
    size_t n_script, n_served;
    char last[1 << 16]; /* the last request */
    bool stop;
};

static inline void t_serve_one(struct t_server *s, int fd) {
    size_t n = 0, body_at = 0, body = 0;
    for (;;) {
        ssize_t got = read(fd, s->last + n, sizeof s->last - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
        s->last[n] = '\0';
        char *end = strstr(s->last, "\r\n\r\n"),
             *length = strstr(s->last, "Content-Length: ");
        if (end) {
            body_at = (size_t)(end - s->last) + 4;
            body = length ? strtoul(length + 16, NULL, 10) : 0;
        }
        if (end && n >= body_at + body)
            break;
    }
    const char *answer = s->n_served < s->n_script ? s->script[s->n_served] : NULL;
    s->n_served++;
    if (answer && answer[0] == '\0')
        (void)!read(fd, s->last + n, 1);
    for (size_t at = 0, len = answer ? strlen(answer) : 0; at < len;) {
        ssize_t put = write(fd, answer + at, len - at);
        if (put <= 0)
            break;
        at += (size_t)put;
    }
    close(fd);
}

static inline void *t_serve(void *user) {
    struct t_server *s = user;
    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0 || s->stop) {
            if (fd >= 0)
                close(fd);
            return NULL;
        }
        t_serve_one(s, fd);
    }
}

static inline void t_server_start(struct t_server *s, const char *const *script,
                                  size_t n) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    memset(s, 0, sizeof *s);
    if (n > 0)
        memcpy(s->script, script, n * sizeof *script);
    s->n_script = n;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s->fd >= 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->fd, 8), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, t_serve, s), 0);
}

static inline void t_server_stop(struct t_server *s) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)s->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    s->stop = true;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)!connect(fd, (struct sockaddr *)&a, sizeof a);
    pthread_join(s->thread, NULL);
    close(fd);
    close(s->fd);
}

#define T_HTTP(code, more, body)                                                         \
    "HTTP/1.1 " code "\r\nContent-Type: application/json\r\nConnection: close\r\n" more  \
    "\r\n" body
#define T_GOOD(text)                                                                     \
    T_HTTP("200 OK", "",                                                                 \
           "{\"choices\":[{\"message\":{\"content\":\"" text                             \
           "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":7,"            \
           "\"completion_tokens\":3}}")

#endif

/* Judges a picture: judge MODEL PICTURE QUESTION ANSWER [ANSWER …] */
#include <stdio.h>

#include <critic.h>

int main(int argc, char **argv) {
    critic_error err = {0};
    critic_engine *engine = NULL;
    critic_image *image = NULL;
    critic_verdict *verdict = NULL;
    critic_text answers[16];
    critic_item item = {.images = &image, .n_images = 1, .answers = answers};
    if (argc < 5 || argc > 4 + 16) {
        fprintf(stderr, "usage: judge MODEL PICTURE QUESTION ANSWER [ANSWER …]\n");
        return 2;
    }
    item.question = critic_text_of(argv[3]);
    for (int i = 4; i < argc; i++)
        answers[item.n_answers++] = critic_text_of(argv[i]);
    if (critic_engine_open(&engine, argv[1], NULL, &err) == CRITIC_OK &&
        critic_image_open(&image, argv[2], NULL, &err) == CRITIC_OK &&
        critic_judge(engine, &item, NULL, &verdict, &err) == CRITIC_OK)
        printf("%s\n", critic_verdict_json(verdict));
    else
        fprintf(stderr, "judge: %s\n", err.message);
    critic_verdict_free(verdict);
    critic_image_free(image);
    critic_engine_free(engine);
    return critic_status_exit(err.status);
}

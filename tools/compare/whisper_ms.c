/* How long whisper.cpp's encoder takes for its window of 30 s, a line for each run, in
 * milliseconds. whisper.py compiles this against the build it was given.
 *
 *     whisper_ms MODEL.bin THREADS RUNS FLASH       FLASH: 1 or 0, its flash attention
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <whisper.h>

static double milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

int main(int argc, char **argv)
{
    struct whisper_context_params params = whisper_context_default_params();
    if (argc != 5) {
        fprintf(stderr, "whisper_ms MODEL.bin THREADS RUNS FLASH\n");
        return 2;
    }
    params.use_gpu = false;
    params.flash_attn = atoi(argv[4]) != 0;
    struct whisper_context *w = whisper_init_from_file_with_params(argv[1], params);
    if (!w || whisper_set_mel(w, NULL, 0, whisper_model_n_mels(w))) {
        fprintf(stderr, "whisper_ms: %s: not a model\n", argv[1]);
        return 1;
    }
    for (int run = 0; run <= atoi(argv[3]); run++) { /* the first warms up */
        double begin = milliseconds();
        if (whisper_encode(w, 0, atoi(argv[2]))) {
            return 1;
        }
        if (run > 0) {
            printf("%.2f\n", milliseconds() - begin);
        }
    }
    whisper_free(w);
    return 0;
}

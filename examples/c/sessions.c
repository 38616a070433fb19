/* Runs one image through a session, as a stream of frames, and in a batch:
 *     sessions MODEL [PIXELS]
 * PIXELS is a file of one byte a value in C, H, W order; without it a picture is made up. */
#include <snn.h>
#include <stdio.h>
#include <stdlib.h>

static void check(snn_status status, const char *what) {
    if (status != SNN_OK) {
        fprintf(stderr, "%s: %s\n", what, snn_last_error());
        exit(1);
    }
}

static void *allocate(size_t size) {
    void *memory = malloc(size);
    if (memory == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return memory;
}

/* The best classes of the last run, and what follows from its integers. */
static void print_best(const SnnModel *model, const SnnSession *session, const char *what) {
    size_t classes = snn_model_classes(model), i;
    int64_t *sums = allocate(classes * sizeof *sums);
    double *logits = allocate(classes * sizeof *logits);
    SnnPrediction best[3];
    check(snn_session_best(session, best, 3), "best");
    check(snn_session_sums(session, sums, classes), "sums");
    check(snn_session_logits(session, logits, classes), "logits");
    printf("%s\n", what);
    for (i = 0; i < 3; i++) {
        size_t class_index = best[i].class_index;
        printf("%5.1f %% %s, sum %lld, logit %.4f\n", 100 * best[i].probability,
               best[i].name == NULL ? "?" : best[i].name, (long long)sums[class_index],
               logits[class_index]);
    }
    free(sums);
    free(logits);
}

int main(int argc, char **argv) {
    SnnModel *model = NULL;
    SnnSession *session = NULL;
    SnnState *state = NULL;
    size_t size, steps, classes, i;
    unsigned char *pixels;
    double *logits;

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: sessions MODEL [PIXELS]\n");
        return 2;
    }
    check(snn_model_load(argv[1], NULL, &model), "load");
    size = snn_model_input_size(model);
    steps = snn_model_time_steps(model);
    classes = snn_model_classes(model);
    printf("snn %s, %s\n", snn_version(), snn_model_instruction_set(model));

    pixels = allocate(2 * size);
    for (i = 0; i < 2 * size; i++) {
        pixels[i] = (unsigned char)i;
    }
    if (argc == 3) {
        FILE *file = fopen(argv[2], "rb");
        if (file == NULL || fread(pixels, 1, size, file) != size) {
            fprintf(stderr, "%s: expected %lu bytes\n", argv[2], (unsigned long)size);
            return 1;
        }
        fclose(file);
    }

    check(snn_session_new(model, &session), "session");
    check(snn_session_run(session, pixels, size), "run");
    print_best(model, session, "image");

    /* The same image as a stream, frame by frame: after T frames the results are the same. */
    check(snn_state_new(session, &state), "state");
    for (i = 0; i < steps; i++) {
        check(snn_session_push(session, state, pixels, size), "push");
    }
    print_best(model, session, "stream");

    /* Two images at once. */
    logits = allocate(2 * classes * sizeof *logits);
    check(snn_model_run_batch(model, pixels, 2 * size, 2, NULL, logits, 2 * classes), "batch");
    printf("batch: logits of class 0: %.4f %.4f\n", logits[0], logits[classes]);

    free(logits);
    free(pixels);
    snn_state_free(state);
    snn_session_free(session);
    snn_model_free(model);
    return 0;
}

/* Classifies one image:
 *     classify MODEL [PIXELS]
 * PIXELS is a file of one byte a value in C, H, W order; without it a picture is made up. */
#include <snn.h>
#include <stdio.h>
#include <stdlib.h>

/* The bytes of a file, or a made-up picture where there is none. */
static unsigned char *image(const char *path, size_t size) {
    unsigned char *pixels = malloc(size);
    size_t i;
    for (i = 0; pixels != NULL && i < size; i++) {
        pixels[i] = (unsigned char)i;
    }
    if (pixels != NULL && path != NULL) {
        FILE *file = fopen(path, "rb");
        if (file == NULL || fread(pixels, 1, size, file) != size) {
            fprintf(stderr, "%s: expected %lu bytes\n", path, (unsigned long)size);
            exit(1);
        }
        fclose(file);
    }
    return pixels;
}

int main(int argc, char **argv) {
    SnnModel *model = NULL;
    SnnPrediction best;
    unsigned char *pixels;

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: classify MODEL [PIXELS]\n");
        return 2;
    }
    if (snn_model_load(argv[1], NULL, &model) != SNN_OK) {
        fprintf(stderr, "load: %s\n", snn_last_error());
        return 1;
    }
    pixels = image(argv[2], snn_model_input_size(model));
    if (snn_model_classify(model, pixels, snn_model_input_size(model), &best) != SNN_OK) {
        fprintf(stderr, "classify: %s\n", snn_last_error());
        return 1;
    }
    printf("%5.1f %% %s\n", 100 * best.probability, best.name == NULL ? "?" : best.name);
    free(pixels);
    snn_model_free(model);
    return 0;
}

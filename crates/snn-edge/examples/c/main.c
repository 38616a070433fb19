/* Tells horizontal from vertical bars: the program is a constant array, for flash, and all memory
 * that is written to is static. See the README of snn-edge for the commands. */
#include <snn_edge.h>
#include <stdio.h>

#include "bars.h"

static SnnEdge engine;
static int32_t buffer[64];
static uint8_t image[64];

static int report(const char *call, const SnnEdgeError *error) {
    printf("%s: status %d, %.*s, found %lu\n", call, (int)error->status, (int)error->what_length,
           error->what, (unsigned long)error->found);
    return 1;
}

int main(void) {
    SnnEdgeError error;
    SnnEdgeInfo info;
    int64_t scores[2];
    int vertical, i;

    if (snn_edge_info(bars, sizeof bars, &info, &error)) return report("info", &error);
    printf("flash %lu bytes, RAM %lu bytes\n", (unsigned long)info.flash,
           4 * (unsigned long)info.memory[SNN_EDGE_IMAGE]);
    if (snn_edge_init(&engine, bars, sizeof bars, SNN_EDGE_IMAGE, buffer,
                      sizeof buffer / sizeof *buffer, &error)) {
        return report("init", &error);
    }
    for (vertical = 0; vertical < 2; vertical++) {
        for (i = 0; i < 64; i++) image[i] = (vertical ? i % 8 : i / 8) == 3 ? 255 : 0;
        if (snn_edge_run(&engine, image, sizeof image, scores, 2, &error)) {
            return report("run", &error);
        }
        printf("%s bar: scores %ld %ld\n", vertical ? "vertical" : "horizontal", (long)scores[0],
               (long)scores[1]);
    }
    return 0;
}

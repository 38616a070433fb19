/* Runs the events of a camera through a network as they arrive, one window of time after another:
 *     events MODEL MICROS < RECORDING
 * RECORDING has N-MNIST's five bytes an event: column, row, polarity (the highest bit) and 23 bits
 * of time in microseconds, most significant byte first. */
#include <snn.h>
#include <stdio.h>
#include <stdlib.h>

static void check(snn_status status, const char *what) {
    if (status != SNN_OK) {
        fprintf(stderr, "%s: %s\n", what, snn_last_error());
        exit(1);
    }
}

/* One macro-step of the stream, and the class so far. */
static void push(SnnSession *session, SnnState *state, const SnnEvent *events, size_t count,
                 int64_t until) {
    SnnPrediction best;
    check(snn_session_push_events(session, state, events, count), "push");
    check(snn_session_best(session, &best, 1), "best");
    printf("%lld us, %lu events: %5.1f %% %s\n", (long long)until, (unsigned long)count,
           100 * best.probability, best.name == NULL ? "?" : best.name);
    fflush(stdout);
}

int main(int argc, char **argv) {
    SnnModel *model = NULL;
    SnnSession *session = NULL;
    SnnState *state = NULL;
    SnnEvent *events = NULL;
    size_t count = 0, room = 0, found;
    int64_t micros, until = -1;
    unsigned char bytes[5];

    if (argc != 3 || (micros = atoll(argv[2])) <= 0) {
        fprintf(stderr, "usage: events MODEL MICROS < RECORDING\n");
        return 2;
    }
    check(snn_model_load(argv[1], NULL, &model), "load");
    check(snn_session_new(model, &session), "session");
    check(snn_state_new(session, &state), "state");
    while ((found = fread(bytes, 1, 5, stdin)) == 5) {
        SnnEvent event;
        event.x = bytes[0];
        event.y = bytes[1];
        event.polarity = bytes[2] >> 7;
        event.t = (int64_t)(bytes[2] & 0x7F) << 16 | (int64_t)bytes[3] << 8 | bytes[4];
        if (until < 0) {
            until = event.t + micros;
        }
        if (event.t < until - micros) {
            fprintf(stderr, "an event at %lld us, after the window before it was complete\n",
                    (long long)event.t);
            return 1;
        }
        /* A window without events is a macro-step, too: neurons leak. */
        for (; event.t >= until; until += micros) {
            push(session, state, events, count, until);
            count = 0;
        }
        if (count == room) {
            room = room == 0 ? 1024 : 2 * room;
            events = realloc(events, room * sizeof *events);
            if (events == NULL) {
                fprintf(stderr, "out of memory\n");
                return 1;
            }
        }
        events[count++] = event;
    }
    if (found != 0) {
        fprintf(stderr, "the last event is cut: %lu of 5 bytes\n", (unsigned long)found);
        return 1;
    }
    if (until >= 0) {
        push(session, state, events, count, until);
    }
    free(events);
    snn_state_free(state);
    snn_session_free(session);
    snn_model_free(model);
    return 0;
}

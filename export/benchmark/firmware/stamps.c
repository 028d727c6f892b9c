/* Time between stamps, summed by operator and stage, and the report as one line of JSON.
   Every interval holds the same share of the stamp's own code, and every call the same share of what calls it; both are
   measured once and taken off. An operator or stage that comes first in its call keeps a few instructions of the call. */
#include "bench.h"

enum { KINDS = 2, INDICES = 128, CALLS = 8 };

typedef struct {
    uint32_t ticks;
    uint32_t count;
} tally;

typedef struct {
    const char *name;
    uint32_t ticks;
    uint32_t count;
    uint32_t stack;
} call_tally;

static tally tallies[KINDS][INDICES];
static call_tally calls[CALLS];
static uint32_t last, begun, own, own_call;
static int quiet;

void kws_bench_stamp(int kind, int index) {
    const uint32_t now = kws_bench_clock();
    if (!quiet && kind >= 0 && kind < KINDS && index >= 0 && index < INDICES) {
        tallies[kind][index].ticks += now - last - own;
        ++tallies[kind][index].count;
    }
    begun += own; /* the call's total holds this stamp too */
    last = kws_bench_clock();
    begun += last - now;
}

void kws_bench_tally(int on) {
    quiet = !on;
}

void kws_bench_begin(void) {
    begun = last = kws_bench_clock();
}

void kws_bench_end(const char *name) {
    const uint32_t now = kws_bench_clock();
    int i = 0;
    while (i < CALLS - 1 && calls[i].name != 0 && calls[i].name != name) {
        ++i;
    }
    calls[i].name = name;
    calls[i].ticks += now - begun - own_call;
    ++calls[i].count;
}

static void put_text(const char *text) {
    while (*text != '\0') {
        kws_board_putc(*text++);
    }
}

static void put_number(uint32_t value) {
    char digits[10];
    int n = 0;
    do {
        digits[n++] = (char)('0' + value % 10u);
        value /= 10u;
    } while (value != 0);
    while (n > 0) {
        kws_board_putc(digits[--n]);
    }
}

void kws_bench_report_number(const char *name, uint32_t value) {
    put_text(",\"");
    put_text(name);
    put_text("\":");
    put_number(value);
}

static void kws_bench_nothing(void) {
}

/* Starts the clock, measures the stamp's and the call's own share, and opens the report. Each is measured several times
   and the last one counts: code and data are then in whatever caches there are. */
void kws_bench_report_begin(const char *unit, uint32_t hz) {
    kws_bench_clock_start();
    for (int i = 0; i < 4; ++i) {
        own = own_call = 0;
        kws_bench_begin();
        kws_bench_stamp(0, 0);
        own = tallies[0][0].ticks;
        kws_bench_begin();
        kws_bench_call(kws_bench_nothing, 0, 0, 0);
        kws_bench_end("nothing");
        own_call = calls[0].ticks;
        tallies[0][0].ticks = tallies[0][0].count = calls[0].ticks = calls[0].count = 0;
        calls[0].name = 0;
    }
    put_text("{\"kws_benchmark\":1,\"unit\":\"");
    put_text(unit);
    put_text("\"");
    kws_bench_report_number("clock_hz", hz);
    kws_bench_report_number("own", own);
}

void kws_bench_stack(const char *name, uint32_t bytes) {
    for (int i = 0; i < CALLS; ++i) {
        if (calls[i].name == name && calls[i].stack < bytes) {
            calls[i].stack = bytes;
        }
    }
}

void kws_bench_report_end(void) {
    static const char *const kinds[KINDS] = {"operators", "stages"};
    put_text(",\"calls\":{");
    for (int i = 0; i < CALLS && calls[i].name != 0; ++i) {
        put_text(i == 0 ? "\"" : ",\"");
        put_text(calls[i].name);
        put_text("\":[");
        put_number(calls[i].ticks);
        put_text(",");
        put_number(calls[i].count);
        put_text(",");
        put_number(calls[i].stack);
        put_text("]");
    }
    put_text("}");
    for (int kind = 0; kind < KINDS; ++kind) {
        int some = 0;
        put_text(",\"");
        put_text(kinds[kind]);
        put_text("\":{");
        for (int i = 0; i < INDICES; ++i) {
            if (tallies[kind][i].count != 0) {
                put_text(some ? ",\"" : "\"");
                put_number((uint32_t)i);
                put_text("\":[");
                put_number(tallies[kind][i].ticks);
                put_text(",");
                put_number(tallies[kind][i].count);
                put_text("]");
                some = 1;
            }
        }
        put_text("}");
    }
    put_text("}\n");
}

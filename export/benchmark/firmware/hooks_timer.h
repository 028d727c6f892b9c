/* Time stamps for the cores' own counters. Included before everything else. */
#ifndef KWS_HOOKS_H
#define KWS_HOOKS_H

#ifndef __ASSEMBLER__ /* a build system may include this before assembly too */
void kws_bench_stamp(int kind, int index);
#endif

#define KWS_AFTER_OPERATOR(index, data, bytes) kws_bench_stamp(0, index)
#define KWS_AFTER_STAGE(stage) kws_bench_stamp(1, stage)

#endif

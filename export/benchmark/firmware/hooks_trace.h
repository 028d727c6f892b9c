/* Marks for the emulator's instruction trace. A mark is the address of the instruction that follows it, noted in a
   section that is not loaded: it adds no instruction to the code that is measured. Included before everything else. */
#ifndef KWS_HOOKS_H
#define KWS_HOOKS_H

#define KWS_BENCH_MARK(kind, index)                                                                                    \
    __asm__ volatile(".pushsection .kws_marks, \"\", %%progbits\n\t"                                                   \
                     ".word 1f, %c0, %c1\n\t"                                                                          \
                     ".popsection\n"                                                                                   \
                     "1:" ::"i"(kind), "i"(index))
#define KWS_AFTER_OPERATOR(index, data, bytes) KWS_BENCH_MARK(0, index)
#define KWS_AFTER_STAGE(stage) KWS_BENCH_MARK(1, stage)

#endif

/* Keywords from a digital microphone, Zephyr 3.5 or newer. The board or an overlay labels the microphone dmic_dev. */
#include <zephyr/audio/dmic.h>
#include <zephyr/device.h>
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#include <kws_detector.h>

#define BLOCK_SAMPLES (KWS_FRONTEND_SAMPLE_RATE / 50) /* 20 ms */
#define BLOCK_BYTES (BLOCK_SAMPLES * sizeof(int16_t))
#define BLOCKS 8 /* 160 ms: what may come in while a decision is computed */
#define TIMEOUT_MS 1000

K_MEM_SLAB_DEFINE_STATIC(blocks, BLOCK_BYTES, BLOCKS, 4);

static kws_detector detector;

static int start(const struct device *microphone)
{
    struct pcm_stream_cfg stream = {
        .pcm_width = 16,
        .pcm_rate = KWS_FRONTEND_SAMPLE_RATE,
        .block_size = BLOCK_BYTES,
        .mem_slab = &blocks,
    };
    struct dmic_cfg config = {
        .io = {
            .min_pdm_clk_freq = 1000000,
            .max_pdm_clk_freq = 3500000,
            .min_pdm_clk_dc = 40,
            .max_pdm_clk_dc = 60,
        },
        .streams = &stream,
        .channel = {
            .req_num_streams = 1,
            .req_num_chan = 1,
            .req_chan_map_lo = dmic_build_channel_map(0, 0, PDM_CHAN_LEFT),
        },
    };
    int error = dmic_configure(microphone, &config);

    return error < 0 ? error : dmic_trigger(microphone, DMIC_TRIGGER_START);
}

int main(void)
{
    const struct device *microphone = DEVICE_DT_GET(DT_NODELABEL(dmic_dev));

    kws_detector_reset(&detector);
    if (!device_is_ready(microphone) || start(microphone) < 0) {
        printk("no microphone\n");
        return 0;
    }
    for (;;) {
        kws_detection detection;
        const int16_t *samples;
        void *block;
        size_t bytes, count, used;
        int error = dmic_read(microphone, 0, &block, &bytes, TIMEOUT_MS);

        if (error < 0) {
            printk("no audio: %d\n", error);
            return 0;
        }
        samples = block;
        for (count = bytes / sizeof(int16_t); count > 0; count -= used, samples += used) {
            if (kws_detector_push_some(&detector, samples, count, &used, &detection)) {
                printk("%s %u\n", kws_model_labels[detection.label], (unsigned int)detection.score);
            }
        }
        k_mem_slab_free(&blocks, block);
    }
}

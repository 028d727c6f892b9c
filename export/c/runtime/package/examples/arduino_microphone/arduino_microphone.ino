/* Keywords from the PDM microphone of a Nano 33 BLE Sense, a Portenta vision shield, a Nano RP2040 Connect...
 *
 * The interrupt fills a ring of samples, the loop empties it into the detector. The ring holds the audio that comes in
 * while a decision is computed: 128 ms here.
 */
#include <PDM.h>
#include <kws_detector.h>

static const uint32_t RING = 2048;  // samples, a power of two

static kws_detector detector;
static int16_t ring[RING];
static volatile uint32_t written = 0;  // by the interrupt alone
static volatile uint32_t taken = 0;    // by the loop alone
static volatile bool lost = false;

void onAudio() {
    static int16_t block[256];
    int bytes = PDM.available();

    if (bytes > (int)sizeof(block)) {
        bytes = (int)sizeof(block);
    }
    int count = PDM.read(block, (size_t)bytes) / 2;
    for (int i = 0; i < count; i++) {
        if (written - taken == RING) {
            lost = true;
            return;
        }
        ring[written % RING] = block[i];
        written = written + 1;
    }
}

void setup() {
    Serial.begin(115200);
    kws_detector_reset(&detector);
    PDM.onReceive(onAudio);
    if (!PDM.begin(1, KWS_FRONTEND_SAMPLE_RATE)) {
        Serial.println("no microphone");
        while (true) {
        }
    }
}

void loop() {
    if (lost) {  // a gap in the audio: start anew
        Serial.println("too slow, audio lost");
        taken = written;
        lost = false;
        kws_detector_reset(&detector);
    }

    uint32_t start = taken % RING;
    uint32_t count = written - taken;
    if (count > RING - start) {
        count = RING - start;  // up to the ring's end; the rest comes next time
    }

    kws_detection detection;
    size_t used;
    if (kws_detector_push_some(&detector, ring + start, count, &used, &detection)) {
        Serial.print(kws_model_labels[detection.label]);
        Serial.print(" ");
        Serial.println(detection.score);
    }
    taken = taken + used;
}

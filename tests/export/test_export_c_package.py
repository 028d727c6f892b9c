"""The folder is a CMake library, an Arduino library and a Zephyr module, each with an example that builds.

Arduino's and Zephyr's own tools are not needed: their metadata is held to their specifications' rules here, and their
examples are compiled against stubs of the few calls they make.
"""

import dataclasses
import re
import shutil
import struct
import subprocess
import textwrap
from pathlib import Path

import numpy as np
import pytest
import yaml
from c_fakes import LABELS, LENGTH, PROBE_C, STRICT, STRIDE, Library, compile_c, fake_sources, needs_cc, write

from kws_dendrite.errors import ConfigError, ExportError
from kws_dendrite.export.c.detector import DetectorConfig, emit_detector
from kws_dendrite.export.c.package import Publisher, package_files

NAME, VERSION = "Demo words-2", "1.2.0-rc.1"
EVERY = DetectorConfig(stride=1, smoothing=1, refractory=3, threshold=0.6, release=0.6)
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="needs CMake: apt-get install cmake")
needs_cxx = pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler: apt-get install g++")


def everything(**options):
    sources = fake_sources() | emit_detector(LABELS, EVERY)
    return sources | package_files(NAME, VERSION, sources, True, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("Demo_words")
    write(path, everything())
    return path


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Samples, and the lines that the host example must print for them."""
    samples = np.random.default_rng(6).integers(-300, 300, 4000).astype(np.int16)
    path = tmp_path_factory.mktemp("reference")
    write(path, fake_sources() | emit_detector(LABELS, EVERY) | {"probe.c": PROBE_C})
    found = Library(path).push_some(samples)
    assert len(found) > 50
    return samples, found


def lines_of(found):
    return [
        f"{(frame * STRIDE + LENGTH) / 16000:.2f} {LABELS[label]} {score / 256:.2f}" for label, score, frame in found
    ]


def properties(text):
    pairs = [line.split("=", 1) for line in text.splitlines()]
    assert all(len(pair) == 2 for pair in pairs) and len({key for key, _ in pairs}) == len(pairs)
    return dict(pairs)


# Arduino library specification 1.5, rev. 2.2, "library.properties file format".
REQUIRED = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"}
OPTIONAL = {"depends", "dot_a_linkage", "includes", "precompiled", "ldflags"}
CATEGORIES = {
    "Display", "Communication", "Signal Input/Output", "Sensors", "Device Control", "Timing", "Data Storage",
    "Data Processing", "Other",
}  # fmt: skip


@pytest.mark.parametrize("has_detector", [True, False])
def test_library_properties_keep_arduinos_rules(has_detector):
    sources = fake_sources() | (emit_detector(LABELS) if has_detector else {})
    fields = properties(package_files(NAME, VERSION, sources, has_detector)["library.properties"])
    assert set(fields) >= REQUIRED and set(fields) <= REQUIRED | OPTIONAL
    assert all(value and value == value.strip() for value in fields.values())
    assert fields["name"] == NAME and not re.search(r"[^A-Za-z0-9 _.\-]", fields["name"])
    assert fields["version"] == VERSION
    assert fields["category"] in CATEGORIES
    assert fields["architectures"] == "*"
    assert re.fullmatch(r"https?://\S+", fields["url"])
    assert re.search(r"<\S+@\S+>", fields["maintainer"])
    assert fields["includes"] in sources and fields["includes"].endswith(".h")


def test_the_publisher_stands_in_the_properties():
    publisher = Publisher("A, B <b@x.org>", "B <b@x.org>", "https://x.org/words")
    fields = properties(everything(publisher=publisher)["library.properties"])
    assert (fields["author"], fields["maintainer"], fields["url"]) == (
        "A, B <b@x.org>", "B <b@x.org>", "https://x.org/words",
    )  # fmt: skip


def test_the_layout_is_arduinos_flat_one():
    paths = everything()
    assert not any(path.startswith(("src/", "utility/")) for path in paths)  # either would change what is compiled
    sketches = [path for path in paths if path.endswith(".ino")]
    assert sketches
    for path in sketches:
        top, sketch, file = path.split("/")
        assert top == "examples" and file == f"{sketch}.ino"
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,62}", sketch)
    assert not any(re.search(r"^\s*int main\(", text, re.M) for path, text in paths.items() if "/" not in path)


def test_keywords_are_tab_separated_and_exist():
    texts = everything()
    declared = "\n".join(text for name, text in texts.items() if name.endswith(".h"))
    lines = [line for line in texts["keywords.txt"].splitlines() if line and not line.startswith("#")]
    assert len(lines) > 15
    for line in lines:
        word, kind = line.split("\t")
        assert kind in {"KEYWORD1", "KEYWORD2", "LITERAL1"}
        assert re.search(rf"\b{word}\b", declared), word
        if kind == "KEYWORD2":
            assert re.search(rf"\b{word}\(", declared), word


# What Zephyr's scripts/zephyr_module.py takes: its METADATA_SCHEMA, the part of it without blobs and boards.
MODULE_KEYS = {"name": str, "build": dict, "tests": list, "samples": list}
BUILD_KEYS = {"cmake": str, "kconfig": str, "cmake-ext": bool, "kconfig-ext": bool, "depends": list, "settings": dict}


def test_module_yml_keeps_zephyrs_schema(folder):
    module = yaml.safe_load((folder / "zephyr/module.yml").read_text())
    assert all(isinstance(value, MODULE_KEYS[key]) for key, value in module.items())
    assert all(isinstance(value, BUILD_KEYS[key]) for key, value in module["build"].items())
    assert (folder / module["build"]["cmake"] / "CMakeLists.txt").is_file()
    assert (folder / module["build"]["kconfig"]).is_file()
    # Zephyr defines this symbol itself; ours must be another.
    own = f"ZEPHYR_{re.sub('[^a-zA-Z0-9]', '_', module['name']).upper()}_MODULE"
    assert f"config {own}" not in (folder / "zephyr/Kconfig").read_text()


def kconfig_symbols(text):
    return re.findall(r"^config (\w+)$", text, re.M)


@pytest.mark.parametrize("has_detector", [True, False])
def test_kconfig_is_well_formed(has_detector):
    sources = (fake_sources() | emit_detector(LABELS)) if has_detector else {"kws_model.c": "", "kws_model.h": ""}
    texts = package_files(NAME, VERSION, sources, has_detector)
    symbols = kconfig_symbols(texts["zephyr/Kconfig"])
    assert symbols == ["KWS_DENDRITE", "KWS_DENDRITE_FIXED_POINT"][: 1 + has_detector]
    for line in texts["zephyr/Kconfig"].splitlines():
        assert re.fullmatch(r"|#.*|config \w+|\t(bool \".+\"|imply \w+|select \w+|depends on \w+|help)|\t  \S.*", line)
    used = set(re.findall(r"CONFIG_(KWS\w+)", "".join(texts.values())))
    assert used == set(symbols)


def test_kconfig_parses_with_zephyrs_parser(folder, tmp_path):
    kconfiglib = pytest.importorskip("kconfiglib", reason="Zephyr's parser: pip install kconfiglib")
    root = f'config FPU\n\tbool\nconfig REQUIRES_FULL_LIBC\n\tbool\nsource "{folder / "zephyr/Kconfig"}"\n'
    (tmp_path / "Kconfig").write_text(root)
    tree = kconfiglib.Kconfig(str(tmp_path / "Kconfig"), warn_to_stderr=False)
    assert tree.warnings == []
    tree.syms["KWS_DENDRITE"].set_value("y")
    assert tree.syms["REQUIRES_FULL_LIBC"].str_value == "y" and tree.syms["FPU"].str_value == "y"
    assert tree.syms["KWS_DENDRITE_FIXED_POINT"].str_value == "n"


@needs_cc
def test_the_folder_compiles_alone_and_strictly(folder, tmp_path):
    sources = sorted(map(str, folder.glob("*.c")))
    compile_c(["cc", *STRICT, "-c", *sources], tmp_path)
    by_hand = re.search(r"so does  (cc .*)", (folder / "examples/host/main.c").read_text())[1]
    compile_c(
        ["sh", "-c", by_hand.replace("-o kws_host", f"-o {tmp_path}/kws_host {' '.join(STRICT[1:])}")],
        folder / "examples/host",
    )


def cmake(source, build, *options, target=None):
    compile_c(["cmake", "-S", str(source), "-B", str(build), *options], source)
    compile_c(["cmake", "--build", str(build), *(["--target", target] if target else [])], source)


@pytest.fixture(scope="module")
def host(folder, tmp_path_factory):
    """The host example, built by CMake from the folder alone."""
    build = tmp_path_factory.mktemp("build")
    cmake(folder, build, f"-DCMAKE_C_FLAGS={' '.join(STRICT)}")
    return build / "kws_host"


def wav(samples, rate=16000, channels=1, bits=16, tag=1, before=b"", size=None, extra=b""):
    data = samples.astype("<i2").tobytes()
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits) + extra
    chunks = before + b"fmt " + struct.pack("<I", len(form)) + form
    chunks += b"data" + struct.pack("<I", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def listen(program, path=None, content=None):
    command = [str(program)] if path is None else [str(program), str(path)]
    return subprocess.run(command, input=content, capture_output=True, timeout=60)


@needs_cmake
@needs_cc
def test_the_host_example_finds_what_the_detector_finds(host, recording, tmp_path):
    samples, found = recording
    odd_chunk = b"LIST" + struct.pack("<I", 5) + b"INFOx" + b"\0"
    trailer = b"LIST" + struct.pack("<I", 400) + bytes(400)
    files = {
        "plain.wav": wav(samples),
        "chunk_before.wav": wav(samples, before=odd_chunk),
        "extensible.wav": wav(samples, tag=0xFFFE, extra=bytes(24)),
        "from_a_pipe.wav": wav(samples, size=0),
        "chunk_behind.wav": wav(samples) + trailer,
        "samples.raw": samples.astype("<i2").tobytes(),
        "half_a_sample_more.raw": samples.astype("<i2").tobytes() + b"\x01",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        done = listen(host, tmp_path / name)
        assert done.returncode == 0 and done.stderr == b"", name
        assert done.stdout.decode().splitlines() == lines_of(found), name
    assert listen(host, content=files["plain.wav"]).stdout.decode().splitlines() == lines_of(found)
    assert listen(host, content=b"").stdout == b""


@needs_cmake
@needs_cc
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (wav(np.zeros(9), rate=8000), "8000"),
        (wav(np.zeros(9), channels=2), "2 channels"),
        (wav(np.zeros(9), bits=8), "8 bits"),
        (wav(np.zeros(9), tag=3), "format 3"),
        (wav(np.zeros(9))[:30], "ends before"),
        (b"RIFF\0\0\0\0WAVEdata\4\0\0\0\0\0\0\0", "before their format"),
        (b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\xff", "ends before"),
    ],
)
def test_the_host_example_refuses_other_wav_files(host, content, words):
    done = listen(host, content=content)
    assert done.returncode == 1 and words in done.stderr.decode() and done.stdout == b""


@needs_cmake
@needs_cc
def test_inside_another_project_the_library_is_built_and_the_example_is_not(folder, tmp_path):
    write(
        tmp_path,
        {
            "CMakeLists.txt": "cmake_minimum_required(VERSION 3.16)\nproject(firmware C)\n"
            f'add_subdirectory("{folder}" kws)\nadd_executable(firmware main.c)\n'
            "target_link_libraries(firmware PRIVATE kws::kws)\n",
            "main.c": '#include "kws_detector.h"\nstatic kws_detector d;\n'
            "#ifndef KWS_FRONTEND_FIXED\n#error not passed on\n#endif\n"
            "int main(void) { kws_detector_reset(&d); return kws_detector_posteriors(&d)[0]; }\n",
        },
    )
    cmake(tmp_path, tmp_path / "build", "-DKWS_FRONTEND_FIXED=ON")
    compile_c([str(tmp_path / "build/firmware")], tmp_path)
    assert not list(tmp_path.rglob("kws_host*"))


ZEPHYR_STUB = """
cmake_minimum_required(VERSION 3.16)
project(zephyr_stub C)
set(CONFIG_KWS_DENDRITE y)
set(CONFIG_KWS_DENDRITE_FIXED_POINT y)
macro(zephyr_library)
    add_library(module STATIC)
endmacro()
macro(zephyr_library_sources)
    target_sources(module PRIVATE ${ARGN})
endmacro()
macro(zephyr_include_directories)
    target_include_directories(module PUBLIC ${ARGN})
endmacro()
macro(zephyr_compile_definitions)
    target_compile_definitions(module PUBLIC ${ARGN})
endmacro()
add_subdirectory("@FOLDER@/zephyr" module)
get_target_property(definitions module COMPILE_DEFINITIONS)
if(NOT definitions STREQUAL "KWS_FRONTEND_FIXED")
    message(FATAL_ERROR "definitions: ${definitions}")
endif()
add_executable(app main.c)
target_link_libraries(app PRIVATE module m)
set(CONFIG_KWS_DENDRITE n)
add_subdirectory("@FOLDER@/zephyr" nothing)
"""


@needs_cmake
@needs_cc
def test_the_zephyr_module_builds_with_zephyrs_calls_stubbed(folder, tmp_path):
    main = "#include <kws_detector.h>\nstatic kws_detector d;\nint main(void) { kws_detector_reset(&d); return 0; }\n"
    write(tmp_path, {"CMakeLists.txt": ZEPHYR_STUB.replace("@FOLDER@", str(folder)), "main.c": main})
    cmake(tmp_path, tmp_path / "build")
    compile_c([str(tmp_path / "build/app")], tmp_path)


ZEPHYR_HEADERS = {
    "zephyr/kernel.h": """
        #include <stddef.h>
        #include <stdint.h>
        #pragma once
        struct k_mem_slab { int unused; };
        #define K_MEM_SLAB_DEFINE_STATIC(name, size, count, align) static struct k_mem_slab name
        void k_mem_slab_free(struct k_mem_slab *slab, void *mem);
    """,
    "zephyr/device.h": """
        #pragma once
        #include <stdbool.h>
        struct device { int unused; };
        extern const struct device stub_dmic_dev;
        #define DT_NODELABEL(label) label
        #define DEVICE_DT_GET(node) STUB_GET(node)
        #define STUB_GET(node) (&stub_##node)
        bool device_is_ready(const struct device *dev);
    """,
    "zephyr/sys/printk.h": "__attribute__((format(printf, 1, 2))) void printk(const char *format, ...);",
    "zephyr/audio/dmic.h": """
        #include <zephyr/device.h>
        #include <zephyr/kernel.h>
        enum pdm_lr { PDM_CHAN_RIGHT, PDM_CHAN_LEFT };
        enum dmic_trigger { DMIC_TRIGGER_STOP, DMIC_TRIGGER_START };
        struct pcm_stream_cfg {
            uint32_t pcm_rate;
            uint8_t pcm_width;
            uint16_t block_size;
            struct k_mem_slab *mem_slab;
        };
        struct pdm_io_cfg {
            uint32_t min_pdm_clk_freq, max_pdm_clk_freq;
            uint8_t min_pdm_clk_dc, max_pdm_clk_dc, pdm_clk_pol, pdm_data_pol;
            uint32_t pdm_clk_skew;
        };
        struct pdm_chan_cfg {
            uint32_t req_chan_map_lo, req_chan_map_hi, act_chan_map_lo, act_chan_map_hi;
            uint8_t req_num_chan, act_num_chan, req_num_streams, act_num_streams;
        };
        struct dmic_cfg { struct pdm_io_cfg io; struct pcm_stream_cfg *streams; struct pdm_chan_cfg channel; };
        static inline uint32_t dmic_build_channel_map(uint8_t channel, uint8_t pdm, enum pdm_lr lr)
        {
            return ((uint32_t)pdm << 1 | (uint32_t)lr) << (channel * 4u);
        }
        int dmic_configure(const struct device *dev, struct dmic_cfg *config);
        int dmic_trigger(const struct device *dev, enum dmic_trigger cmd);
        int dmic_read(const struct device *dev, uint8_t stream, void **buffer, size_t *size, int32_t timeout);
    """,
}


@needs_cc
def test_the_zephyr_example_compiles_against_stubs(folder, tmp_path):
    write(tmp_path, {name: textwrap.dedent(text) for name, text in ZEPHYR_HEADERS.items()})
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{tmp_path}", f"-I{folder}"]
    compile_c(["cc", *flags, str(folder / "examples/zephyr/src/main.c")], tmp_path)
    settings = (folder / "examples/zephyr/prj.conf").read_text().splitlines()
    assert all(re.fullmatch(r"CONFIG_[A-Z0-9_]+=(y|\d+)", line) for line in settings)
    assert "CONFIG_KWS_DENDRITE=y" in settings


ARDUINO_HEADERS = {
    "Arduino.h": """
        #pragma once
        #include <stddef.h>
        #include <stdint.h>
        #include <stdio.h>
        #include <stdlib.h>
        struct StubSerial {
            void begin(unsigned long) {}
            void print(const char *text) { fputs(text, stdout); }
            void println(const char *text) { puts(text); }
            void println(unsigned char value) { printf("%u\\n", (unsigned)value); }
        };
        extern StubSerial Serial;
    """,
    "PDM.h": """
        #pragma once
        #include <Arduino.h>
        struct StubPdm {
            const int16_t *next;
            int bytes;
            void (*receive)(void);
            void onReceive(void (*function)(void)) { receive = function; }
            int begin(int channels, int rate) { return channels == 1 && rate == 16000; }
            int available() { return bytes; }
            int read(void *buffer, size_t size);
        };
        extern StubPdm PDM;
    """,
    # Blocks of 256 samples, as PDM has them; so many of them between two loops as the command line says.
    "board.cpp": """
        #include <string.h>
        #include "sketch.cpp"
        StubSerial Serial;
        StubPdm PDM;
        int StubPdm::read(void *buffer, size_t size)
        {
            memcpy(buffer, next, size);
            return (int)size;
        }
        int main(int, char **arguments)
        {
            static int16_t block[256];
            size_t count;
            int busy = atoi(arguments[1]), blocks = 0;
            setup();
            while ((count = fread(block, 2, 256, stdin)) > 0) {
                PDM.next = block;
                PDM.bytes = (int)count * 2;
                PDM.receive();
                if (++blocks % busy == 0) {
                    while (taken != written) loop();
                }
            }
            while (taken != written) loop();
            return 0;
        }
    """,
}


@pytest.fixture(scope="module")
def board(folder, tmp_path_factory):
    """The sketch on a stubbed board, and the headers seen by a C++ compiler."""
    path = tmp_path_factory.mktemp("board")
    write(path, {name: textwrap.dedent(text) for name, text in ARDUINO_HEADERS.items()})
    sketch = (folder / "examples/arduino_microphone/arduino_microphone.ino").read_text()
    write(path, {"sketch.cpp": f"#include <Arduino.h>\n{sketch}"})
    compile_c(["cc", *STRICT, "-c", *map(str, sorted(folder.glob("*.c")))], path)
    flags = ["-std=gnu++11", "-Wall", "-Wextra", "-Werror", f"-I{path}", f"-I{folder}"]
    compile_c(["g++", *flags, "-o", "board", "board.cpp", *(p.name for p in path.glob("*.o"))], path)
    return path / "board"


@needs_cc
@needs_cxx
@pytest.mark.parametrize("busy", ["1", "3", "8"])
def test_the_arduino_sketch_hears_what_the_detector_hears(board, recording, busy):
    samples, found = recording
    done = subprocess.run([str(board), busy], input=samples.tobytes(), capture_output=True, timeout=60)
    assert done.stdout.decode().splitlines() == [f"{LABELS[label]} {score}" for label, score, _ in found]


@needs_cc
@needs_cxx
def test_the_arduino_sketch_says_when_it_lost_audio(board, recording):
    done = subprocess.run([str(board), "9"], input=recording[0].tobytes(), capture_output=True, timeout=60)
    assert done.stdout.decode().startswith("too slow, audio lost\n")


@needs_cc
def test_the_readmes_main_loop_compiles(folder, tmp_path):
    text = (folder / "README.md").read_text()
    code = re.search(r"## The main loop\n\n((?:    .*\n|\n)+)", text)[1]
    declarations, _, loop = textwrap.dedent(code).partition("kws_detector_reset")
    program = (
        '#include "kws_detector.h"\nvoid read_microphone(int16_t *samples, size_t count);\n'
        f"void act_on(const char *word);\n{declarations}int main(void) {{ kws_detector_reset{loop} }}\n"
    )
    write(tmp_path, {"main.c": program})
    compile_c(["cc", *STRICT, f"-I{folder}", "-fsyntax-only", "main.c"], tmp_path)


DOCS = (Path(__file__).parents[2] / "docs" / "c_library.md").read_text(encoding="utf-8")


@needs_cc
@pytest.mark.parametrize("code", re.findall(r"```c\n(.*?)```", DOCS, re.S))
def test_the_c_of_the_documentation_compiles(folder, tmp_path, code):
    write(tmp_path, {"main.c": code})
    compile_c(["cc", *STRICT, f"-I{folder}", "-fsyntax-only", "main.c"], tmp_path)


def test_the_documentation_names_what_there_is():
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", DOCS, re.M)
    assert {name for name, _ in rows} == {field.name for field in dataclasses.fields(DetectorConfig)}
    defaults = {name: default.strip() for name, default in rows}
    assert defaults["smoothing"] == str(DetectorConfig().smoothing)
    assert defaults["threshold"] == str(DetectorConfig().threshold)
    everywhere = "\n".join(everything().values())
    for name in set(re.findall(r"\b(?:kws_\w+[a-z]|KWS_\w+|CONFIG_\w+|examples/\w+)\b", DOCS)) - {"kws_dendrite"}:
        assert re.search(rf"\b{name}\b", everywhere) or name.startswith("examples/host"), name


def test_the_readme_carries_the_figures_and_names_what_is_there():
    texts = everything(figures={"flash": "9,812 bytes", "RAM": "5,004 bytes"})
    assert "| flash | 9,812 bytes |\n| RAM | 5,004 bytes |\n" in texts["README.md"]
    assert "| figure |" not in everything()["README.md"]
    for path in re.findall(r"`(examples/\w+)`", texts["README.md"]):
        assert any(name.startswith(f"{path}/") for name in texts)


@needs_cc
def test_a_model_alone_is_packaged_with_an_example_of_its_own(tmp_path):
    sources = {name: text for name, text in fake_sources().items() if "model" in name}
    texts = sources | package_files(NAME, VERSION, sources, False)
    assert not any("detector" in text or "kws_frontend" in text for text in texts.values())
    write(tmp_path, texts)
    compile_c(["cc", *STRICT, "-I.", "-o", "features", "kws_model.c", "examples/features/main.c"], tmp_path)
    windows = np.random.default_rng(0).integers(-128, 128, (7, 16)).astype(np.int8)
    done = subprocess.run([tmp_path / "features"], input=windows.tobytes(), capture_output=True, timeout=60)
    lines = done.stdout.decode().split("\n")[:-1]
    assert len(lines) == 7 and all(line.split()[0] in LABELS and line.endswith(" 0.996") for line in lines)


def test_no_placeholder_is_left_and_values_are_not_filled_twice():
    publisher = Publisher(author="@NAME@ @if detector@")
    texts = everything(publisher=publisher)
    assert "author=@NAME@ @if detector@\n" in texts["library.properties"]
    for path, text in texts.items():
        assert path == "library.properties" or not re.search(r"@[A-Z]+@|@if |@end@", text), path
        assert text.endswith("\n") and not text.endswith("\n\n") and "\n\n\n" not in text, path
        assert all(len(line) <= 120 and line == line.rstrip() for line in text.splitlines()), path


@pytest.mark.parametrize(
    "name", ["", "_words", "-a", "42", "ws!", "a/b", "Arduino_words", "arduino", "ü", "a" * 64, "a\nb", None]
)
def test_names_that_arduino_refuses(name):
    with pytest.raises(ConfigError, match="name is"):
        package_files(name, VERSION, fake_sources(), False)


@pytest.mark.parametrize("version", ["", "1", "1.2", "r5", "003", "1.1c", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3\n", 1])
def test_versions_that_are_not_semantic(version):
    with pytest.raises(ConfigError, match="version is"):
        package_files(NAME, version, fake_sources(), False)


@pytest.mark.parametrize(
    "version", ["0.0.0", "1.2.3", "1.0.0-alpha.1", "1.0.0-0.3.7", "1.0.0+20130313144700", "1.0.0--"]
)
def test_versions_that_are(version):
    assert f"version={version}\n" in package_files(NAME, version, fake_sources(), False)["library.properties"]


@pytest.mark.parametrize(
    ("sources", "has_detector", "words"),
    [
        (["kws_model.c"], False, "kws_model.h not among"),
        (["kws_model.c", "kws_model.h"], True, "kws_detector.c, kws_detector.h, kws_frontend.c, kws_frontend.h not"),
        (["kws_model.c", "kws_model.h", "main.c"], False, "'main.c'"),
        (["kws_model.c", "kws_model.h", "../kws_x.c"], False, "'../kws_x.c'"),
        ([], False, "none"),
    ],
)
def test_sources_that_cannot_be_packaged(sources, has_detector, words):
    with pytest.raises(ExportError) as caught:
        package_files(NAME, VERSION, sources, has_detector)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "word"),
    [({"author": ""}, "author"), ({"maintainer": "a\nb=c"}, "maintainer"), ({"url": "x.org"}, "url")],
)
def test_publishers_that_cannot_be(fields, word):
    with pytest.raises(ConfigError, match=word):
        Publisher(**fields)

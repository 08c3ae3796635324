#!/usr/bin/python3
"""tools/gpu-check with tools that only say what they would do: where it finds cuBLAS, what ends it, what it leaves out, and what
it writes down."""
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
failures = 0

CMAKE = """#!/bin/sh
echo "cmake $*" >> "$CALLS"
[ "$1" = --build ] || exit 0
mkdir -p "$2/tests/cuda" "$2/tools/gpu"
for program in tests/cuda/test_cuda tests/cuda/test_cuda_geometry tools/gpu/gpubench; do
    cp "$PROGRAM" "$2/$program"
done
"""
PROGRAM = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
case "$(basename "$0") $*" in *"$FAILS"*) echo "this one fails"; exit ${FAILS_WITH:-1};; esac
[ "$1" != --figures ] || printf 'a model\\tdecode\\t1\\ttokens/s\\n' >> "$2"
"""
# compute-sanitizer and ncu run what they are given.
TOOL = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
"""


def check(what, holds, said=""):
    global failures
    print(f"{'ok' if holds else 'FAILED'}: {what}")
    if not holds:
        failures += 1
        print(said)


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def cublas(folder, libraries, version):
    """The headers and libraries of cuBLAS, as far as anybody looks."""
    for name, text in (("cublas_v2.h", ""), ("cublas_api.h", f"#define CUBLAS_VER_MAJOR {version}\n")):
        (folder / "include").mkdir(parents=True, exist_ok=True)
        (folder / "include" / name).write_text(text)
    for library in libraries:
        (folder / "lib").mkdir(parents=True, exist_ok=True)
        (folder / "lib" / library).touch()


class Machine:
    """Where every tool is one of the above. toolkit: it has cuBLAS; wheel: PyTorch's version of it, or None; gpu: there is one."""

    def __init__(self, work, toolkit=True, wheel=None, gpu=True):
        self.work, tools = work, work / "tools"
        self.toolkit, self.calls, self.out = work / "cuda", work / "calls", work / "out"
        program(self.toolkit / "bin" / "nvcc", "#!/bin/sh\necho 'Cuda compilation tools, release 13.0, V13.0.88'\n")
        if toolkit:
            cublas(self.toolkit, ["libcublas.so"], 13)
        if wheel:
            cublas(work / "site" / "nvidia" / "cu13", [f"libcublas.so.{wheel}", f"libcublasLt.so.{wheel}"], wheel)
        tools.mkdir()
        (tools / "nvcc").symlink_to(self.toolkit / "bin" / "nvcc")
        program(tools / "python3", f"#!/bin/sh\necho {work / 'site'}\n")
        program(tools / "cmake", CMAKE)
        program(tools / "nvidia-smi", "#!/bin/sh\necho 9.0\n" if gpu else "#!/bin/sh\nexit 9\n")
        for tool in "compute-sanitizer", "ncu":
            program(tools / tool, TOOL)
        program(work / "program", PROGRAM)

    def run(self, *arguments, fails="nothing", fails_with=1):
        environment = os.environ | {"PATH": f"{self.work / 'tools'}:/usr/bin:/bin", "CALLS": str(self.calls),
                                    "PROGRAM": str(self.work / "program"), "FAILS": fails,
                                    "FAILS_WITH": str(fails_with), "EARSHOT_GPU_BUILD": str(self.work / "build")}
        got = subprocess.run([ROOT / "tools" / "gpu-check", *arguments, self.out], env=environment,
                             capture_output=True, text=True)
        self.said = got.stdout + got.stderr
        self.called = self.calls.read_text() if self.calls.exists() else ""
        lines = (self.out / "stages.tsv").read_text().splitlines()[1:]
        self.ends = {line.split("\t")[0]: line.split("\t")[1] for line in lines}
        return got.returncode


def all_is_well(m):
    rc = m.run()
    check("all stages end", rc == 0 and set(m.ends.values()) == {"done"} and len(m.ends) > 15, m.said)
    check("on this GPU's architecture", "-DEARSHOT_CUDA_ARCHITECTURES=90" in m.called, m.called)
    check("with the toolkit's own cuBLAS", "CUDA_cublas_LIBRARY" not in m.called, m.called)
    budget = sum(int(line.split("\t")[3]) for line in (m.out / "stages.tsv").read_text().splitlines()[1:])
    check("within seven minutes at the most", budget <= 420, budget)
    check("figures are where the caller asked", "tokens/s" in (m.out / "figures.tsv").read_text())
    order = list(m.ends)
    check("what is wrong is found before what is slow", order.index("test_cuda") < order.index("memcheck")
          < order.index("bench-0.4b-f16") < order.index("racecheck-norm"), order)


def wheels(m):
    rc = m.run()
    links = m.work / "build" / "cublas"
    check("PyTorch's cuBLAS is taken where the toolkit has none", rc == 0
          and f"-DCUDA_cublas_LIBRARY={links}/lib/libcublas.so" in m.called
          and f"-DCUDA_cublasLt_LIBRARY={links}/lib/libcublasLt.so" in m.called, m.said + m.called)
    check("by names that a linker and a loader find", (links / "lib" / "libcublas.so").exists()
          and (links / "lib" / "libcublasLt.so.13").exists() and (links / "include" / "cublas_v2.h").exists())


def no_cublas(m):
    rc = m.run()
    check("without cuBLAS nothing is built, and the check says why", rc == 1 and "cmake" not in m.called
          and "no cuBLAS" in m.said and "stopped at cublas" in m.said, m.said)


def wrong_result(m):
    rc = m.run(fails="test_cuda ")  # not that of the geometry
    check("a wrong result ends the check", rc == 1 and list(m.ends)[-1] == "test_cuda" and "FAILED" in m.ends["test_cuda"]
          and "gpubench --" not in m.called, m.said)
    check("and what it said is told", "this one fails" in m.said and "this one fails" in (m.out / "all.txt").read_text(), m.said)


def one_measurement(m):
    rc = m.run(fails="--prefill 512,64", fails_with=124)
    check("a measurement that takes too long does not end it", rc == 1 and m.ends["bench-2.9b-f16"] == "OUT OF TIME"
          and m.ends["racecheck-linear_few"] == "done", m.said)


def no_gpu(m):
    rc = m.run()
    check("without a GPU it ends at once", rc == 1 and list(m.ends) == ["machine"] and m.called == "", m.said)


def dry_run(m):
    rc = m.run("--dry-run")
    left_out = {name for name, end in m.ends.items() if end.startswith("NOT RUN")}
    check("a dry run says what it leaves out", rc == 0 and {"machine", "test_cuda", "memcheck", "racecheck-norm",
                                                            "profile-1"} <= left_out, m.said)
    check("and does the rest", m.ends["geometry"] == "done" and "test_cuda \n" not in m.called
          and "sanitizer" not in m.called and "ncu" not in m.called, m.called)
    benches = [line for line in m.called.splitlines() if line.startswith("gpubench")]
    check("and tries gpubench on the cpu, small", len(benches) > 5
          and all(line.endswith(" cpu") and " mini " in line and "wavlm-large" not in line for line in benches), benches)


def main():
    for test, how in ((all_is_well, {}), (wheels, {"toolkit": False, "wheel": 13}), (no_cublas, {"toolkit": False}),
                      (no_cublas, {"toolkit": False, "wheel": 12}), (wrong_result, {}), (one_measurement, {}),
                      (no_gpu, {"gpu": False}), (dry_run, {"gpu": False})):
        with tempfile.TemporaryDirectory() as work:
            test(Machine(pathlib.Path(work), **how))
    print(f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

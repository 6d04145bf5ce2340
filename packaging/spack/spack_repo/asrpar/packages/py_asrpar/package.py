"""asrpar for Spack 1.0 or newer; docs/packaging.md says how it is installed from a clone."""

from spack.package import depends_on, license, variant, version
from spack_repo.builtin.build_systems.python import PythonPackage

# What Spack has no packages of: wheels, which pip installs beside this (docs/packaging.md).
WHEELS = (
    "desphere",
    "desphere-native",
    "espeakng-loader",
    "kaldi-decoder",
    "kaldialign",
    "kaldifst",
    "kaldiio",
    "lhotse",
)


class PyAsrpar(PythonPackage):
    """Kaldi-style recipes for training speech-recognition acoustic models in parallel, with MPI."""

    license("Apache-2.0")

    # A clone: spack install py-asrpar@main dev_path=$PWD
    version("main")

    variant("tests", default=False, description="What the tests need besides")

    depends_on("python@3.11:", type=("build", "run"))
    depends_on("py-setuptools@68:", type="build")
    depends_on("mpi", type=("build", "run"))

    depends_on("py-click", type=("build", "run"))
    depends_on("py-greenlet", type=("build", "run"))
    depends_on("py-matplotlib", type=("build", "run"))
    depends_on("py-mpi4py@4:", type=("build", "run"))
    depends_on("py-numpy", type=("build", "run"))
    depends_on("py-omegaconf", type=("build", "run"))
    depends_on("py-pyyaml", type=("build", "run"))
    depends_on("py-scipy", type=("build", "run"))
    depends_on("py-sentencepiece", type=("build", "run"))
    depends_on("py-simpy", type=("build", "run"))
    depends_on("py-soundfile", type=("build", "run"))
    depends_on("py-tensorboard", type=("build", "run"))
    depends_on("py-torch@2.3:", type=("build", "run"))
    depends_on("py-tqdm", type=("build", "run"))
    depends_on("py-urllib3", type=("build", "run"))
    depends_on("py-pytest", type=("build", "run"), when="+tests")
    depends_on("py-hypothesis", type=("build", "run"), when="+tests")

    # The rest needs the wheels.
    import_modules = ("asrpar", "asrpar.parallel", "asrpar.parallel.strategies", "asrpar.commands")

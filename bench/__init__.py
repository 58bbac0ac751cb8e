"""The benchmarks: `./dev bench WORKLOAD` and `./dev bench compare`. Not part of the package that users install."""

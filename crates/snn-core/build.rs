//! Compiles the autograd node against the libtorch that torch-sys found.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=src/autograd/node.cpp");
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") else {
        panic!("torch-sys did not say where libtorch is (DEP_TCH_LIBTORCH_LIB)");
    };
    let include = Path::new(&lib).join("../include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .flag("-fopenmp")
        .include(include.join("torch/csrc/api/include"))
        .include(include)
        .file("src/autograd/node.cpp")
        .compile("snn_autograd");
    println!("cargo:rustc-link-lib=gomp");
}

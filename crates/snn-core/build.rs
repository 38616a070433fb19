//! Compiles the autograd node, the gradient of a convolution, the operations on lists, the group of
//! processes and the stream of a device against the libtorch that torch-sys found.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=src/autograd/node.cpp");
    println!("cargo:rerun-if-changed=src/caught.h");
    println!("cargo:rerun-if-changed=src/convolution/input_gradient.cpp");
    println!("cargo:rerun-if-changed=src/lists/lists.cpp");
    println!("cargo:rerun-if-changed=src/ranks/group.cpp");
    println!("cargo:rerun-if-changed=src/ranks/include");
    println!("cargo:rerun-if-changed=src/device/stream.cpp");
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB") else {
        panic!("torch-sys did not say where libtorch is (DEP_TCH_LIBTORCH_LIB)");
    };
    // As torch-sys has it.
    let root = std::env::var_os("LIBTORCH_INCLUDE")
        .map_or_else(|| Path::new(&lib).join(".."), PathBuf::from);
    let include = root.join("include");
    let mut build = cc::Build::new();
    // As libtorch for Linux is built: its parallel loop is inline, and would be a plain loop
    // without.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        build.flag("-fopenmp");
        println!("cargo:rustc-link-lib=gomp");
    }
    build
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .include(include.join("torch/csrc/api/include"))
        .include(include)
        // Gloo is a part of libtorch, but its headers do not come with it.
        .include("src/ranks/include")
        .define("USE_C10D_GLOO", None)
        .file("src/autograd/node.cpp")
        .file("src/convolution/input_gradient.cpp")
        .file("src/lists/lists.cpp")
        .file("src/ranks/group.cpp")
        .file("src/device/stream.cpp")
        .compile("snn_autograd");
}

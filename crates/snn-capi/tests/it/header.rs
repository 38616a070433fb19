//! `snn.h` declares what the library defines: every function, with the same types and names of
//! parameters in the same order, and every constant.

use crate::Status;
use std::collections::BTreeMap;
use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Name of a function to its parameters, each `type name`, and what it returns.
type Functions = BTreeMap<String, (Vec<String>, String)>;

/// A type of C with its `*` behind it and the parameter's name after it.
fn c_parameter(parameter: &str) -> Option<String> {
    let parameter = parameter.replace('*', " * ").split_whitespace().collect::<Vec<_>>().join(" ");
    (parameter != "void").then(|| parameter.replace(" *", "*"))
}

fn declared(header: &str) -> Functions {
    // Comments end before any declaration here, and none has a `;` of its own that matters.
    let mut code = String::new();
    let mut rest = header;
    while let Some(start) = rest.find("/*") {
        code.push_str(&rest[..start]);
        rest = &rest[start + rest[start..].find("*/").expect("comments end") + 2..];
    }
    code.push_str(rest);
    let lines = code.lines().filter(|line| !line.starts_with('#'));
    let code = lines.collect::<Vec<_>>().join(" ").replace("extern \"C\" {", "");
    let functions = code.split(';').filter(|part| part.contains("snn_") && part.ends_with(')'));
    functions
        .map(|function| {
            let function = function.trim().trim_end_matches(')');
            let (head, parameters) = function.split_once('(').unwrap();
            let at = head.find("snn_").unwrap();
            // The status type begins like a function.
            let at = if head.starts_with("snn_status ") { "snn_status ".len() } else { at };
            let result = head[..at].trim().replace(" *", "*");
            (
                head[at..].to_string(),
                (parameters.split(',').filter_map(c_parameter).collect(), result),
            )
        })
        .collect()
}

fn c_type(rust: &str) -> String {
    let rust = rust.trim();
    if let Some(of) = rust.strip_prefix("*mut ") {
        return c_type(of) + "*";
    }
    if let Some(of) = rust.strip_prefix("*const ") {
        return format!("const {}*", c_type(of));
    }
    match rust {
        "usize" => "size_t",
        "u64" => "uint64_t",
        "i64" => "int64_t",
        "i32" => "int32_t",
        "u8" => "uint8_t",
        "f32" => "float",
        "f64" => "double",
        "c_char" => "char",
        "Status" => "snn_status",
        "" => "void",
        handle => handle,
    }
    .to_string()
}

fn defined(source: &str) -> Functions {
    let functions = source.split("#[unsafe(no_mangle)]").skip(1);
    functions
        .map(|function| {
            let (name, rest) =
                function.split_once("extern \"C\" fn ").unwrap().1.split_once('(').unwrap();
            let (parameters, rest) = rest.split_once(')').unwrap();
            let result = rest.split('{').next().unwrap().trim().trim_start_matches("->");
            let parameters =
                parameters.split(',').map(str::trim).filter(|parameter| !parameter.is_empty());
            let parameters = parameters.map(|parameter| {
                let (name, of) = parameter.split_once(':').unwrap();
                format!("{} {name}", c_type(of))
            });
            (name.to_string(), (parameters.collect(), c_type(result)))
        })
        .collect()
}

#[test]
fn header_and_library_have_the_same_functions() {
    let sources =
        ["src/border.rs", "src/model.rs", "src/session.rs", "src/state.rs"].map(read).join("\n");
    let (declared, defined) = (declared(&read("include/snn.h")), defined(&sources));
    assert!(defined.len() >= 30, "{} functions were found", defined.len());
    assert_eq!(declared, defined);
}

#[test]
fn header_and_library_have_the_same_constants() {
    let header = read("include/snn.h");
    for (name, status) in [
        ("OK", Status::Ok),
        ("ERROR_POINTER", Status::Pointer),
        ("ERROR_SIZE", Status::Size),
        ("ERROR_VALUE", Status::Value),
        ("ERROR_MODEL", Status::Model),
        ("ERROR_ORDER", Status::Order),
        ("ERROR_PANIC", Status::Panic),
    ] {
        let line = format!("#define SNN_{name} {}\n", status as i32);
        assert!(header.contains(&line), "{line}");
    }
    assert_eq!(header.matches("#define SNN_ERROR").count(), 6);
}

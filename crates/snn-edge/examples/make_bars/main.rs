//! Makes the program of the examples, as a file and as an array of C:
//! `cargo run -p snn-edge --features compile --example make_bars`.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

mod network;

use snn_edge::{Program, Summary, compile};
use std::error::Error;
use std::fmt::Write;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let program = compile(&network::bars())?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::write(folder.join("fixtures/bars.snne"), &program)?;
    std::fs::write(folder.join("examples/c/bars.h"), array_of_c(&program)?)?;
    println!("{}", Summary::of(&Program::new(&program)?));
    Ok(())
}

/// The bytes as a constant array of C.
fn array_of_c(program: &[u8]) -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "/* Tells horizontal from vertical bars; made by the example make_bars. */\n\
         #include <stdint.h>\n\nstatic const uint8_t bars[] = {\n",
    );
    for line in program.chunks(16) {
        let bytes: Vec<String> = line.iter().map(u8::to_string).collect();
        writeln!(text, "    {},", bytes.join(", "))?;
    }
    text.push_str("};\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::{Path, array_of_c, compile, network};

    #[test]
    fn the_committed_files_are_those_that_this_makes() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = compile(&network::bars()).unwrap();
        assert!(std::fs::read(folder.join("fixtures/bars.snne")).unwrap() == program);
        let array = std::fs::read_to_string(folder.join("examples/c/bars.h")).unwrap();
        assert_eq!(array, array_of_c(&program).unwrap());
    }
}

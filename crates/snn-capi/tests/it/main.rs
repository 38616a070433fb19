//! Tests of the library from the outside: the header, the functions, and programs that call it.

mod header;
#[expect(unsafe_code, reason = "the interface of C is called")]
mod interface;
mod programs;

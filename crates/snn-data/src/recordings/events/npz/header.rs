//! Headers of arrays.

use super::archive::PIECE;
use std::fmt;
use std::io::Read;

/// Headers of NumPy are a hundred bytes; more than this is damage.
const MAX_HEADER: usize = 1 << 16;

/// Facts of an NPY header.
pub(super) struct Header {
    pub(super) kind: Element,
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
}

/// The type of the values of an array.
pub(super) enum Element {
    /// Numbers, in NumPy's letters.
    Plain(String),
    /// Records of fields, in their order.
    Record(Vec<Field>),
}

impl fmt::Display for Element {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(kind) => write!(formatter, "{kind}"),
            Self::Record(fields) => {
                let field = |field: &Field| format!("{} {}", field.name, field.kind);
                let fields: Vec<_> =
                    fields.iter().filter(|field| !field.name.is_empty()).map(field).collect();
                write!(formatter, "records ({})", fields.join(", "))
            }
        }
    }
}

/// A field of a record.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    /// Its type, in NumPy's letters.
    pub(super) kind: String,
    /// Where it starts in the record.
    pub(super) start: usize,
    pub(super) bytes: usize,
}

/// Reads `\x93NUMPY`, the version, the length of the text, and the text: a Python dictionary of
/// three entries.
pub(super) fn header(file: &mut impl Read) -> Result<Header, (&'static str, String)> {
    let mut read = |count: usize| {
        let mut bytes = vec![0; count];
        file.read_exact(&mut bytes)
            .map(|()| bytes)
            .map_err(|error| ("the header of an array", error.to_string()))
    };
    let start = read(8)?;
    if !start.starts_with(b"\x93NUMPY") {
        return Err(("an array of NumPy", "other bytes".into()));
    }
    let length = match start[6] {
        1 => read(2)?.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte)),
        2 | 3 => read(4)?.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte)),
        version => return Err(("version 1, 2 or 3", version.to_string())),
    };
    if length > MAX_HEADER {
        return Err(("a header of at most 64 KiB", format!("{length} bytes")));
    }
    let text = String::from_utf8_lossy(&read(length)?).into_owned();
    let entry =
        |name: &str| text.split_once(&format!("'{name}':")).map(|(_, rest)| rest.trim_start());
    let parsed = || {
        let fortran = entry("fortran_order")?.starts_with("True");
        let axes = entry("shape")?.strip_prefix('(')?.split_once(')')?.0;
        Some(Header { kind: element(entry("descr")?)?, fortran, shape: sizes(axes)? })
    };
    let found = || format!("{:?}", text.chars().take(80).collect::<String>());
    parsed().ok_or_else(|| ("entries `descr`, `fortran_order` and `shape`", found()))
}

/// Numbers separated by commas.
fn sizes(text: &str) -> Option<Vec<usize>> {
    let sizes = text.split(',').map(str::trim).filter(|size| !size.is_empty());
    sizes.map(|size| size.parse().ok()).collect()
}

/// A type: `'<i8'`, or a list of fields `('NAME', 'TYPE')` or `('NAME', 'TYPE', (SIZES))`.
fn element(text: &str) -> Option<Element> {
    let Some(mut rest) = text.strip_prefix('[') else {
        return Some(Element::Plain(quoted(text)?.0.to_owned()));
    };
    let (mut fields, mut start) = (Vec::new(), 0_usize);
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if rest.starts_with(']') {
            return (start > 0).then_some(Element::Record(fields));
        }
        let (name, after) = quoted(rest.strip_prefix('(')?.trim_start())?;
        let after = after.trim_start().strip_prefix(',')?.trim_start();
        let (kind, after) = quoted(after)?;
        let after = after.trim_start_matches([' ', ',']);
        let (count, after) = match after.strip_prefix('(') {
            Some(inner) => {
                let (inner, after) = inner.split_once(')')?;
                let count = sizes(inner)?.into_iter().try_fold(1_usize, usize::checked_mul)?;
                (count, after.trim_start())
            }
            None => (1, after),
        };
        let bytes = bytes_of(kind)?.checked_mul(count)?;
        let field = Field { name: name.to_owned(), kind: kind.to_owned(), start, bytes };
        start = start.checked_add(bytes).filter(|&bytes| bytes <= PIECE)?;
        fields.push(field);
        rest = after.strip_prefix(')')?;
    }
}

/// Text in quotation marks of one of the two kinds, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mark = text.chars().next().filter(|mark| ['\'', '"'].contains(mark))?;
    text[1..].split_once(mark)
}

/// Bytes of a value of a type: `<i8` has eight, `|V3` three, `<U5` twenty.
fn bytes_of(kind: &str) -> Option<usize> {
    let kind = kind.trim_start_matches(['<', '>', '|', '=']);
    let (letter, count) = kind.split_at_checked(1)?;
    let unit = match letter {
        "b" | "i" | "u" | "f" | "c" | "V" | "S" | "a" | "M" | "m" => 1,
        "U" => 4,
        _ => return None,
    };
    // Units of times follow the size: `<M8[us]`.
    count.split('[').next()?.parse::<usize>().ok()?.checked_mul(unit)
}

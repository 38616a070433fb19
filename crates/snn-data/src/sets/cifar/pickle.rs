//! A reader of the pickles in which CIFAR is published: data only, nothing is executed.
//!
//! A pickle is a program for a stack machine that may name any function of Python. This reader
//! knows the instructions that dictionaries, lists, text, numbers and arrays of NumPy are made of
//! (protocols 2 to 5), the three names an array needs, and refuses everything else by its place.
//! Values lie in one list and refer to each other by position, so that neither depth nor repetition
//! costs memory or stack: both are bounded by the number of instructions.

use crate::{Error, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Instructions of a pickle; the largest official file (CIFAR-100's training split) has half a
/// million.
const MAX_INSTRUCTIONS: usize = 1 << 21;

/// Entries of a dictionary that are listed at most, and letters of a text.
const MAX_SHOWN: usize = 80;

/// Position of a value in the list of values.
type Id = usize;

#[derive(Debug)]
enum Value<'p> {
    None,
    Number(i64),
    Text(&'p [u8]),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dictionary(Vec<(Id, Id)>),
    /// A function or class that is known.
    Name(Name),
    /// A type of array elements, as `u1`.
    Element(Id),
    /// An array, before and after it was given its content.
    Array(Option<Box<Array<'p>>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Reconstruct,
    Array,
    Element,
}

impl Name {
    fn of(module: &[u8], name: &[u8]) -> Option<Self> {
        match (module, name) {
            (b"numpy.core.multiarray" | b"numpy._core.multiarray", b"_reconstruct") => {
                Some(Self::Reconstruct)
            }
            (b"numpy", b"ndarray") => Some(Self::Array),
            (b"numpy", b"dtype") => Some(Self::Element),
            _ => None,
        }
    }
}

#[derive(Debug, Clone)]
struct Array<'p> {
    shape: Vec<i64>,
    element: &'p [u8],
    fortran: bool,
    bytes: &'p [u8],
}

/// A pickled dictionary.
///
/// ```
/// use snn_data::Pickle;
/// // pickle.dumps({"labels": [6, 9]}, protocol=2), as Python 2 wrote it.
/// let bytes = b"\x80\x02}q\x01U\x06labelsq\x02]q\x03(K\x06K\tes.";
/// assert_eq!(Pickle::read(bytes, "file".as_ref())?.numbers_of("labels", 2)?, [6, 9]);
/// # Ok::<(), snn_data::Error>(())
/// ```
#[derive(Debug)]
pub struct Pickle<'p> {
    path: PathBuf,
    values: Vec<Value<'p>>,
    root: Id,
}

/// The stack machine.
struct Machine<'p> {
    bytes: &'p [u8],
    path: &'p Path,
    at: usize,
    values: Vec<Value<'p>>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'p> Pickle<'p> {
    /// Reads a pickle; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Parse`] naming the offset of what is not understood, or of the end where more was
    /// expected.
    pub fn read(bytes: &'p [u8], path: &'p Path) -> Result<Self> {
        let mut machine = Machine {
            bytes,
            path,
            at: 0,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        let root = machine.run()?;
        match machine.values.get(root) {
            Some(Value::Dictionary(_)) => {
                Ok(Self { path: path.to_owned(), values: machine.values, root })
            }
            _ => Err(machine.wrong("pickle", "a dictionary", "another value".into())),
        }
    }

    /// The list of numbers under `key`.
    ///
    /// # Errors
    /// [`Error::Field`] if there is no such list, or not of `count` whole numbers.
    pub fn numbers_of(&self, key: &str, count: usize) -> Result<Vec<i64>> {
        let numbers: Option<Vec<i64>> = self
            .list(key)?
            .iter()
            .map(|&id| match self.values[id] {
                Value::Number(number) => Some(number),
                _ => None,
            })
            .collect();
        let numbers = numbers
            .ok_or_else(|| self.wrong(key, "a list of whole numbers", "other values".into()))?;
        if numbers.len() == count {
            return Ok(numbers);
        }
        Err(self.wrong(key, &format!("{count} numbers"), numbers.len().to_string()))
    }

    /// The list of texts under `key`.
    ///
    /// # Errors
    /// [`Error::Field`] if there is no such list, or not of UTF-8 text.
    pub fn texts_of(&self, key: &str) -> Result<Vec<String>> {
        let texts: Option<Vec<String>> = self
            .list(key)?
            .iter()
            .map(|&id| match self.values[id] {
                Value::Text(text) => std::str::from_utf8(text).ok().map(str::to_owned),
                _ => None,
            })
            .collect();
        texts.ok_or_else(|| self.wrong(key, "a list of texts", "other values".into()))
    }

    /// The bytes of the array under `key`, which must have this shape, the element `u1` and the
    /// order of C.
    ///
    /// # Errors
    /// [`Error::Field`] if there is no such array.
    pub fn bytes_of(&self, key: &str, shape: [usize; 2]) -> Result<&'p [u8]> {
        let expected = format!("an array of unsigned bytes, {shape:?}, in C order");
        let Value::Array(Some(array)) = &self.values[self.get(key)?] else {
            return Err(self.wrong(key, &expected, "another value".into()));
        };
        let same = array.shape.iter().map(|&side| usize::try_from(side).ok()).eq(shape.map(Some));
        if !same
            || array.element != b"u1"
            || array.fortran
            || Some(array.bytes.len()) != shape[0].checked_mul(shape[1])
        {
            let found = format!(
                "{:?} of `{}`, {} bytes{}",
                array.shape,
                shown(array.element),
                array.bytes.len(),
                if array.fortran { " in Fortran order" } else { "" }
            );
            return Err(self.wrong(key, &expected, found));
        }
        Ok(array.bytes)
    }

    /// The first entries whose keys are text, and what is under them in words: `list of 10000`,
    /// `array [10000, 3072] of u1`.
    pub fn entries(&self) -> Vec<(String, String)> {
        let Value::Dictionary(items) = &self.values[self.root] else { return Vec::new() };
        let entry = |&(key, value): &(Id, Id)| match self.values[key] {
            Value::Text(key) => Some((shown(key), self.described(value))),
            _ => None,
        };
        items.iter().take(MAX_SHOWN).filter_map(entry).collect()
    }

    fn described(&self, value: Id) -> String {
        match &self.values[value] {
            Value::Number(number) => number.to_string(),
            Value::Text(text) => shown(text),
            Value::List(items) => format!("list of {}", items.len()),
            Value::Tuple(items) => format!("tuple of {}", items.len()),
            Value::Dictionary(items) => format!("dictionary of {}", items.len()),
            Value::Array(Some(array)) => {
                format!("array {:?} of {}", array.shape, shown(array.element))
            }
            Value::None | Value::Name(_) | Value::Element(_) | Value::Array(None) => {
                "nothing".into()
            }
        }
    }

    /// The last value under a key, as Python has it.
    fn get(&self, key: &str) -> Result<Id> {
        let Value::Dictionary(items) = &self.values[self.root] else {
            return Err(self.wrong(key, "a dictionary", "another value".into()));
        };
        let is_key =
            |id: Id| matches!(self.values[id], Value::Text(text) if text == key.as_bytes());
        let found = items.iter().rev().find(|&&(name, _)| is_key(name));
        found.map(|&(_, value)| value).ok_or_else(|| self.wrong(key, "this key", "none".into()))
    }

    fn list(&self, key: &str) -> Result<&[Id]> {
        match &self.values[self.get(key)?] {
            Value::List(items) => Ok(items),
            _ => Err(self.wrong(key, "a list", "another value".into())),
        }
    }

    fn wrong(&self, key: &str, expected: &str, found: String) -> Error {
        let expected = format!("{expected} under `{key}`");
        Error::Field { path: self.path.clone(), field: "pickle", expected, found }
    }
}

impl<'p> Machine<'p> {
    /// Runs all instructions; returns the value that is left.
    fn run(&mut self) -> Result<Id> {
        for _ in 0..MAX_INSTRUCTIONS {
            let start = self.at;
            let [code] = self.array("instruction")?;
            if code == b'.' {
                return self.pop();
            }
            if !self.step(code)? {
                self.at = start;
                let found = format!("{:?} (0x{code:02x})", char::from(code));
                return Err(self.wrong("instruction", "one that data is made of", found));
            }
        }
        Err(self.wrong(
            "pickle",
            &format!("at most {MAX_INSTRUCTIONS} instructions"),
            "more".into(),
        ))
    }

    /// Carries out one instruction; `false` if it is not known.
    fn step(&mut self, code: u8) -> Result<bool> {
        match code {
            // Protocol, and sizes of frames, which are for readers of streams.
            0x80 => {
                let [protocol] = self.array("protocol")?;
                if !(2..=5).contains(&protocol) {
                    return Err(self.wrong("protocol", "2 to 5", protocol.to_string()));
                }
            }
            0x95 => drop(self.array::<8>("size of a frame")?),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Number(1)),
            0x89 => self.push(Value::Number(0)),
            b'K' => {
                let [number] = self.array("number")?;
                self.push(Value::Number(number.into()));
            }
            b'M' => {
                let number = u16::from_le_bytes(self.array("number")?);
                self.push(Value::Number(number.into()));
            }
            b'J' => {
                let number = i32::from_le_bytes(self.array("number")?);
                self.push(Value::Number(number.into()));
            }
            b'U' | b'C' | 0x8c => {
                let [length] = self.array("length of a text")?;
                self.text(length.into())?;
            }
            b'T' | b'B' | b'X' => {
                let length = u32::from_le_bytes(self.array("length of a text")?);
                self.text(length.into())?;
            }
            0x8e => {
                let length = u64::from_le_bytes(self.array("length of a text")?);
                self.text(length)?;
            }
            b'}' => self.push(Value::Dictionary(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b')' => self.push(Value::Tuple(Vec::new())),
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(code - 0x84))?;
                self.push(Value::Tuple(items));
            }
            b't' => {
                let items = self.pop_marked()?;
                self.push(Value::Tuple(items));
            }
            b'a' => {
                let items = self.pop_many(1)?;
                self.append(items)?;
            }
            b'e' => {
                let items = self.pop_marked()?;
                self.append(items)?;
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.insert(&items)?;
            }
            b'u' => {
                let items = self.pop_marked()?;
                self.insert(&items)?;
            }
            b'q' | b'h' => {
                let [slot] = self.array("place in the memo")?;
                self.memo(code == b'h', slot.into())?;
            }
            b'r' | b'j' => {
                let slot = u32::from_le_bytes(self.array("place in the memo")?);
                self.memo(code == b'j', slot)?;
            }
            0x94 => {
                let slot = u32::try_from(self.memo.len()).unwrap_or(u32::MAX);
                self.memo(false, slot)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.name(module, name)?;
            }
            0x93 => {
                let names = self.pop_many(2)?;
                let (Value::Text(module), Value::Text(name)) =
                    (&self.values[names[0]], &self.values[names[1]])
                else {
                    return Err(self.wrong("name", "two texts", "other values".into()));
                };
                let (module, name) = (*module, *name);
                self.name(module, name)?;
            }
            b'R' => self.call()?,
            b'b' => self.build()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Makes an empty array, or a type of elements.
    fn call(&mut self) -> Result<()> {
        let [name, arguments] = self.pop_two()?;
        let Value::Tuple(arguments) = &self.values[arguments] else {
            return Err(self.wrong("call", "a tuple of arguments", "another value".into()));
        };
        let made = match (
            &self.values[name],
            arguments.first().map(|&first| (first, &self.values[first])),
        ) {
            (Value::Name(Name::Reconstruct), Some((_, Value::Name(Name::Array)))) => {
                Value::Array(None)
            }
            (Value::Name(Name::Element), Some((first, Value::Text(_)))) => Value::Element(first),
            _ => {
                return Err(self.wrong(
                    "call",
                    "the making of an array or of a type of elements",
                    "another".into(),
                ));
            }
        };
        self.push(made);
        Ok(())
    }

    /// Gives an array its content; what a type of elements is given (byte order, fields) says
    /// nothing new of bytes.
    fn build(&mut self) -> Result<()> {
        let [object, state] = self.pop_two()?;
        let array = match &self.values[object] {
            Value::Element(_) => None,
            Value::Array(None) => Some(self.content(state).ok_or_else(|| {
                self.wrong(
                    "array",
                    "a version, a shape, a type, an order and bytes",
                    "other values".into(),
                )
            })?),
            _ => {
                return Err(self.wrong(
                    "state",
                    "an array or a type of elements before it",
                    "another value".into(),
                ));
            }
        };
        if array.is_some() {
            self.values[object] = Value::Array(array);
        }
        self.stack.push(object);
        Ok(())
    }

    fn content(&self, state: Id) -> Option<Box<Array<'p>>> {
        let Value::Tuple(parts) = &self.values[state] else { return None };
        let &[_, shape, element, fortran, bytes] = parts.as_slice() else { return None };
        let Value::Tuple(sides) = &self.values[shape] else { return None };
        let Value::Element(element) = self.values[element] else { return None };
        let (Value::Text(element), Value::Number(fortran), Value::Text(bytes)) =
            (&self.values[element], &self.values[fortran], &self.values[bytes])
        else {
            return None;
        };
        let side = |&id: &Id| match self.values[id] {
            Value::Number(side) => Some(side),
            _ => None,
        };
        // The longest shape of NumPy has 64 sides.
        let shape = sides.iter().take(64).map(side).collect::<Option<_>>()?;
        Some(Box::new(Array { shape, element, fortran: *fortran != 0, bytes }))
    }

    fn append(&mut self, mut items: Vec<Id>) -> Result<()> {
        let list = self.top()?;
        match &mut self.values[list] {
            Value::List(list) => list.append(&mut items),
            _ => return Err(self.wrong("list", "a list to append to", "another value".into())),
        }
        Ok(())
    }

    fn insert(&mut self, items: &[Id]) -> Result<()> {
        let (pairs, rest) = items.as_chunks::<2>();
        let dictionary = self.top()?;
        match &mut self.values[dictionary] {
            Value::Dictionary(items) if rest.is_empty() => {
                items.extend(pairs.iter().map(|&[key, value]| (key, value)));
            }
            _ => {
                return Err(self.wrong(
                    "dictionary",
                    "a dictionary and pairs for it",
                    "other values".into(),
                ));
            }
        }
        Ok(())
    }

    fn memo(&mut self, get: bool, slot: u32) -> Result<()> {
        if get {
            let value = self.memo.get(&slot).copied();
            let value = value.ok_or_else(|| {
                self.wrong("place in the memo", "one that was filled", slot.to_string())
            })?;
            self.stack.push(value);
        } else {
            let value = self.top()?;
            self.memo.insert(slot, value);
        }
        Ok(())
    }

    fn name(&mut self, module: &[u8], name: &[u8]) -> Result<()> {
        let Some(known) = Name::of(module, name) else {
            let found = format!("`{}.{}`", shown(module), shown(name));
            return Err(self.wrong(
                "name",
                "what arrays of NumPy are made of; nothing is executed",
                found,
            ));
        };
        self.push(Value::Name(known));
        Ok(())
    }

    fn text(&mut self, length: u64) -> Result<()> {
        let rest = &self.bytes[self.at..];
        let text = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let Some(text) = text else {
            let found = format!("{} bytes, then the end", rest.len());
            return Err(self.wrong("text", &format!("{length} bytes"), found));
        };
        self.at += text.len();
        self.push(Value::Text(text));
        Ok(())
    }

    fn line(&mut self) -> Result<&'p [u8]> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().take(1 << 8).position(|&byte| byte == b'\n') else {
            return Err(self.wrong("name", "a line of at most 256 bytes", "more".into()));
        };
        self.at += end + 1;
        Ok(&rest[..end])
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N]> {
        let Some(&bytes) = self.bytes[self.at..].first_chunk::<N>() else {
            let found = format!("{} bytes, then the end", self.bytes.len() - self.at);
            return Err(self.wrong(field, &format!("{N} bytes"), found));
        };
        self.at += N;
        Ok(bytes)
    }

    fn push(&mut self, value: Value<'p>) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<Id> {
        Ok(self.pop_many(1)?[0])
    }

    fn pop_two(&mut self) -> Result<[Id; 2]> {
        let items = self.pop_many(2)?;
        Ok([items[0], items[1]])
    }

    /// The `count` values on top of the last mark.
    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(count).filter(|&start| start >= floor) {
            Some(start) => Ok(self.stack.split_off(start)),
            None => Err(self.wrong("stack", &format!("{count} values"), "fewer".into())),
        }
    }

    fn pop_marked(&mut self) -> Result<Vec<Id>> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => Err(self.wrong("stack", "a mark", "none".into())),
        }
    }

    fn top(&self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let top = self.stack.last().copied().filter(|_| self.stack.len() > floor);
        top.ok_or_else(|| self.wrong("stack", "a value", "none".into()))
    }

    fn wrong(&self, field: &'static str, expected: &str, found: String) -> Error {
        Error::Parse {
            path: self.path.to_owned(),
            offset: self.at as u64,
            field,
            expected: expected.to_owned(),
            found,
        }
    }
}

/// The beginning of a text, for people.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(MAX_SHOWN)]).into_owned()
}

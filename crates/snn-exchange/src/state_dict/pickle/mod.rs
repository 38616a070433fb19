//! A reader of pickles as data: nothing is executed, nothing is imported.
//!
//! A pickle is a program for a stack machine that may name any function of Python and call it. This
//! reader knows the instructions that plain data is made of (protocols 2 to 5), keeps a call as the
//! name and its arguments, and refuses every name that its caller does not allow. Values lie in one
//! list and refer to each other by position: depth, repetition and cycles cost neither stack nor
//! memory, and instructions are bounded.

mod machine;

use std::fmt::Write as _;

/// Position of a value in the list of values.
pub(super) type Id = usize;

/// Letters of a quoted text at most.
const MAX_SHOWN: usize = 80;

/// One value of a pickle.
#[derive(Debug)]
pub(super) enum Value<'p> {
    None,
    Bool(bool),
    Integer(i64),
    /// An integer of more than 64 bits, little-endian in two's complement.
    Long(&'p [u8]),
    /// A float; no tensor is described by one.
    Float,
    Text(&'p str),
    /// Bytes, or a text that is long or not in UTF-8.
    Bytes,
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dictionary(Vec<(Id, Id)>),
    /// A function or class that the caller allows.
    Global(Global<'p>),
    /// A call that is not made, and the items that were put into what it would have made.
    Call {
        callable: Global<'p>,
        arguments: Id,
        items: Vec<(Id, Id)>,
    },
    /// Something that is stored outside of the pickle.
    Persistent(Id),
}

/// Module and name of a function or class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Global<'p> {
    pub(super) module: &'p str,
    pub(super) name: &'p str,
}

/// A pickle that was read.
#[derive(Debug)]
pub(super) struct Pickle<'p> {
    values: Vec<Value<'p>>,
    root: Id,
    /// Bytes up to the end of the pickle.
    pub(super) length: usize,
}

impl<'p> Pickle<'p> {
    /// Reads the pickle at the beginning of `bytes`, in which names may be those that `allowed`
    /// allows.
    ///
    /// # Errors
    /// What was expected and found, and where; of a name that is not allowed what `refused` says.
    pub(super) fn read(bytes: &'p [u8], names: &Names) -> Result<Self, String> {
        machine::run(bytes, names)
    }

    /// The value that the pickle stands for.
    pub(super) fn root(&self) -> Id {
        self.root
    }

    /// A value.
    pub(super) fn value(&self, id: Id) -> &Value<'p> {
        &self.values[id]
    }

    /// All values.
    pub(super) fn values(&self) -> &[Value<'p>] {
        &self.values
    }

    /// A text.
    pub(super) fn text(&self, id: Id) -> Option<&'p str> {
        match self.value(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number of things: an integer that is not negative.
    pub(super) fn count(&self, id: Id) -> Option<usize> {
        match self.value(id) {
            Value::Integer(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The items of a tuple.
    pub(super) fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.value(id) {
            Value::Tuple(items) => Some(items),
            _ => None,
        }
    }
}

/// Names of functions and classes that a pickle may hold.
pub(super) struct Names {
    /// Whether a name is one of them.
    pub(super) allowed: fn(Global<'_>) -> bool,
    /// The message about a name that is not.
    pub(super) refused: fn(&str) -> String,
}

/// The beginning of a text of a file, for people.
pub(super) fn shown(text: &[u8]) -> String {
    let mut shown = String::new();
    for character in String::from_utf8_lossy(&text[..text.len().min(MAX_SHOWN)]).chars() {
        if character.is_control() {
            let _ = write!(shown, "{}", character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

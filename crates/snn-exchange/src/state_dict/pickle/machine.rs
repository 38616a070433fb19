//! The stack machine.

use super::{Global, Id, Names, Pickle, Value, shown};
use std::collections::HashMap;

/// Instructions of a pickle at most. A tensor takes about thirty; a checkpoint of ResNet-152 with
/// the state of its optimiser has 10⁵.
const MAX_INSTRUCTIONS: usize = 1 << 20;

/// Bytes of a text at most; a longer one names no tensor. A text may be a key of any number of
/// entries, each of which costs as much as it is long.
const MAX_TEXT: usize = 1 << 12;

/// Letters of the name of a module or function at most.
const MAX_NAME: usize = 1 << 8;

struct Machine<'p, 'n> {
    bytes: &'p [u8],
    names: &'n Names,
    at: usize,
    values: Vec<Value<'p>>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

/// Runs all instructions of a pickle.
pub(super) fn run<'p>(bytes: &'p [u8], names: &Names) -> Result<Pickle<'p>, String> {
    let mut machine = Machine {
        bytes,
        names,
        at: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    for _ in 0..MAX_INSTRUCTIONS {
        let start = machine.at;
        let [code] = machine.array("an instruction")?;
        if code == b'.' {
            let root = machine.pop()?;
            return Ok(Pickle { values: machine.values, root, length: machine.at });
        }
        if !machine.step(code)? {
            machine.at = start;
            let found = format!("{:?} (0x{code:02x})", char::from(code));
            return Err(machine.wrong("an instruction that data is made of", &found));
        }
    }
    Err(machine.wrong(&format!("at most {MAX_INSTRUCTIONS} instructions"), "more"))
}

impl<'p> Machine<'p, '_> {
    /// Carries out one instruction; `false` if it is not known.
    fn step(&mut self, code: u8) -> Result<bool, String> {
        match code {
            0x80 => {
                let [protocol] = self.array("a protocol")?;
                if !(2..=5).contains(&protocol) {
                    return Err(self.wrong("protocol 2 to 5", &protocol.to_string()));
                }
            }
            // The size of a frame is for readers of streams.
            0x95 => drop(self.array::<8>("the size of a frame")?),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' => {
                let [number] = self.array("a number")?;
                self.push(Value::Integer(number.into()));
            }
            b'M' => {
                let number = u16::from_le_bytes(self.array("a number")?);
                self.push(Value::Integer(number.into()));
            }
            b'J' => {
                let number = i32::from_le_bytes(self.array("a number")?);
                self.push(Value::Integer(number.into()));
            }
            0x8a => {
                let [length] = self.array("the length of a number")?;
                self.long(length.into())?;
            }
            0x8b => {
                let length = u32::from_le_bytes(self.array("the length of a number")?);
                self.long(length.into())?;
            }
            b'G' => {
                self.array::<8>("a float")?;
                self.push(Value::Float);
            }
            b'U' | 0x8c => {
                let [length] = self.array("the length of a text")?;
                self.text(length.into())?;
            }
            b'T' | b'X' => {
                let length = u32::from_le_bytes(self.array("the length of a text")?);
                self.text(length.into())?;
            }
            0x8d => {
                let length = u64::from_le_bytes(self.array("the length of a text")?);
                self.text(length)?;
            }
            b'C' | b'B' | 0x8e | 0x96 => self.bytes(code)?,
            _ => return self.collect(code),
        }
        Ok(true)
    }

    /// Carries out an instruction that makes something of values; `false` if it is not known.
    fn collect(&mut self, code: u8) -> Result<bool, String> {
        match code {
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
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_marked()?),
            b'q' | b'h' => {
                let [slot] = self.array("a place in the memo")?;
                self.memo(code == b'h', slot.into())?;
            }
            b'r' | b'j' => {
                let slot = u32::from_le_bytes(self.array("a place in the memo")?);
                self.memo(code == b'j', slot)?;
            }
            0x94 => {
                let slot = u32::try_from(self.memo.len()).unwrap_or(u32::MAX);
                self.memo(false, slot)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => {
                let names = self.pop_many(2)?;
                let (Value::Text(module), Value::Text(name)) =
                    (&self.values[names[0]], &self.values[names[1]])
                else {
                    return Err(self.wrong("a name of two texts", "other values"));
                };
                let (module, name) = (module.as_bytes(), name.as_bytes());
                self.global(module, name)?;
            }
            b'R' => self.call()?,
            // What a call has made is given its attributes; the data is in its arguments and
            // items.
            b'b' => {
                let [object, _] = self.pop_two()?;
                if !matches!(self.values[object], Value::Call { .. }) {
                    return Err(self.wrong("an object before its state", "another value"));
                }
                self.stack.push(object);
            }
            b'Q' => {
                let identity = self.pop()?;
                self.push(Value::Persistent(identity));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A call is kept, and not made.
    fn call(&mut self) -> Result<(), String> {
        let [callable, arguments] = self.pop_two()?;
        let (Value::Global(callable), Value::Tuple(_)) =
            (&self.values[callable], &self.values[arguments])
        else {
            return Err(self.wrong("a name and a tuple of arguments", "other values"));
        };
        let callable = *callable;
        self.push(Value::Call { callable, arguments, items: Vec::new() });
        Ok(())
    }

    fn long(&mut self, length: u64) -> Result<(), String> {
        let bytes = self.take("a number", length)?;
        let mut word = [if bytes.last().is_some_and(|&byte| byte >= 0x80) { 0xff } else { 0 }; 8];
        let value = match word.get_mut(..bytes.len()) {
            Some(low) => {
                low.copy_from_slice(bytes);
                Value::Integer(i64::from_le_bytes(word))
            }
            None => Value::Long(bytes),
        };
        self.push(value);
        Ok(())
    }

    fn text(&mut self, length: u64) -> Result<(), String> {
        let bytes = self.take("a text", length)?;
        let text = bytes.get(..MAX_TEXT).is_none().then(|| std::str::from_utf8(bytes).ok());
        self.push(text.flatten().map_or(Value::Bytes, Value::Text));
        Ok(())
    }

    fn bytes(&mut self, code: u8) -> Result<(), String> {
        let length = match code {
            b'C' => self.array::<1>("a length")?[0].into(),
            b'B' => u32::from_le_bytes(self.array("a length")?).into(),
            _ => u64::from_le_bytes(self.array("a length")?),
        };
        self.take("bytes", length)?;
        self.push(Value::Bytes);
        Ok(())
    }

    fn append(&mut self, mut items: Vec<Id>) -> Result<(), String> {
        let list = self.top()?;
        match &mut self.values[list] {
            Value::List(list) => list.append(&mut items),
            _ => return Err(self.wrong("a list to append to", "another value")),
        }
        Ok(())
    }

    fn insert(&mut self, items: &[Id]) -> Result<(), String> {
        let (pairs, rest) = items.as_chunks::<2>();
        let dictionary = self.top()?;
        match &mut self.values[dictionary] {
            Value::Dictionary(items) | Value::Call { items, .. } if rest.is_empty() => {
                items.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            _ => Err(self.wrong("a dictionary and pairs for it", "other values")),
        }
    }

    fn memo(&mut self, get: bool, slot: u32) -> Result<(), String> {
        if get {
            let value = self.memo.get(&slot).copied();
            let value = value.ok_or_else(|| {
                self.wrong("a place in the memo that was filled", &slot.to_string())
            })?;
            self.stack.push(value);
        } else {
            let value = self.top()?;
            self.memo.insert(slot, value);
        }
        Ok(())
    }

    fn global(&mut self, module: &'p [u8], name: &'p [u8]) -> Result<(), String> {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let global = text(module).zip(text(name)).map(|(module, name)| Global { module, name });
        if let Some(global) = global.filter(|&global| (self.names.allowed)(global)) {
            self.push(Value::Global(global));
            return Ok(());
        }
        // Modules that Python pickles under another name than the one that is written.
        let module = match module {
            b"posix" | b"nt" => b"os",
            b"__builtin__" => b"builtins".as_slice(),
            other => other,
        };
        Err((self.names.refused)(&format!("{}.{}", shown(module), shown(name))))
    }

    fn take(&mut self, expected: &str, length: u64) -> Result<&'p [u8], String> {
        let rest = &self.bytes[self.at..];
        let bytes = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let Some(bytes) = bytes else {
            let found = format!("{} and then the end", rest.len());
            return Err(self.wrong(&format!("{expected} of {length} bytes"), &found));
        };
        self.at += bytes.len();
        Ok(bytes)
    }

    fn line(&mut self) -> Result<&'p [u8], String> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().take(MAX_NAME).position(|&byte| byte == b'\n') else {
            return Err(self.wrong(&format!("a name of at most {MAX_NAME} letters"), "more"));
        };
        self.at += end + 1;
        Ok(&rest[..end])
    }

    fn array<const N: usize>(&mut self, expected: &str) -> Result<[u8; N], String> {
        let Some(&bytes) = self.bytes[self.at..].first_chunk::<N>() else {
            let found = format!("{} bytes and then the end", self.bytes.len() - self.at);
            return Err(self.wrong(expected, &found));
        };
        self.at += N;
        Ok(bytes)
    }

    fn push(&mut self, value: Value<'p>) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<Id, String> {
        Ok(self.pop_many(1)?[0])
    }

    fn pop_two(&mut self) -> Result<[Id; 2], String> {
        let items = self.pop_many(2)?;
        Ok([items[0], items[1]])
    }

    /// The `count` values on top of the last mark.
    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(count).filter(|&start| start >= floor) {
            Some(start) => Ok(self.stack.drain(start..).collect()),
            None => Err(self.wrong(&format!("{count} values on the stack"), "fewer")),
        }
    }

    fn pop_marked(&mut self) -> Result<Vec<Id>, String> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.drain(mark..).collect()),
            None => Err(self.wrong("a mark on the stack", "none")),
        }
    }

    fn top(&self) -> Result<Id, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let top = self.stack.last().copied().filter(|_| self.stack.len() > floor);
        top.ok_or_else(|| self.wrong("a value on the stack", "none"))
    }

    fn wrong(&self, expected: &str, found: &str) -> String {
        format!("pickle, byte {}: expected {expected}, found {found}", self.at)
    }
}

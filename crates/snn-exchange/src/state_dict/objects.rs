//! What the pickles of PyTorch say: dictionaries, and tensors in storages.

use super::pickle::{Global, Id, Names, Pickle, Value, shown};
use super::tensor::{Element, MAX_AXES, View};

/// The names that state dicts are made of.
pub(super) const NAMES: Names = Names { allowed, refused };

fn allowed(global: Global<'_>) -> bool {
    match (global.module, global.name) {
        ("collections", "OrderedDict")
        | ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_parameter")
        | ("torch", "Size" | "device") => true,
        ("torch" | "torch.cuda", storage) => Element::of_storage(storage).is_some(),
        _ => false,
    }
}

fn refused(name: &str) -> String {
    format!(
        "holds the object {name}, which is not a tensor (nothing of the file was executed); save \
         only the state dict: torch.save(model.state_dict(), \"model.pt\")"
    )
}

/// Where a tensor lies.
#[derive(Debug)]
pub(super) struct Place<'p> {
    pub(super) storage: Reference<'p>,
    pub(super) view: View,
}

/// A storage, as a pickle refers to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference<'p> {
    pub(super) element: Element,
    pub(super) key: &'p str,
    /// Elements.
    pub(super) count: usize,
    /// First element and number of elements of a view of it, which old files have.
    pub(super) part: Option<(usize, usize)>,
}

impl<'p> Pickle<'p> {
    /// The items of a dictionary, plain or ordered.
    pub(super) fn items(&self, id: Id) -> Option<Vec<(Id, Id)>> {
        match self.value(id) {
            Value::Dictionary(items) => Some(items.clone()),
            Value::Call { callable, arguments, items }
                if (callable.module, callable.name) == ("collections", "OrderedDict") =>
            {
                // Python 2 hands a list of pairs over.
                let given = self.tuple(*arguments)?.first().map_or(Some(Vec::new()), |&list| {
                    let Value::List(pairs) = self.value(list) else { return None };
                    pairs.iter().map(|&pair| self.pair(pair)).collect()
                });
                given.map(|mut given| {
                    given.extend(items);
                    given
                })
            }
            _ => None,
        }
    }

    fn pair(&self, id: Id) -> Option<(Id, Id)> {
        match self.value(id) {
            Value::Tuple(pair) | Value::List(pair) => match pair.as_slice() {
                &[key, value] => Some((key, value)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The place of a tensor or parameter; `None` of other values.
    ///
    /// # Errors
    /// It is a tensor and what describes it is not.
    pub(super) fn tensor(&self, id: Id) -> Option<Result<Place<'p>, String>> {
        let mut id = id;
        // A parameter of a parameter is none of PyTorch's; a pickle may refer to itself.
        for _ in 0..2 {
            let Value::Call { callable, arguments, .. } = self.value(id) else { return None };
            let arguments = self.tuple(*arguments)?;
            match callable.name {
                "_rebuild_parameter" => id = *arguments.first()?,
                "_rebuild_tensor" | "_rebuild_tensor_v2" => {
                    let place = self.place(arguments);
                    return Some(place.ok_or_else(|| {
                        "expected a tensor of storage, offset, shape and strides, found other \
                         values"
                            .into()
                    }));
                }
                _ => return None,
            }
        }
        None
    }

    fn place(&self, arguments: &[Id]) -> Option<Place<'p>> {
        let &[storage, offset, shape, strides, ..] = arguments else { return None };
        let Value::Persistent(identity) = self.value(storage) else { return None };
        let storage = self.reference(*identity)?;
        let offset = self.count(offset)?;
        Some(Place {
            storage,
            view: View { offset, shape: self.sizes(shape)?, strides: self.sizes(strides)? },
        })
    }

    /// Sizes of axes: a tuple, or `torch.Size` of one.
    fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        let id = match self.value(id) {
            Value::Call { callable, arguments, .. } if callable.name == "Size" => {
                *self.tuple(*arguments)?.first()?
            }
            _ => id,
        };
        // One more than a tensor may have, so that its view is refused for them.
        self.tuple(id)?.iter().take(MAX_AXES + 1).map(|&size| self.count(size)).collect()
    }

    /// A storage: `("storage", class, key, location, elements)`, and in old files its view
    /// `(key, first, elements)` or none.
    pub(super) fn reference(&self, identity: Id) -> Option<Reference<'p>> {
        let parts = self.tuple(identity)?;
        let (&[kind, class, key, _, count], rest) = parts.split_first_chunk::<5>()?;
        if self.text(kind)? != "storage" {
            return None;
        }
        let Value::Global(class) = self.value(class) else { return None };
        let part = match rest {
            [] => None,
            &[view] if matches!(self.value(view), Value::None) => None,
            &[view] => {
                let &[_, first, elements] = self.tuple(view)? else { return None };
                Some((self.count(first)?, self.count(elements)?))
            }
            _ => return None,
        };
        Some(Reference {
            element: Element::of_storage(class.name)?,
            key: self.text(key)?,
            count: self.count(count)?,
            part,
        })
    }

    /// A value in words, for messages.
    pub(super) fn described(&self, id: Id) -> String {
        if self.tensor(id).is_some() {
            return "a tensor".into();
        }
        if let Some(items) = self.items(id) {
            return format!("a dictionary of {} entries", items.len());
        }
        match self.value(id) {
            Value::None => "None".into(),
            Value::Bool(_) => "a truth value".into(),
            Value::Integer(_) | Value::Long(_) | Value::Float => "a number".into(),
            Value::Text(text) => format!("the text `{}`", shown(text.as_bytes())),
            Value::Bytes => "bytes or a long text".into(),
            Value::Tuple(_) | Value::List(_) => "a list".into(),
            Value::Global(global) | Value::Call { callable: global, .. } => {
                format!("{}.{}", global.module, global.name)
            }
            Value::Dictionary(_) | Value::Persistent(_) => "another value".into(),
        }
    }
}

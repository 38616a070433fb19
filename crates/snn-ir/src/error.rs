//! The one error type of everything that reads a graph.

use std::path::PathBuf;

/// Result of this crate and of every interpreter.
pub type Result<T> = std::result::Result<T, Error>;

/// Errors of a graph, its weights, its file or its input. Each variant names the place, what was
/// expected and what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // === Graph ===
    /// Two nodes have one name.
    #[error("node `{node}`: the name is used twice")]
    DuplicateName {
        /// The name.
        node: String,
    },
    /// A node reads something that does not come before it.
    #[error(
        "node `{node}`: input `{input}` is not a node before it (nodes are listed in topological \
         order)"
    )]
    UnknownInput {
        /// The node that reads.
        node: String,
        /// The name it reads.
        input: String,
    },
    /// A node has the wrong number of inputs.
    #[error("node `{node}` ({op}): expected {expected}, found {found}")]
    Arity {
        /// The node.
        node: String,
        /// Its operation.
        op: &'static str,
        /// How many inputs it takes.
        expected: &'static str,
        /// How many it has.
        found: usize,
    },
    /// The graph as a whole is malformed.
    #[error("graph: {0}")]
    Graph(String),
    /// Shapes do not fit.
    #[error("node `{node}`: expected {expected}, found shape {found:?}")]
    Shape {
        /// The node.
        node: String,
        /// Requirement of the operation.
        expected: String,
        /// Shape of the input.
        found: Vec<usize>,
    },
    /// An attribute is outside its range.
    #[error("node `{node}`: {field} must be {expected}, found {found}")]
    Attribute {
        /// The node.
        node: String,
        /// The attribute.
        field: &'static str,
        /// Its range.
        expected: &'static str,
        /// Its value.
        found: String,
    },
    /// The graph is legal but this form, pass or interpreter does not take this node.
    #[error("node `{node}`: {reason}")]
    Refused {
        /// The node.
        node: String,
        /// Why, and what to do.
        reason: String,
    },

    // === Weights ===
    /// A weight the graph needs is absent.
    #[error("weight `{name}` is missing (expected {expected})")]
    MissingWeight {
        /// Its name.
        name: String,
        /// Type and shape.
        expected: String,
    },
    /// A weight has the wrong type or shape, or bad values.
    #[error("weight `{name}`: expected {expected}, found {found}")]
    Weight {
        /// Its name.
        name: String,
        /// Type, shape or range.
        expected: String,
        /// The value found.
        found: String,
    },
    /// A weight belongs to no node.
    #[error("weight `{name}` belongs to no node of the graph")]
    UnexpectedWeight {
        /// Its name.
        name: String,
    },

    // === Input ===
    /// The batch given to an interpreter does not fit the model.
    #[error("input: expected {expected}, found shape {found:?}")]
    Input {
        /// Input that the model takes.
        expected: String,
        /// The value given.
        found: Vec<usize>,
    },
    /// A value of an input is outside its range.
    #[error("input: value {index}: expected {expected}, found {found}")]
    InputValue {
        /// Its position.
        index: usize,
        /// Its range.
        expected: String,
        /// The value found.
        found: String,
    },

    /// A setting of an encoder is outside its range.
    #[error("encoder {encoder}: {field} must be {expected}, found {found}")]
    Encoder {
        /// Which encoder.
        encoder: &'static str,
        /// The setting.
        field: &'static str,
        /// Its range.
        expected: String,
        /// Its value.
        found: String,
    },

    // === Files ===
    /// Bytes that are no model file, or a part of one.
    #[error("{0}")]
    Bytes(String),
    /// A model file is not there, damaged or foreign.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The operating system refused; the message names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),

    // === Interpreters ===
    /// An interpreter's back end failed.
    #[error("{interpreter}: {message}")]
    Interpreter {
        /// Which interpreter.
        interpreter: &'static str,
        /// Its message.
        message: String,
    },
}

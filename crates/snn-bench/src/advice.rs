//! Advice on errors that an option of the command line helps with: libraries know none.

use crate::cli::Command;

/// Text to write after the message of an error; empty if there is nothing to add.
pub(crate) fn advice(command: Option<&Command>, error: &anyhow::Error) -> &'static str {
    let run = error.chain().find_map(|cause| cause.downcast_ref::<snn_train::Error>());
    // An error of a run shows that of its data as its own.
    let data = match run {
        Some(snn_train::Error::Data(data)) => Some(data),
        _ => error.chain().find_map(|cause| cause.downcast_ref::<snn_data::Error>()),
    };
    match (run, data, command) {
        (Some(snn_train::Error::FolderInUse { .. }), _, Some(Command::Demo(_))) => {
            "; --force replaces it, or name another folder"
        }
        (Some(snn_train::Error::FolderInUse { .. }), ..) => {
            "; --resume continues it, --force replaces it, or name another folder"
        }
        (
            _,
            Some(snn_data::Error::MissingFolder { .. } | snn_data::Error::MissingFile { .. }),
            _,
        ) => " (`--data DIR` or SNN_DATA; datasets/README.md says which files)",
        _ => "",
    }
}

//! Which format a file has.

use super::bytes::ByteSource;
use super::{EventFormat, aedat2, aedat3, aedat4};
use crate::Result;

/// The beginning of AEDAT 1.0, where it has one.
const AEDAT1: &[u8] = b"#!AER-DAT1";
/// What to do where nothing tells the format.
const NAME_IT: &str = "`--format` (`frames.format` in a config) names the format of other files";

/// The format that the lines of a header of Prophesee's say; an error is a format that is not read.
/// `None` if they say none.
fn prophesee(lines: &[String]) -> Option<Result<EventFormat, String>> {
    let value =
        |key: &str| lines.iter().find_map(|line| line.strip_prefix("% ")?.strip_prefix(key));
    let format = value("format ").map(|format| format.split(';').next().unwrap_or(format).trim());
    Some(match (value("evt ").map(str::trim), format) {
        (Some("3.0"), _) | (None, Some("EVT3")) => Ok(EventFormat::Evt3),
        (Some("2.1"), _) | (None, Some("EVT21")) => Ok(EventFormat::Evt21),
        (Some("2.0"), _) | (None, Some("EVT2")) => Ok(EventFormat::Evt2),
        (Some(other), _) => Err(format!("`% evt {other}`")),
        (None, Some(other)) => Err(format!("`% format {other}`")),
        (None, None) => {
            value("Data file containing")?;
            Ok(EventFormat::Dat)
        }
    })
}

impl EventFormat {
    /// The format of a file: by its first bytes and its header, and by its extension where they say
    /// nothing (N-MNIST).
    pub(super) fn of(source: &mut ByteSource) -> Result<Self> {
        let extension = source
            .path()
            .extension()
            .map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        // Most formats are told by a few bytes; a pipe may pause after them.
        let mut head = source.fill(16)?;
        let unknown = !head.starts_with(b"#!AER-DAT") && !head.starts_with(b"PK\x03\x04");
        let five_bytes = matches!(extension.as_deref(), Some("bin" | "bs2"));
        if unknown && (!five_bytes || head.starts_with(b"% ")) {
            head = source.fill(1 << 12)?;
        }
        if head.starts_with(aedat4::MAGIC) {
            return Ok(Self::Aedat4);
        }
        if head.starts_with(aedat3::MAGIC) {
            return Ok(Self::Aedat3);
        }
        if head.starts_with(aedat2::MAGIC) {
            return Ok(Self::Aedat2);
        }
        if head.starts_with(b"PK\x03\x04") {
            return Ok(Self::Npz);
        }
        if head.starts_with(AEDAT1) {
            let expected = "AEDAT 2.0, 3.1 or 4; jAER writes 2.0 of older recordings";
            return Err(source.error("format", expected, "AEDAT 1.0 (six bytes an event)"));
        }
        if head.starts_with(b"% ") {
            let text = head.split(|&byte| byte == b'\n').take_while(|line| line.starts_with(b"% "));
            let lines: Vec<String> =
                text.map(|line| String::from_utf8_lossy(line).trim_end().to_owned()).collect();
            return match prophesee(&lines) {
                Some(Ok(format)) => Ok(format),
                None if extension.as_deref() == Some("dat") => Ok(Self::Dat),
                found => Err(source.error(
                    "header",
                    format!(
                        "`% evt 2.0`, `% evt 2.1`, `% evt 3.0`, `% Data file containing` of DAT, \
                         or the extension .dat; {NAME_IT}"
                    ),
                    found.and_then(Result::err).unwrap_or_else(|| "none of them".into()),
                )),
            };
        }
        if five_bytes {
            return Ok(Self::NMnist);
        }
        let found =
            head.iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x} "));
        let expected = match extension.as_deref() {
            Some("aedat") => format!(
                "the line `#!AER-DAT` of AEDAT 2.0, 3.1 or 4 (without one it is AEDAT 1.0, which \
                 is not read); {NAME_IT}"
            ),
            _ => format!(
                "the first bytes of AEDAT 2.0, 3.1 or 4, EVT 2.0, 2.1 or 3.0, DAT or NPZ, or the \
                 extension .bin or .bs2; {NAME_IT}"
            ),
        };
        Err(source.error(
            "format",
            expected,
            if found.is_empty() { "an empty file" } else { found.trim_end() },
        ))
    }
}

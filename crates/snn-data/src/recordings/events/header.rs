//! Text before the events: lines that begin with a marker.

use super::bytes::ByteSource;
use super::{ReadOptions, SensorSize};
use crate::Result;

/// No known header has a line this long.
const MAX_LINE: usize = 1 << 16;
/// Headers with the settings of jAER have a megabyte at most.
const MAX_HEADER: usize = 1 << 22;

/// Reads the lines that begin with `marker`, without their ends (LF or CRLF), up to and with a line
/// for which `last` holds.
///
/// Events may begin with the marker by chance, hence a line must be text: no control characters but
/// tabs.
pub(super) fn lines(
    source: &mut ByteSource,
    marker: &[u8],
    last: impl Fn(&str) -> bool,
) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut total = 0;
    while let Some(length) = next_line(source, marker)? {
        total += length;
        if total > MAX_HEADER {
            return Err(source.error("header", format!("at most {MAX_HEADER} bytes"), "more"));
        }
        let line = String::from_utf8_lossy(source.exact(length, "header")?).trim_end().to_owned();
        let ends = last(&line);
        lines.push(line);
        if ends {
            return Ok(lines);
        }
    }
    // Events are hardly text up to the end of a file.
    if !source.fill(marker.len())?.starts_with(marker) {
        return Ok(lines);
    }
    let rest = source.fill(MAX_LINE)?;
    if rest.len() < MAX_LINE && rest.starts_with(marker) && is_text(rest) {
        let found = format!("{} bytes, then the end", rest.len());
        return Err(source.error("header", "a line with its end", found));
    }
    Ok(lines)
}

/// [`text_line`] of what comes next. No more is waited for than the line has: a pipe may pause
/// after its header.
fn next_line(source: &mut ByteSource, marker: &[u8]) -> Result<Option<usize>> {
    let mut least = marker.len();
    loop {
        let bytes = source.fill(least)?;
        let ends = bytes.len() < least || bytes.len() >= MAX_LINE;
        let ends = ends || !bytes.starts_with(marker) || bytes.contains(&b'\n');
        if ends {
            return Ok(text_line(bytes, marker));
        }
        least = bytes.len() + 1;
    }
}

/// Length of the line of text at the beginning, with its end; `None` if there is none.
fn text_line(bytes: &[u8], marker: &[u8]) -> Option<usize> {
    if !bytes.starts_with(marker) {
        return None;
    }
    let end = bytes.iter().take(MAX_LINE).position(|&byte| byte == b'\n')?;
    let text = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    is_text(text).then_some(end + 1)
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == b'\t' || byte >= b' ')
}

/// Sensors that names of Prophesee's plug-ins tell, for files that do not say their geometry.
const PLUGINS: [(&str, u16, u16); 6] = [
    ("gen31", 640, 480),
    ("gen3", 640, 480),
    ("gen41", 1280, 720),
    ("gen4", 1280, 720),
    ("imx636", 1280, 720),
    ("genx320", 320, 320),
];

/// The size of the sensor of an EVT2 or EVT3 file: as asked, else from `% geometry 640x480`,
/// `% format EVT3;height=480;width=640`, or the name of the plug-in that recorded it.
pub(super) fn geometry(
    lines: &[String],
    options: &ReadOptions,
    source: &ByteSource,
) -> Result<SensorSize> {
    let value = |name: &str| {
        lines.iter().find_map(|line| line.strip_prefix("% ")?.strip_prefix(name)).map(str::trim)
    };
    let format = value("format ").and_then(|format| {
        let side = |name: &str| {
            format.split(';').find_map(|part| part.trim().strip_prefix(name)?.parse::<u16>().ok())
        };
        Some(SensorSize { width: side("width=")?, height: side("height=")? })
    });
    let plugin = value("plugin_name ").and_then(|name| {
        let (_, width, height) = PLUGINS.into_iter().find(|(part, ..)| name.contains(part))?;
        Some(SensorSize { width, height })
    });
    let named = value("geometry ").and_then(|size| size.parse().ok());
    let size = options
        .size
        .or(named)
        .or(format)
        .or(plugin)
        .or(options.default_size)
        .filter(|size| size.pixels() > 0);
    size.ok_or_else(|| {
        source.error("header", "`% geometry WIDTHxHEIGHT`; give the size of the sensor", "none")
    })
}

//! The machine that a record was measured on.

use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;
use std::time::{SystemTime, UNIX_EPOCH};

/// Processor, memory, system, version and commit, as far as they can be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Name of the processor.
    pub(crate) processor: String,
    /// Cores in use.
    pub(crate) cores: usize,
    /// The widest instruction set that the runtime uses.
    pub(crate) instruction_set: String,
    /// Memory in GiB.
    pub(crate) memory_gib: Option<u64>,
    /// Operating system.
    pub(crate) system: String,
    /// Where libtorch computed.
    pub(crate) device: String,
    /// Version of this program.
    pub(crate) version: String,
    /// Commit of the checkout as the command began, with `+` behind it where files were changed
    /// since.
    pub(crate) commit: Option<String>,
    /// Day, as year-month-day in UTC.
    pub(crate) day: String,
}

impl Machine {
    /// This machine, now.
    pub(crate) fn here(root: &Path, device: tch::Device) -> Self {
        Self {
            processor: processor().unwrap_or_else(|| std::env::consts::ARCH.to_string()),
            cores: available_parallelism().map_or(1, usize::from),
            instruction_set: snn_runtime::InstructionSet::best().label().to_string(),
            memory_gib: memory_gib(),
            system: std::env::consts::OS.to_string(),
            device: crate::device::label(device),
            version: env!("CARGO_PKG_VERSION").to_string(),
            commit: commit(root),
            day: day(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs())),
        }
    }
}

/// The value of a line `KEY : VALUE` or `KEY: VALUE` of a file.
fn field(file: &str, key: &str) -> Option<String> {
    let text = fs_err::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim().to_string())
    })
}

/// Name of the processor, where the system tells.
pub(crate) fn processor() -> Option<String> {
    field("/proc/cpuinfo", "model name")
}

fn memory_gib() -> Option<u64> {
    let kib: u64 = field("/proc/meminfo", "MemTotal")?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib.div_ceil(1 << 20))
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_string())
}

fn commit(root: &Path) -> Option<String> {
    let commit = git(root, &["rev-parse", "--short", "HEAD"])?;
    // Results that earlier rows wrote are no change of the program.
    let paths = [":/", ":(top,exclude)docs/results"];
    let changed = git(root, &["status", "--porcelain", "--", paths[0], paths[1]])?;
    Some(if changed.is_empty() { commit } else { commit + "+" })
}

/// The day of a time in seconds since 1970, by the proleptic Gregorian calendar (H. Hinnant,
/// "chrono-compatible low-level date algorithms", `civil_from_days`).
fn day(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + 400 * era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{:02}", of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (1_709_251_199, "2024-02-29"),
            (1_709_251_200, "2024-03-01"),
            (4_102_444_799, "2099-12-31"),
        ] {
            assert_eq!(day(seconds), expected);
        }
    }
}

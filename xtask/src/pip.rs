//! Downloads by name with the user's own pip, so that index, proxy, certificates and cache are as
//! the user set them.

use std::{
    fmt,
    io::{self, BufRead, BufReader, ErrorKind, IsTerminal},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Asks for the wheels that are pinned, whatever Python runs pip.
const PINNED_PLATFORM: [&str; 8] = [
    "--only-binary=:all:",
    "--python-version=3.11",
    "--implementation=cp",
    "--abi=cp311",
    "--platform=manylinux_2_28_x86_64",
    "--platform=manylinux_2_25_x86_64",
    "--platform=manylinux_2_17_x86_64",
    "--platform=manylinux2014_x86_64",
];

/// Downloads the wheel of `requirement` into `folder`, which also takes pip's temporary files.
///
/// # Errors
///
/// Says what was tried, what kind of failure it was, and pip's last error line.
pub(crate) fn download(requirement: &str, folder: &Path) -> Result<()> {
    fetch(requirement, folder)
        .with_context(|| format!("`python3 -m pip download --no-deps {requirement}` did not work"))
}

fn fetch(requirement: &str, folder: &Path) -> Result<()> {
    let bar = if io::stderr().is_terminal() { "--progress-bar=on" } else { "--progress-bar=off" };
    let child = Command::new("python3")
        .args(["-m", "pip", "download", "--no-deps", "--no-input"])
        .args(["--disable-pip-version-check", bar])
        .args(PINNED_PLATFORM)
        .arg("--dest")
        .arg(folder)
        .arg(requirement)
        // pip needs the space where the wheel goes anyhow, and we clear it away if pip is killed.
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(io::stderr()) // the progress bar
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("there is no python3 on PATH")
        }
        other => other.context("python3 cannot be started")?,
    };
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            eprintln!("{line}");
            said.push(line);
        }
    }
    if child.wait()?.success() {
        return Ok(());
    }
    bail!("{} (pip: {})", Failure::classify(&said), last_error(&said))
}

/// Kind of failure, as far as pip's output tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    NoPip,
    DiskFull,
    Certificate,
    NoNetwork,
    NoSuchWheel,
    Other,
}

impl Failure {
    /// Texts that pip writes in each case, in the order of precedence: without a network it also
    /// says that there is no such wheel.
    const SIGNS: [(Self, &[&str]); 5] = [
        (Self::NoPip, &["No module named pip"]),
        (Self::DiskFull, &["No space left on device"]),
        (Self::Certificate, &["CERTIFICATE_VERIFY_FAILED"]),
        (
            Self::NoNetwork,
            &[
                "NewConnectionError",
                "ConnectTimeoutError",
                "ConnectionResetError",
                "ProxyError",
                "ReadTimeoutError",
                "ProtocolError",
                "Connection broken",
                "Failed to establish a new connection",
                "Max retries exceeded",
                "Temporary failure in name resolution",
            ],
        ),
        (Self::NoSuchWheel, &["No matching distribution found"]),
    ];

    fn classify(said: &[String]) -> Self {
        let says = |sign: &&str| said.iter().any(|line| line.contains(*sign));
        Self::SIGNS
            .into_iter()
            .find(|(_, signs)| signs.iter().any(says))
            .map_or(Self::Other, |(failure, _)| failure)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPip => "this python3 has no pip",
            Self::DiskFull => {
                "the disk is full; make room, or set SNN_CACHE_DIR to a folder on another disk"
            }
            Self::Certificate => "the certificate of pip's index is not trusted",
            Self::NoNetwork => "pip's index cannot be reached",
            Self::NoSuchWheel => "pip's index does not have this wheel",
            Self::Other => "pip failed",
        })
    }
}

fn last_error(said: &[String]) -> &str {
    let spoken = || said.iter().rev().map(|line| line.trim());
    spoken()
        // "ERROR: Exception:" heads a traceback.
        .find(|line| line.starts_with("ERROR") && *line != "ERROR: Exception:")
        .or_else(|| spoken().find(|line| !line.is_empty()))
        .unwrap_or("it said nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn an_unreachable_index_is_not_taken_for_a_missing_wheel() {
        let said = lines(
            "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, \
             status=None)) after connection broken by \
             'NewConnectionError('<pip._vendor.urllib3.connection.HTTPConnection object at 0x7f>: \
             Failed to establish a new \
             connection: [Errno 111] Connection refused')': /torch/\n\
             ERROR: Could not find a version that satisfies the requirement torch==2.11.0 (from \
             versions: none)\n\
             ERROR: No matching distribution found for torch==2.11.0\n",
        );
        assert_eq!(Failure::classify(&said), Failure::NoNetwork);
        assert_eq!(last_error(&said), "ERROR: No matching distribution found for torch==2.11.0");
    }

    #[test]
    fn the_other_kinds_are_told_apart() {
        for (text, expected) in [
            ("/usr/bin/python3: No module named pip", Failure::NoPip),
            (
                "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on \
                 device",
                Failure::DiskFull,
            ),
            ("ERROR: No matching distribution found for torch==2.11.0", Failure::NoSuchWheel),
            (
                "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] \
                 certificate verify failed'))",
                Failure::Certificate,
            ),
            ("ERROR: Could not find an activated virtualenv (required).", Failure::Other),
            ("", Failure::Other),
        ] {
            assert_eq!(Failure::classify(&lines(text)), expected, "{text}");
        }
    }

    #[test]
    fn the_last_line_serves_where_there_is_no_error_line() {
        assert_eq!(last_error(&lines("one\ntwo\n\n")), "two");
        assert_eq!(last_error(&[]), "it said nothing");
    }
}

//! What figures depend on: the machine, the versions, and the Python that has the peers.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use serde_json::{Value, json};

use crate::{digest, project};

/// What the figures depend on; `packages` are those of Python whose versions count.
pub(crate) fn describe(root: &Path, python: &Path, packages: &[&str]) -> Result<Value> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let field = |name: &str| {
        let line = cpu.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, value)| value).to_owned()
    };
    let flags = field("flags");
    let has = |flag: &str| flags.split_whitespace().any(|found| found == flag);
    // The widest instructions that this project uses, by its names for them.
    let sets = [("amx_int8", "amx"), ("avx512_vnni", "avx512vnni"), ("avx512f", "avx512")];
    let sets = sets.into_iter().chain([("avx2", "avx2")]);
    let set = sets.into_iter().find(|(flag, _)| has(flag)).map_or("scalar", |(_, set)| set);
    let output = |program: &Path, arguments: &[&str]| -> Result<String> {
        let output = Command::new(program).args(arguments).current_dir(root).output()?;
        ensure!(output.status.success(), "{} {arguments:?} failed", program.display());
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let git = Path::new("git");
    let commit = output(git, &["rev-parse", "--short", "HEAD"])?;
    let changed = !output(git, &["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    let versions = "import importlib.metadata as m, sys; \
        print('Python', sys.version.split()[0] + ',', ', '.join(f'{p} {m.version(p)}' for p in \
        sys.argv[1:]))";
    let versions: Vec<&str> =
        ["-c", versions].into_iter().chain(packages.iter().copied()).collect();
    Ok(json!({
        "processor": format!("{} ({set})", field("model name")),
        "instruction_set": set,
        "bf16": if has("avx512_bf16") { "yes" } else { "no" },
        "load": fs::read_to_string("/proc/loadavg")?.split_whitespace().next().unwrap_or("unknown"),
        "commit": if changed { format!("{commit} with local changes") } else { commit },
        "versions": output(python, &versions)?,
        "date": output(Path::new("date"), &["-u", "+%Y-%m-%d"])?,
    }))
}

/// The Python of a virtual environment with the peers: `SNN_PEERS_PYTHON`, or one in the cache,
/// which is made where it is missing.
pub(crate) fn python(root: &Path) -> Result<PathBuf> {
    if let Some(own) = env::var_os("SNN_PEERS_PYTHON").filter(|own| !own.is_empty()) {
        return Ok(own.into());
    }
    let requirements = root.join("benches/peers/requirements.txt");
    let name = digest(&requirements)?;
    let cache = project::cache()?;
    let folder = cache.join(format!("peers-{name}"));
    let lock = cache.join(format!("peers-{name}.lock"));
    let _lock = project::lock(&lock, || {
        eprintln!("waiting for another process that makes {}", folder.display());
    })?;
    let (python, complete) = (folder.join("bin/python"), folder.join("complete"));
    if complete.exists() {
        return Ok(python);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    eprintln!("making a virtual environment with the peers in {}", folder.display());
    let run = |command: &mut Command| -> Result<()> {
        let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
        ensure!(status.success(), "{command:?} failed: {status}");
        Ok(())
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--requirement"])
        .arg(&requirements))?;
    fs::write(complete, "")?;
    Ok(python)
}

//! The command line of `bench-peers infer`.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

use super::{WORKS, Work};

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) json: bool,
    /// One brief turn a side.
    pub(crate) quick: bool,
    work: Option<Work>,
    data: Option<PathBuf>,
    runs: Vec<(Work, PathBuf)>,
}

impl Options {
    pub(crate) fn parse(arguments: &[OsString]) -> Result<Self> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(flag) = arguments.next() {
            let mut value = |what: &str| {
                arguments.next().with_context(|| format!("{} wants {what}", flag.display()))
            };
            match flag.to_str() {
                Some("--json") => options.json = true,
                Some("--quick") => options.quick = true,
                Some("--work") => {
                    options.work = Some(work(&value("R18 or R20")?.to_string_lossy())?);
                }
                Some("--data") => options.data = Some(value("a folder")?.into()),
                Some("--run") => {
                    let value = value("WORK=FOLDER")?.to_string_lossy();
                    let (name, folder) = value
                        .split_once('=')
                        .with_context(|| format!("--run wants WORK=FOLDER, found `{value}`"))?;
                    options.runs.push((work(name)?, folder.into()));
                }
                _ => bail!(
                    "`bench-peers infer` takes --json, --quick, --work R18|R20, --data DIR and \
                     --run WORK=DIR, found `{}`",
                    flag.display()
                ),
            }
        }
        Ok(options)
    }

    /// The works to measure.
    pub(crate) fn works(&self) -> Vec<Work> {
        self.work.map_or_else(|| WORKS.to_vec(), |work| vec![work])
    }

    /// The run that was named for a work.
    pub(crate) fn run(&self, work: Work) -> Option<PathBuf> {
        self.runs.iter().rev().find(|(named, _)| *named == work).map(|(_, run)| run.clone())
    }

    /// Whether not all is measured at full length, so that no table comes of it.
    pub(crate) fn is_part(&self) -> bool {
        self.quick || self.work.is_some()
    }

    /// The folder with CIFAR-100's files: in `--data`, else in `$SNN_DATA`, else in `datasets`.
    pub(crate) fn images(&self, root: &Path) -> Result<PathBuf> {
        let named = self
            .data
            .clone()
            .or_else(|| env::var_os("SNN_DATA").filter(|v| !v.is_empty()).map(PathBuf::from));
        let data = named.unwrap_or_else(|| root.join("datasets"));
        let folder = [data.join("cifar-100-binary"), data.clone()]
            .into_iter()
            .find(|f| f.join("test.bin").is_file());
        let folder = folder.with_context(|| {
            format!(
                "no CIFAR-100 in {}: expected cifar-100-binary/test.bin there; unpack the binary \
                 version of https://www.cs.toronto.edu/~kriz/cifar.html in it, \
                 or name its folder with --data DIR or SNN_DATA",
                data.display()
            )
        })?;
        let missing = ["train.bin", "fine_label_names.txt"]
            .into_iter()
            .find(|file| !folder.join(file).is_file());
        ensure!(
            missing.is_none(),
            "{}: there is no {}",
            folder.display(),
            missing.unwrap_or_default()
        );
        std::path::absolute(&folder).with_context(|| format!("{} is not a path", folder.display()))
    }
}

fn work(name: &str) -> Result<Work> {
    WORKS
        .into_iter()
        .find(|work| work.name == name)
        .with_context(|| format!("no work `{name}`: R18 or R20"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options> {
        Options::parse(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn everything_is_measured_unless_a_part_is_asked_for() -> Result<()> {
        let all = parse(&["--json"])?;
        assert!(all.json && !all.is_part());
        assert_eq!(all.works(), WORKS);
        let part = parse(&["--work", "R20", "--run", "R20=a", "--run", "R20=b=c"])?;
        assert!(part.is_part());
        assert_eq!((part.works(), part.run(WORKS[1])), (vec![WORKS[1]], Some("b=c".into())));
        assert_eq!(part.run(WORKS[0]), None);
        Ok(())
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (arguments, expected) in [
            (&["--fast"][..], "--fast"),
            (&["--work"], "--work wants R18 or R20"),
            (&["--work", "R19"], "`R19`"),
            (&["--run", "R18"], "WORK=FOLDER"),
        ] {
            let error = parse(arguments).expect_err("wrong").to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_folder_of_the_images_is_found_or_it_is_said_what_to_do() -> Result<()> {
        let root = tempfile::tempdir()?;
        let options = parse(&["--data", &root.path().to_string_lossy()])?;
        let error = options.images(Path::new("nowhere")).expect_err("no data").to_string();
        assert!(error.contains("no CIFAR-100 in") && error.contains("--data DIR"), "{error}");
        let folder = root.path().join("cifar-100-binary");
        std::fs::create_dir(&folder)?;
        std::fs::write(folder.join("test.bin"), [])?;
        let error = options.images(Path::new("nowhere")).expect_err("half of it").to_string();
        assert!(error.ends_with("there is no train.bin"), "{error}");
        for file in ["train.bin", "fine_label_names.txt"] {
            std::fs::write(folder.join(file), [])?;
        }
        assert_eq!(options.images(Path::new("nowhere"))?, folder);
        Ok(())
    }
}

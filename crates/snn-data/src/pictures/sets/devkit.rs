//! The labels of ImageNet's validation pictures as published: numbers in the development kit, and
//! its list of what they mean.

use super::mat::{self, Field};
use crate::files::tar;
use crate::{Error, Result};
use flate2::read::MultiGzDecoder;
use fs_err as fs;
use std::collections::HashMap;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

const ARCHIVE: &str = "ILSVRC2012_devkit_t12.tar.gz";
const FOLDER: &str = "ILSVRC2012_devkit_t12/data";
const TRUTH: &str = "ILSVRC2012_validation_ground_truth.txt";
const META: &str = "meta.mat";
/// Each file of the kit is at most this long; `meta.mat` has less than a megabyte.
const MAX_BYTES: u64 = 1 << 24;
/// The kit unpacked: a few megabytes.
const MAX_UNPACKED: u64 = 1 << 28;

/// Labels of the validation pictures.
#[derive(Debug)]
pub(super) struct Truth {
    /// The classes (synsets, `nXXXXXXXX`), in the order of their names.
    pub(super) classes: Vec<String>,
    /// The class of each picture, by the name without its ending.
    by_name: HashMap<String, usize>,
    /// For messages.
    path: PathBuf,
}

impl Truth {
    /// Reads the kit under `root`: its archive, its folder, or the two files beside the pictures;
    /// `None` if there is none.
    pub(super) fn open(root: &Path) -> Result<Option<Self>> {
        for folder in [root.to_owned(), root.join(FOLDER)] {
            let [truth, meta] = [TRUTH, META].map(|name| folder.join(name));
            if !truth.is_file() {
                continue;
            }
            let read = |path: &Path| {
                let file = fs::File::open(path)?;
                let length = file.metadata()?.len();
                bounded(path, length, file)
            };
            if !meta.is_file() {
                let expected = format!("`{META}` beside `{TRUTH}`, which has numbers only");
                return Err(Error::Field {
                    path: folder,
                    field: "ImageNet",
                    expected,
                    found: "none".into(),
                });
            }
            return Self::parse(&read(&truth)?, &truth, &read(&meta)?, &meta).map(Some);
        }
        let path = root.join(ARCHIVE);
        if !path.is_file() {
            return Ok(None);
        }
        let mut found: [Option<Vec<u8>>; 2] = [None, None];
        let mut unpacked =
            MultiGzDecoder::new(BufReader::with_capacity(1 << 16, fs::File::open(&path)?));
        tar::stream(&path, &mut unpacked, MAX_UNPACKED, &mut |entry, reader| {
            let name = entry.name.rsplit('/').next().unwrap_or_default();
            if let Some(index) = [TRUTH, META].iter().position(|wanted| *wanted == name) {
                found[index] = Some(bounded(&path.join(name), entry.length, reader)?);
            }
            Ok(())
        })?;
        let [Some(truth), Some(meta)] = found else {
            let expected = format!("`{TRUTH}` and `{META}` in it");
            return Err(Error::Field {
                path,
                field: "development kit",
                expected,
                found: "not both".into(),
            });
        };
        Self::parse(&truth, &path.join(TRUTH), &meta, &path.join(META)).map(Some)
    }

    fn parse(truth: &[u8], truth_path: &Path, meta: &[u8], meta_path: &Path) -> Result<Self> {
        let wanted = ["ILSVRC2012_ID", "WNID", "num_children"];
        let mut synsets = Vec::new();
        for (index, fields) in
            mat::structures(meta, "synsets", &wanted, meta_path)?.into_iter().enumerate()
        {
            let [Field::Number(id), Field::Text(name), Field::Number(children)] = fields.as_slice()
            else {
                let expected = format!("numbers and text as {}", wanted.join(", "));
                let found = format!("others in synset {index}");
                return Err(Error::Field {
                    path: meta_path.to_owned(),
                    field: "synsets",
                    expected,
                    found,
                });
            };
            // Inner nodes of WordNet are no classes.
            if *children == 0.0 {
                synsets.push((*id, name.clone()));
            }
        }
        let mut classes: Vec<String> = synsets.iter().map(|(_, name)| name.clone()).collect();
        classes.sort_unstable();
        classes.dedup();
        let label = |name: &String| classes.binary_search(name).ok();
        let ids: HashMap<String, usize> =
            synsets.iter().filter_map(|(id, name)| Some((id.to_string(), label(name)?))).collect();
        let wrong = |line: usize, found: &str| {
            let expected = format!("a number of one of the {} classes of `{META}`", classes.len());
            let found =
                format!("`{}` in line {}", found.chars().take(80).collect::<String>(), line + 1);
            Error::Field { path: truth_path.to_owned(), field: "ground truth", expected, found }
        };
        let mut by_name = HashMap::new();
        for (line, number) in String::from_utf8_lossy(truth).lines().map(str::trim).enumerate() {
            if !number.is_empty() {
                let class = *ids.get(number).ok_or_else(|| wrong(line, number))?;
                by_name.insert(format!("ILSVRC2012_val_{:08}", line + 1), class);
            }
        }
        Ok(Self { classes, by_name, path: truth_path.to_owned() })
    }

    /// The labels in the order of `classes`, by the name of the picture without its ending.
    pub(super) fn labels(&self, classes: &[String]) -> Result<HashMap<String, u16>> {
        let place = |name: &String| classes.iter().position(|class| class == name);
        let places: Vec<Option<u16>> = self
            .classes
            .iter()
            .map(|name| place(name).and_then(|place| u16::try_from(place).ok()))
            .collect();
        let label = |(name, &class): (&String, &usize)| match places[class] {
            Some(label) => Ok((name.clone(), label)),
            None => Err(Error::Field {
                path: self.path.clone(),
                field: "class",
                expected: "a class of the training split".into(),
                found: format!("`{}`", self.classes[class]),
            }),
        };
        self.by_name.iter().map(label).collect()
    }
}

fn bounded(path: &Path, length: u64, reader: impl Read) -> Result<Vec<u8>> {
    if length > MAX_BYTES {
        let detail = "files of the development kit are smaller".into();
        return Err(Error::WrongSize {
            path: path.to_owned(),
            expected: MAX_BYTES,
            found: length,
            detail,
        });
    }
    let mut bytes = Vec::new();
    reader.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

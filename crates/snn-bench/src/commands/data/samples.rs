//! Sources of the samples of `data show`: a set by its name, a file, or a folder.

use anyhow::{Context as _, Result, bail};
use ndarray::Array3;
use snn_data::pictures::Pictures;
use snn_data::pictures::{DecodeOptions, Exif, decode_with};
use snn_data::recordings::events::{Damage, EventReader, Events, ReadOptions};
use snn_data::recordings::{Recordings, SplitFile};
use snn_data::{Dataset, DatasetName, Form, Images, Split};
use std::io::{Cursor, Read as _};
use std::path::{Path, PathBuf};

/// Endings of pictures and of recordings, in small letters.
const PICTURES: [&str; 3] = ["jpg", "jpeg", "png"];
const RECORDINGS: [&str; 7] = ["aedat", "aedat4", "bin", "bs2", "dat", "npz", "raw"];

/// Bytes of a picture at most, as for decoding.
const MAX_PICTURE: u64 = 1 << 28;

/// A sample with what is said of it.
pub(super) struct Sample {
    /// Its index in the set.
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) class: Option<String>,
    pub(super) content: Content,
}

pub(super) enum Content {
    /// `[C, H, W]`.
    Image(Array3<u8>),
    Recording(Events),
}

/// Where samples come from.
pub(super) struct Samples {
    /// For the title.
    pub(super) title: String,
    /// Values that shifts bring in, one a channel; empty of recordings.
    pub(super) fill: Vec<u8>,
    source: Source,
    options: ReadOptions,
    exif: Exif,
}

enum Source {
    Images(Images, Vec<String>),
    Pictures(Pictures),
    /// The recordings of a split.
    Recordings(Recordings, Vec<usize>),
    /// Files with their classes.
    Files(Vec<(PathBuf, Option<String>)>),
}

/// Which part of a set.
pub(super) struct Choice<'a> {
    pub(super) split: Option<Split>,
    pub(super) split_file: Option<&'a Path>,
    pub(super) options: ReadOptions,
    pub(super) exif: Exif,
}

impl Samples {
    /// Opens a set, a file or a folder; a name is taken for a set before it is for a file.
    pub(super) fn open(what: &str, root: &Path, choice: &Choice<'_>) -> Result<Self> {
        let path = Path::new(what);
        let set = match what.parse::<DatasetName>() {
            Ok(set) => set,
            Err(_) if path.exists() => return Self::open_path(path, choice),
            Err(error) => {
                return Err(error).with_context(|| format!("{what}: no such file or folder"));
            }
        };
        if choice.split_file.is_some() && !matches!(set.spec().form, Form::Recordings(_)) {
            bail!("--split-file: only sets of recordings have split files, {set} has not");
        }
        let split = choice.split.unwrap_or(Split::Train);
        let part = if split == Split::Train { "train" } else { "test" };
        let title = format!("{set}, {part}");
        let new = |title, fill, source| {
            Ok(Self { title, fill, source, options: choice.options.clone(), exif: choice.exif })
        };
        let fill = set.spec().channel_mean_u8.to_vec();
        match set.spec().form {
            Form::Cifar(_) | Form::Idx(_) | Form::Shapes => {
                let data = Dataset::open_named(set, Some(root))?;
                let images = if split == Split::Train { data.train } else { data.test };
                new(title, fill, Source::Images(images, data.classes))
            }
            Form::Pictures(_) => {
                let pictures = Pictures::open(set, root, split)?;
                new(title, fill, Source::Pictures(pictures))
            }
            Form::Recordings(_) => {
                let name = set;
                let set = Recordings::open_with(name, root, choice.options.clone())?;
                let (title, indices) = match (choice.split_file, choice.split) {
                    (Some(file), _) => {
                        let chosen = SplitFile::read(file)?.apply(&set)?;
                        let indices =
                            if split == Split::Train { chosen.train } else { chosen.test };
                        (format!("{title} by {}", file.display()), indices)
                    }
                    (None, Some(split)) => {
                        let of_split =
                            (0..set.len()).filter(|&index| set.official(index) == Some(split));
                        let indices: Vec<_> = of_split.collect();
                        if indices.is_empty() {
                            bail!(
                                "{name}: no recording in `{part}`; a set without an official split \
                                 takes --split-file"
                            );
                        }
                        (title, indices)
                    }
                    (None, None) => (name.to_string(), (0..set.len()).collect()),
                };
                new(title, Vec::new(), Source::Recordings(set, indices))
            }
        }
    }

    fn open_path(path: &Path, choice: &Choice<'_>) -> Result<Self> {
        if choice.split.is_some() || choice.split_file.is_some() {
            bail!(
                "{}: files and folders have no splits; --split and --split-file are for sets by \
                 name",
                path.display()
            );
        }
        let files = if path.is_dir() { files_of(path)? } else { vec![(path.to_owned(), None)] };
        let fill = if files.iter().all(|(path, _)| has_ending(path, &RECORDINGS)) {
            vec![]
        } else {
            DatasetName::ImageNet.spec().channel_mean_u8.to_vec()
        };
        let title = path.display().to_string();
        Ok(Self {
            title,
            fill,
            source: Source::Files(files),
            options: choice.options.clone(),
            exif: choice.exif,
        })
    }

    /// Number of samples to choose from.
    pub(super) fn len(&self) -> usize {
        match &self.source {
            Source::Images(images, _) => images.len(),
            Source::Pictures(pictures) => pictures.len(),
            Source::Recordings(_, indices) => indices.len(),
            Source::Files(files) => files.len(),
        }
    }

    /// Reads sample `index` of those to choose from.
    pub(super) fn read(&self, index: usize) -> Result<Sample> {
        let range = || format!("sample {index}: there are {}", self.len());
        match &self.source {
            Source::Images(images, classes) => {
                let label = images.labels().get(index).with_context(range)?;
                let pixels = images.pixels().index_axis(ndarray::Axis(0), index).to_owned();
                let class = classes.get(usize::from(*label)).cloned();
                Ok(Sample {
                    index,
                    name: format!("{index}"),
                    class,
                    content: Content::Image(pixels),
                })
            }
            Source::Pictures(pictures) => {
                let path = pictures.path(index).with_context(range)?;
                let picture = pictures.read(index, DecodeOptions { exif: self.exif })?;
                let class = pictures.classes().get(usize::from(pictures.labels()[index])).cloned();
                Ok(Sample {
                    index,
                    name: file_name(&path),
                    class,
                    content: Content::Image(picture.planes()),
                })
            }
            Source::Recordings(set, indices) => {
                let index = *indices.get(index).with_context(range)?;
                let class = set
                    .label(index)
                    .and_then(|label| set.classes().get(usize::from(label)).cloned());
                let name = set.sample_name(index).unwrap_or_default().to_owned();
                let (events, damage) = set.read_noting(index).with_context(|| name.clone())?;
                note_damage(Path::new(&name), &damage);
                Ok(Sample { index, name, class, content: Content::Recording(events) })
            }
            Source::Files(files) => {
                let (path, class) = files.get(index).with_context(range)?;
                Ok(Sample {
                    index,
                    name: file_name(path),
                    class: class.clone(),
                    content: self.read_file(path)?,
                })
            }
        }
    }

    fn read_file(&self, path: &Path) -> Result<Content> {
        // Opened once: a pipe gives its bytes once.
        let mut file = fs_err::File::open(path)?;
        let mut head = Vec::new();
        (&mut file).take(8).read_to_end(&mut head)?;
        let picture = head.starts_with(b"\xFF\xD8")
            || head.starts_with(b"\x89PNG")
            || has_ending(path, &PICTURES);
        let whole = Cursor::new(head).chain(file);
        if picture {
            let mut bytes = Vec::new();
            whole.take(MAX_PICTURE).read_to_end(&mut bytes)?;
            let picture = decode_with(&bytes, path, DecodeOptions { exif: self.exif })?;
            return Ok(Content::Image(picture.planes()));
        }
        let mut reader = EventReader::new(Box::new(whole), path, None, self.options.clone())?;
        let events = reader.read_all()?;
        note_damage(path, reader.damage());
        Ok(Content::Recording(events))
    }
}

/// Says what was left out of a recording.
fn note_damage(name: &Path, damage: &Damage) {
    if !damage.is_none() {
        crate::output::tell(format_args!("{}: left out {damage}", name.display()));
    }
}

/// The pictures or the recordings of a folder, or of its folders, whose names are the classes then.
fn files_of(folder: &Path) -> Result<Vec<(PathBuf, Option<String>)>> {
    let (mut here, folders) = entries(folder)?;
    let mut files: Vec<_> = here.drain(..).map(|path| (path, None)).collect();
    for class in folders {
        let name = file_name(&class);
        files.extend(entries(&class)?.0.into_iter().map(|path| (path, Some(name.clone()))));
    }
    let pictures = files.iter().filter(|(path, _)| has_ending(path, &PICTURES)).count();
    if files.is_empty() {
        bail!(
            "{}: no pictures (.{}) and no recordings (.{}) in it or in its folders",
            folder.display(),
            PICTURES.join(", ."),
            RECORDINGS.join(", .")
        );
    }
    if pictures > 0 && pictures < files.len() {
        bail!(
            "{}: {pictures} pictures and {} recordings; show one kind at a time",
            folder.display(),
            files.len() - pictures
        );
    }
    Ok(files)
}

/// Files with a known ending, and folders, each in the order of their names.
fn entries(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let mut paths = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if !file_name(&path).starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    let (folders, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    let known = |path: &PathBuf| has_ending(path, &PICTURES) || has_ending(path, &RECORDINGS);
    Ok((files.into_iter().filter(known).collect(), folders))
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension()
        .is_some_and(|found| endings.iter().any(|ending| found.eq_ignore_ascii_case(ending)))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

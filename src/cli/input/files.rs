//! Files, folders and standard input.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Trouble;

/// The longest file that is read: what a whole cluster's objects of one kind may take.
const MAX_BYTES: u64 = 256 << 20;
/// How deep folders are followed.
const MAX_DEPTH: usize = 32;
/// How the name of a suite ends.
const SUITE: [&str; 2] = [".test.yaml", ".test.yml"];
/// What stands for standard input.
pub(in crate::cli) const STDIN: &str = "-";

/// A file's text, and the name that results call it by.
#[derive(Debug)]
pub(in crate::cli) struct Text {
    pub(in crate::cli) file: Arc<str>,
    pub(in crate::cli) text: String,
}

/// Reads files as they are named, all YAML and JSON files of folders, and `-` as standard input. Suites in folders are
/// left to `watchpolicy test`.
pub(in crate::cli) fn read(paths: &[PathBuf], troubles: &mut Vec<Trouble>) -> Vec<Text> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            find(path, &|name| is_document(name) && !is_suite(name), MAX_DEPTH, &mut files, troubles);
        } else {
            files.push(path.clone());
        }
    }
    texts(&files, troubles)
}

/// Sees to it that standard input is read by one of the inputs of a command at most.
///
/// # Errors
/// It is named more than once: whoever comes second would find nothing.
pub(in crate::cli) fn check_once<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> anyhow::Result<()> {
    if paths.into_iter().filter(|path| path.as_path() == Path::new(STDIN)).nth(1).is_some() {
        anyhow::bail!("- is named twice, and standard input can be read once; put the other into a file");
    }
    Ok(())
}

/// Finds suites: files as they are named, and those of folders whose names end with `.test.yaml`.
pub(in crate::cli) fn suites(paths: &[PathBuf], troubles: &mut Vec<Trouble>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            find(path, &is_suite, MAX_DEPTH, &mut files, troubles);
        } else {
            files.push(path.clone());
        }
    }
    files
}

/// The name that results call a file by.
pub(in crate::cli) fn name(path: &Path) -> Arc<str> {
    path.display().to_string().into()
}

/// The names of several, for a sentence.
pub(in crate::cli) fn names(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}

fn texts(files: &[PathBuf], troubles: &mut Vec<Trouble>) -> Vec<Text> {
    let mut texts = Vec::new();
    for path in files {
        match text(path) {
            Ok(text) => texts.push(Text { file: name(path), text }),
            Err(error) => troubles.push(Trouble::of_file(name(path), format!("cannot be read: {error}"))),
        }
    }
    texts
}

/// The text of one file, or of standard input.
///
/// # Errors
/// It is not there, not UTF-8 or too long.
pub(in crate::cli) fn text(path: &Path) -> io::Result<String> {
    let source: Box<dyn Read> =
        if path == Path::new(STDIN) { Box::new(io::stdin().lock()) } else { Box::new(fs::File::open(path)?) };
    let mut text = String::new();
    source.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        let message = format!("longer than {} MiB; split it", MAX_BYTES >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

/// Files below a folder, in the order of their names. Hidden ones and links to folders are not followed.
fn find(
    folder: &Path,
    wanted: &dyn Fn(&str) -> bool,
    depth: usize,
    files: &mut Vec<PathBuf>,
    troubles: &mut Vec<Trouble>,
) {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => {
            return troubles.push(Trouble::of_file(name(folder), format!("cannot be read: {error}")));
        }
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let file_name = entry.file_name();
        let shown = file_name.to_string_lossy();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if shown.starts_with('.') {
            continue;
        }
        if !is_folder {
            let path = entry.path();
            // A link counts as what it leads to; who reads a pipe would wait for ever.
            let is_file = || fs::metadata(&path).is_ok_and(|found| found.is_file());
            if wanted(&shown) {
                match is_file() {
                    true => files.push(path),
                    false => troubles.push(Trouble::of_file(name(&path), "is no file")),
                }
            }
        } else if depth > 0 {
            find(&entry.path(), wanted, depth - 1, files, troubles);
        } else {
            let message = format!("folders are followed {MAX_DEPTH} deep; name this one itself");
            troubles.push(Trouble::of_file(name(&entry.path()), message));
        }
    }
}

fn is_document(name: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending))
}

fn is_suite(name: &str) -> bool {
    SUITE.iter().any(|ending| name.ends_with(ending))
}

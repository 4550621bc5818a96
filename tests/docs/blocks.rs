//! The fenced blocks of the pages for readers.

use std::fmt;
use std::path::{Path, PathBuf};

/// The project's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// A file of the project.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The pages for readers, from the project's folder.
pub(crate) fn pages() -> Vec<String> {
    let folder = std::fs::read_dir(root().join("docs")).unwrap();
    let docs = folder.map(|entry| format!("docs/{}", entry.unwrap().file_name().to_string_lossy()));
    docs.filter(|path| path.ends_with(".md")).chain(["README.md".to_owned()]).collect()
}

/// One block, without its fence and the indentation of that. Shown as `docs/cli.md:48`.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) page: String,
    /// That of the fence.
    pub(crate) line: usize,
    /// What the fence says of it: `yaml`, `console`, …
    pub(crate) language: String,
    pub(crate) text: String,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.page, self.line)
    }
}

/// All blocks of all pages.
pub(crate) fn all() -> Vec<Block> {
    let found: Vec<_> = pages().iter().flat_map(|page| of_page(page)).collect();
    assert!(found.len() > 20, "the blocks were not found");
    found
}

/// Those of one page, in order.
pub(crate) fn of_page(page: &str) -> Vec<Block> {
    let text = read(page);
    let mut lines = (1..).zip(text.lines());
    let mut blocks = Vec::new();
    while let Some((line, fence)) = lines.next() {
        let Some((indent, language)) = fence.split_once("```") else { continue };
        if !indent.chars().all(char::is_whitespace) {
            continue;
        }
        let inside = lines.by_ref().map(|(_, text)| text).take_while(|text| text.trim() != "```");
        let inside = inside.map(|text| text.strip_prefix(indent).unwrap_or(text).to_owned() + "\n");
        blocks.push(Block {
            page: page.to_owned(),
            line,
            language: language.to_owned(),
            text: inside.collect(),
        });
    }
    blocks
}

//! The guides, as a test reads them: blocks of code, code within lines, prose.

use std::path::{Path, PathBuf};

use crate::places;

/// Those whose commands a test enters one after the other, as a reader does. No other has any.
pub const WALKED: [&str; 3] = ["README.md", "config/OPERATING.md", "handlers/README.md"];

/// A Markdown file of the repository.
#[derive(Clone, Debug)]
pub struct Guide {
    /// Its path from the top of the repository.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
}

/// A fenced block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it is marked as; empty where nothing is said: then it is shown, and nothing is done with it.
    pub language: String,
    /// The guide's line that its first one is.
    pub line: usize,
    /// What is in it.
    pub text: String,
}

/// A command of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The guide's line.
    pub line: usize,
    /// The command, without what is said of it.
    pub command: String,
    /// What is said of it behind `#`; empty if nothing is.
    pub comment: String,
}

impl Guide {
    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut paths = Vec::new();
        find(&places::repository(), &mut paths);
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// One of them, by its path from the top of the repository.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::read(&places::repository().join(name))
    }

    fn read(path: &Path) -> Self {
        let name = path.strip_prefix(places::repository()).unwrap().to_str().unwrap().to_owned();
        Self { name, path: path.to_owned(), text: std::fs::read_to_string(path).unwrap() }
    }

    /// Its fenced blocks.
    #[must_use]
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for (index, line) in self.text.lines().enumerate() {
            match (line.trim_start().strip_prefix("```"), &mut open) {
                (Some(language), None) => {
                    open = Some(Block { language: language.to_owned(), line: index + 2, text: String::new() });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => block.text.push_str(&format!("{line}\n")),
                (None, None) => {}
            }
        }
        blocks
    }

    /// What stands outside of its blocks: each run of lines between empty ones as one piece, since code may be wrapped.
    #[must_use]
    pub fn paragraphs(&self) -> Vec<String> {
        let mut is_code = false;
        let mut paragraphs = vec![String::new()];
        for line in self.text.lines() {
            let is_fence = line.trim_start().starts_with("```");
            is_code ^= is_fence;
            if is_fence || is_code || line.trim().is_empty() {
                paragraphs.push(String::new());
            } else {
                let paragraph = paragraphs.last_mut().unwrap();
                paragraph.push_str(line.trim());
                paragraph.push(' ');
            }
        }
        paragraphs.retain(|paragraph| !paragraph.is_empty());
        paragraphs
    }

    /// The code within its lines.
    #[must_use]
    pub fn spans(&self) -> Vec<String> {
        let paragraphs = self.paragraphs();
        paragraphs.iter().flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
    }

    /// The commands of its blocks.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.blocks().iter().filter(|block| block.language == "sh").flat_map(Block::entries).collect()
    }
}

impl Block {
    /// Its commands: one per line, unless a line is continued.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut begun = String::new();
        for (index, line) in self.text.lines().enumerate() {
            begun.push_str(line.trim());
            if begun.ends_with('\\') {
                begun.pop();
                continue;
            }
            let whole = std::mem::take(&mut begun);
            let (command, comment) = whole.split_once(" #").unwrap_or((&whole, ""));
            let (command, comment) = (command.trim().to_owned(), comment.trim().to_owned());
            if !command.is_empty() {
                entries.push(Entry { line: self.line + index, command, comment });
            }
        }
        entries
    }
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() {
            // What was built, installed or cloned is not the repository's.
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                find(&path, found);
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

//! All the files of a handler: found from the entry on, breadth first, and printed as one text.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::error::{BundleError, BundleErrorKind};
use crate::file::{self, Ask, Made};
use crate::resolve::{Found, Resolve, Target, Wants};
use crate::{Bundle, FILE_BYTES_MAX, FILES_MAX, INPUT_BYTES_MAX, positions};

const LOADER: &str = include_str!("loader.js");
/// What each file's function is given; `loader.js` hands it over in this order.
const PARAMETERS: &str = "module, exports, require, __filename, __dirname, __vite_ssr_import__, \
    __vite_ssr_dynamic_import__, __vite_ssr_exports__, __vite_ssr_exportAll__, __vite_ssr_import_meta__";

/// A file in its place.
struct Node {
    path: PathBuf,
    /// Relative to the entry's folder, with slashes.
    name: String,
    /// Whether its default imports are Node.js's own: not those that TypeScript and bundlers make of a CommonJS file.
    strict: bool,
    made: Made,
    /// Where its specifiers lead: a file's number, null where nowhere, absent where to Node.js's own.
    deps: Map<String, Value>,
}

pub(crate) struct Graph {
    nodes: Vec<Node>,
}

impl Graph {
    /// Reads the entry and all that it needs.
    pub(crate) fn read(entry: &Path, root: Option<&Path>) -> Result<Self, BundleError> {
        let canonical = |path: &Path| std::path::absolute(path).ok().and_then(|path| fs::canonicalize(path).ok());
        let absolute = canonical(entry);
        // A root that is not there holds nothing.
        let root = root.map(|root| canonical(root).unwrap_or_else(|| root.to_owned()));
        let (Some(entry), resolve) = (absolute, Resolve::new()) else {
            return Err(unreadable(entry.display().to_string(), "no such file".to_owned(), "name the handler's file"));
        };
        let folder = entry.parent().unwrap_or(Path::new("/")).to_path_buf();
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let found = match resolve.target(&folder, &format!("./{name}"), Wants::Import) {
            Ok(Target::File(found)) => Found { path: entry, module: found.module },
            Ok(Target::Builtin) | Err(_) => Found { path: entry, module: None },
        };
        let mut reading = Reading { resolve, folder, root, found: vec![found], numbers: HashMap::new(), bytes: 0 };
        reading.number_entry();
        let mut nodes = Vec::new();
        while let Some(found) = reading.found.get(nodes.len()).cloned() {
            nodes.push(reading.node(found)?);
        }
        Ok(Self { nodes })
    }

    /// The one text.
    pub(crate) fn print(self) -> Result<Bundle, BundleError> {
        let mut source = String::from(LOADER);
        let mut first_lines = Vec::with_capacity(self.nodes.len());
        for Node { name, strict, made, deps, .. } in &self.nodes {
            let Made { code, is_module, .. } = made;
            let directive = if *is_module { " \"use strict\";" } else { "" };
            let (name, deps) = (Value::from(name.as_str()), Value::from(deps.clone()));
            // Writing to a String cannot fail.
            let _ = writeln!(
                source,
                "$loader.define({name}, {is_module}, {strict}, {deps}, function ({PARAMETERS}) {{{directive}"
            );
            first_lines.push(lines(&source));
            source.push_str(code);
            if !code.ends_with('\n') {
                source.push('\n');
            }
            source.push_str("});\n");
        }
        source.push_str("module.exports = $loader.run();\n");
        let files = self.nodes.iter().zip(first_lines);
        source.push_str(&positions::comment(
            files.map(|(node, first)| (node.name.as_str(), first, node.made.points.as_slice())),
        ));
        Ok(Bundle { source, inputs: self.nodes.into_iter().map(|node| node.path).collect() })
    }
}

/// The walk: files are numbered when they are first named, and read in that order.
struct Reading {
    resolve: Resolve,
    folder: PathBuf,
    /// Where all files must be.
    root: Option<PathBuf>,
    found: Vec<Found>,
    numbers: HashMap<PathBuf, usize>,
    bytes: u64,
}

impl Reading {
    fn number_entry(&mut self) {
        let entry = self.found.first().map(|found| found.path.clone());
        self.numbers.extend(entry.map(|path| (path, 0)));
    }

    fn node(&mut self, Found { path, module }: Found) -> Result<Node, BundleError> {
        let name = relative(&self.folder, &path);
        let text = self.text(&name, &path)?;
        let made = file::make(&name, &path, &text, module)?;
        let folder = path.parent().unwrap_or(Path::new("/")).to_path_buf();
        let mut deps = Map::new();
        for ask in &made.asks {
            if let Some(number) = self.number(&name, &folder, ask)? {
                deps.insert(ask.specifier.clone(), number);
            }
        }
        Ok(Node { strict: module == Some(true), path, name, made, deps })
    }

    /// The number of the file that an ask leads to; null where it leads nowhere, none where to Node.js's own.
    fn number(&mut self, name: &str, folder: &Path, ask: &Ask) -> Result<Option<Value>, BundleError> {
        let found = match self.resolve.target(folder, &ask.specifier, ask.wants) {
            Ok(Target::Builtin) => return Ok(None),
            Ok(Target::File(found)) => found,
            Err(why) => match ask.must {
                None => return Ok(Some(Value::Null)),
                Some(position) => return Err(not_found(name, position, &ask.specifier, why)),
            },
        };
        if let Some(root) = &self.root
            && !found.path.starts_with(root)
        {
            return match ask.must {
                None => Ok(Some(Value::Null)),
                Some(position) => {
                    Err(not_found(name, position, &ask.specifier, "it is outside of the package".to_owned()))
                }
            };
        }
        if let Some(&number) = self.numbers.get(&found.path) {
            return Ok(Some(json!(number)));
        }
        let number = self.found.len();
        if number >= FILES_MAX {
            let what = format!("the handler consists of more than {FILES_MAX} files");
            return Err(unreadable(name.to_owned(), what, "bundle it first (esbuild, rollup), or depend on less"));
        }
        self.numbers.insert(found.path.clone(), number);
        self.found.push(found);
        Ok(Some(json!(number)))
    }

    fn text(&mut self, name: &str, path: &Path) -> Result<String, BundleError> {
        let fail = |what: String, mend: &str| Err(unreadable(name.to_owned(), what, mend));
        let bytes = match fs::metadata(path) {
            Ok(metadata) => metadata.len(),
            Err(error) => return fail(format!("cannot be read: {error}"), "check its permissions"),
        };
        self.bytes += bytes;
        if bytes > FILE_BYTES_MAX {
            return fail(format!("{bytes} bytes; a file may have {FILE_BYTES_MAX}"), "split it");
        }
        if self.bytes > INPUT_BYTES_MAX {
            return fail(format!("with this file the handler has more than {INPUT_BYTES_MAX} bytes"), "depend on less");
        }
        match fs::read_to_string(path) {
            Ok(text) => Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
            Err(error) => fail(format!("cannot be read: {error}"), "it must be text in UTF-8"),
        }
    }
}

fn not_found(name: &str, position: (u32, u32), specifier: &str, why: String) -> BundleError {
    let is_package = !specifier.starts_with(['.', '/', '#']);
    let mend = if is_package { "install the package beside the handler" } else { "name an existing file" };
    let what = if why.contains(specifier) { why } else { format!("Cannot find module '{specifier}': {why}") };
    let (file, mend) = (name.to_owned(), Some(mend.to_owned()));
    BundleError { kind: BundleErrorKind::Import, file, position: Some(position), what, mend }
}

fn unreadable(file: String, what: String, mend: &str) -> BundleError {
    BundleError { kind: BundleErrorKind::Unreadable, file, position: None, what, mend: Some(mend.to_owned()) }
}

fn lines(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|&byte| byte == b'\n').count()).unwrap_or(u32::MAX)
}

/// `path` as seen from `folder`, with slashes.
fn relative(folder: &Path, path: &Path) -> String {
    let shared = folder.components().zip(path.components()).take_while(|(one, other)| one == other).count();
    let up = folder.components().skip(shared).map(|_| "..".to_owned());
    let down = path.components().skip(shared).filter_map(|component| match component {
        Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
        _ => None,
    });
    up.chain(down).collect::<Vec<_>>().join("/")
}

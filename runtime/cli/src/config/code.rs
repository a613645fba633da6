//! A function's `runtime`, `code` and `handler`: what runs, and in what.

use std::path::{Path, PathBuf};

use crate::app;

use super::paths::{self, Expected};
use super::reader::Section;
use super::source::{Located, Place};

/// What runs a function's code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// The code is a module of its own.
    #[default]
    Wasm,
    /// The code is Python, and runs in wasmill's Python runtime.
    Python,
    /// The code is JavaScript or TypeScript, and runs in wasmill's JavaScript runtime.
    Js,
}

/// Endings of files that a runtime runs, in the order in which they are looked for.
const PYTHON_ENDINGS: &[&str] = &["py"];
const JS_ENDINGS: &[&str] = &["mjs", "js", "cjs", "mts", "ts", "cts"];

impl Runtime {
    /// The runtime of a file, by its name.
    pub(crate) fn of_file(path: &Path) -> Self {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        match ending {
            ending if PYTHON_ENDINGS.contains(&ending) => Self::Python,
            ending if JS_ENDINGS.contains(&ending) => Self::Js,
            _ => Self::Wasm,
        }
    }

    /// What runs a file, and the handler in it: by its name, or what a built app says of itself.
    pub(crate) fn of_code(path: &Path) -> (Self, String) {
        match Self::of_file(path) {
            Self::Wasm => app::manifest(path).map_or((Self::Wasm, String::new()), |app| (app.runtime, app.handler)),
            runtime => (runtime, runtime.usual_handler(path)),
        }
    }

    /// The word in a config.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Wasm => "wasm",
            Self::Python => "python",
            Self::Js => "js",
        }
    }

    const fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Wasm => &[],
            Self::Python => PYTHON_ENDINGS,
            Self::Js => JS_ENDINGS,
        }
    }

    /// The function that is called in a file, unless told otherwise.
    const fn usual_function(self) -> &'static str {
        match self {
            Self::Wasm => "",
            Self::Python => "lambda_handler",
            Self::Js => "handler",
        }
    }

    /// `FILE.FUNCTION` for a file, unless told otherwise.
    pub(crate) fn usual_handler(self, file: &Path) -> String {
        let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        format!("{stem}.{}", self.usual_function())
    }

    /// The file that a handler's name stands for, below a folder. Slashes and, in Python, dots lead into folders.
    pub(crate) fn file_of(self, folder: &Path, handler: &str) -> Option<PathBuf> {
        let (file, _) = handler.rsplit_once('.')?;
        let file = if self == Self::Python { file.replace('.', "/") } else { file.to_owned() };
        let candidates = self.endings().iter().map(|ending| folder.join(format!("{file}.{ending}")));
        let package = folder.join(&file).join("__init__.py");
        candidates.chain((self == Self::Python).then_some(package)).find(|path| path.is_file())
    }
}

/// What was read.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) runtime: Runtime,
    pub(super) path: PathBuf,
    pub(super) handler: String,
    pub(super) place: Place,
    /// False: a mistake is recorded.
    pub(super) is_good: bool,
}

/// Reads the three keys of a function. `folder` is the config file's.
pub(super) fn read(section: &mut Section<'_, '_>, folder: &Path) -> Code {
    let source = section.source();
    let words = [("wasm", Runtime::Wasm), ("python", Runtime::Python), ("js", Runtime::Js)];
    let runtime = section.choice("runtime", &words).map(|written| written.value);
    let text = section.required_string("code", "write code = \"orders.wasm\", \"orders.py\" or \"orders.mjs\"");
    let place = text.as_ref().map_or_else(|| section.place_of("code"), |text| text.place.clone());
    let handler = section.string("handler");
    let Some(text) = text else {
        let handler = handler.map(|handler| handler.value).unwrap_or_default();
        return Code { runtime: runtime.unwrap_or_default(), path: PathBuf::new(), handler, place, is_good: false };
    };
    let runtime = runtime.unwrap_or_else(|| Runtime::of_file(Path::new(&text.value)));
    section.default_of("runtime", runtime.as_str());
    let expected = if runtime == Runtime::Wasm { Expected::File } else { Expected::FileOrFolder };
    let resolved = paths::resolve(&text, source, folder, expected);
    let (path, mut is_good) = (resolved.path, resolved.is_good);
    if runtime == Runtime::Wasm {
        if let Some(handler) = handler {
            let what = "a WebAssembly module has its handler in it: nothing is to be chosen";
            source.mistake(&handler.place, what, "remove the key, or write runtime = \"python\" or \"js\"");
            is_good = false;
        }
        let (runtime, handler) = Runtime::of_code(&path);
        return Code { runtime, path, handler, place, is_good };
    }
    let name = handler_name(section, runtime, &path, handler.as_ref(), &place);
    is_good &= name.is_some();
    Code { runtime, path, handler: name.unwrap_or_default(), place, is_good }
}

/// The handler's name, whose file is there; else a mistake is recorded.
fn handler_name(
    section: &Section<'_, '_>,
    runtime: Runtime,
    path: &Path,
    written: Option<&Located<String>>,
    code: &Place,
) -> Option<String> {
    let source = section.source();
    let example = format!(
        "write handler = \"orders.{}\": a file without its ending, a dot, a function",
        runtime.usual_function()
    );
    let is_folder = path.is_dir();
    let Some(written) = written else {
        if is_folder {
            source.mistake(&section.place_of("handler"), "is missing: the code is a folder", example);
            return None;
        }
        return Some(runtime.usual_handler(path));
    };
    let name = &written.value;
    let (file, function) = name.rsplit_once('.').unwrap_or_default();
    if file.is_empty() || function.is_empty() || name.starts_with('/') || name.split('/').any(|part| part == "..") {
        source.mistake(&written.place, format!("{} names no function of a file", written.shown()), example);
        return None;
    }
    if !is_folder {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if path.exists() && file != stem {
            let what = format!("{} is not in the file that code names", written.shown());
            source.mistake(
                &written.place,
                what,
                format!("write handler = \"{stem}.{function}\", or name the folder as code"),
            );
            return None;
        }
    } else if runtime.file_of(path, name).is_none() {
        let endings = runtime.endings().join(", .");
        let what = format!("there is no file {file} (.{endings}) in the folder that {} names", code.key);
        source.mistake(&written.place, what, "correct the name, or the folder");
        return None;
    }
    Some(name.clone())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_ending_says_the_runtime() {
        for (file, runtime) in [
            ("a.py", Runtime::Python),
            ("a.mjs", Runtime::Js),
            ("a.ts", Runtime::Js),
            ("a.wasm", Runtime::Wasm),
            ("a", Runtime::Wasm),
        ] {
            assert_eq!(Runtime::of_file(Path::new(file)), runtime, "{file}");
        }
        assert_eq!(Runtime::Python.usual_handler(Path::new("x/orders.py")), "orders.lambda_handler");
        assert_eq!(Runtime::Js.usual_handler(Path::new("orders.mjs")), "orders.handler");
    }

    #[test]
    fn a_handlers_file_is_found_in_folders_and_packages() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(at("src/app")).unwrap();
        for file in ["src/app/__init__.py", "src/index.ts", "main.py"] {
            std::fs::write(at(file), "").unwrap();
        }
        let python = |handler| Runtime::Python.file_of(folder.path(), handler);
        assert_eq!(python("main.f"), Some(at("main.py")));
        assert_eq!(python("src.app.f"), Some(at("src/app/__init__.py")));
        assert_eq!(python("src/app.f"), Some(at("src/app/__init__.py")));
        assert_eq!(python("other.f"), None);
        assert_eq!(Runtime::Js.file_of(folder.path(), "src/index.handler"), Some(at("src/index.ts")));
    }
}

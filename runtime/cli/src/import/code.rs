//! Where a function's code is, and what runs it: from AWS's runtimes and SAM's, CloudFormation's and CDK's ways to name code.

use std::path::{Component, Path, PathBuf};

use crate::config::Runtime;

use super::node::Node;

/// A function's code, as far as a template tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// For an interpreter.
    pub(super) handler: Option<String>,
    /// What still has to be done before it runs.
    pub(super) todo: Option<String>,
}

/// What runs a function of one of AWS's runtimes. The error is why nothing does.
pub(super) fn runtime_of(runtime: &str) -> Result<Runtime, String> {
    if runtime.starts_with("python") {
        return Ok(Runtime::Python);
    }
    if runtime.starts_with("nodejs") {
        return Ok(Runtime::Js);
    }
    if runtime.starts_with("provided") || runtime == "wasm" {
        return Ok(Runtime::Wasm);
    }
    Err(format!("runtime {runtime} does not run here: Python, JavaScript and WebAssembly do"))
}

/// What the template says of the code, reduced to a path. The error is why there is none.
pub(super) fn path_of(code: Option<&Node>, asset: Option<&str>, folder: &Path) -> Result<PathBuf, String> {
    if let Some(asset) = asset {
        return Ok(folder.join(asset));
    }
    match code {
        // As `sam build` has it.
        None => Ok(folder.to_owned()),
        Some(node @ (Node::Text(_) | Node::Number(_))) => {
            let text = node.text().unwrap_or_default();
            if text.starts_with("s3://") {
                return Err(format!("its code is in S3 ({text})"));
            }
            if Path::new(&text).extension().is_some_and(|ending| ending == "zip" || ending == "jar") {
                return Err(format!("its code is an archive ({text}): unpack it"));
            }
            Ok(folder.join(text))
        }
        Some(node) if node.get("ZipFile").is_some() => Err("its code is in the template itself".to_owned()),
        Some(node) if node.get("ImageUri").is_some() => Err("its code is a container image".to_owned()),
        Some(_) => Err("its code is in S3".to_owned()),
    }
}

/// The code that is at `path`. `entry_points` are those that SAM hands to esbuild, `name` is the function's.
pub(super) fn find(runtime: Runtime, path: PathBuf, handler: &str, entry_points: &[String], name: &str) -> Found {
    if runtime == Runtime::Wasm {
        return find_module(path, handler, name);
    }
    if path.is_file() || runtime.file_of(&path, handler).is_some() {
        return Found { path, handler: Some(handler.to_owned()), todo: None };
    }
    // esbuild puts what it makes of `src/app.ts` beside `app.js`; here the source itself runs.
    let (file, function) = handler.rsplit_once('.').unwrap_or((handler, ""));
    let source = entry_points.iter().find_map(|entry| {
        let entry = Path::new(entry.trim_start_matches("./"));
        let stem = entry.with_extension("");
        (stem.file_name() == Path::new(file).file_name()).then(|| format!("{}.{function}", stem.display()))
    });
    let handler = source.filter(|source| runtime.file_of(&path, source).is_some()).unwrap_or(handler.to_owned());
    let todo = runtime.file_of(&path, &handler).is_none().then(|| format!("there is no file for {handler} yet"));
    Found { path, handler: Some(handler), todo }
}

/// A custom runtime's code is a folder with a `bootstrap`; here it is a module, in that folder or by itself.
fn find_module(path: PathBuf, handler: &str, name: &str) -> Found {
    if path.is_file() {
        return Found { path, handler: None, todo: None };
    }
    let named = [handler.to_owned(), format!("{handler}.wasm"), format!("{name}.wasm")];
    let named = named.iter().filter(|file| file.ends_with(".wasm")).map(|file| path.join(file));
    let there: Vec<PathBuf> = match std::fs::read_dir(&path) {
        Ok(entries) => {
            { entries.flatten().map(|entry| entry.path()).filter(|file| file.extension().is_some_and(|e| e == "wasm")) }
                .collect()
        }
        Err(_) => Vec::new(),
    };
    let named: Vec<PathBuf> = named.collect();
    if let Some(found) = named.iter().find(|file| file.is_file()) {
        return Found { path: found.clone(), handler: None, todo: None };
    }
    if let [only] = there.as_slice() {
        return Found { path: only.clone(), handler: None, todo: None };
    }
    let todo = "a custom runtime's program does not run here: build a WebAssembly module of it (wasmill build)";
    Found { path: path.join(format!("{name}.wasm")), handler: None, todo: Some(todo.to_owned()) }
}

/// The path as it is written in a config in `folder`: relative where both have a beginning in common.
pub(super) fn written(path: &Path, folder: &Path) -> String {
    let (path, folder) = (tidy(path), tidy(folder));
    let (mut to, mut from) = (path.components().peekable(), folder.components().peekable());
    let mut in_common = 0;
    while let (Some(one), Some(other)) = (to.peek(), from.peek()) {
        if one != other {
            break;
        }
        in_common += 1;
        to.next();
        from.next();
    }
    if path.is_absolute() && folder.is_absolute() && in_common <= 1 {
        return path.display().to_string();
    }
    let relative: PathBuf = from.map(|_| Component::ParentDir).chain(to).collect();
    if relative.as_os_str().is_empty() { ".".to_owned() } else { relative.display().to_string() }
}

/// Without `.`, and without `..` where it is known what that is.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if tidy.file_name().is_some() => drop(tidy.pop()),
            other => tidy.push(other),
        }
    }
    tidy
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn runtimes_of_awss_have_one_here_or_a_reason() {
        assert_eq!(runtime_of("python3.13"), Ok(Runtime::Python));
        assert_eq!(runtime_of("nodejs22.x"), Ok(Runtime::Js));
        assert_eq!(runtime_of("provided.al2023"), Ok(Runtime::Wasm));
        assert!(runtime_of("java21").unwrap_err().contains("java21"));
    }

    #[test]
    fn code_is_a_path_an_asset_or_elsewhere() {
        let folder = Path::new("/app");
        let text = |text: &str| Node::Text(text.to_owned());
        assert_eq!(path_of(Some(&text("src/")), None, folder), Ok(PathBuf::from("/app/src/")));
        assert_eq!(path_of(None, None, folder), Ok(PathBuf::from("/app")));
        let s3 = Node::Map(vec![("S3Bucket".to_owned(), text("b"))]);
        assert_eq!(path_of(Some(&s3), Some("asset.1"), folder), Ok(PathBuf::from("/app/asset.1")));
        for (code, part) in [
            (s3, "in S3"),
            (text("s3://b/k"), "s3://b/k"),
            (text("target/app.jar"), "an archive"),
            (Node::Map(vec![("ZipFile".to_owned(), text("x"))]), "in the template itself"),
        ] {
            assert!(path_of(Some(&code), None, folder).unwrap_err().contains(part), "{code:?}");
        }
    }

    #[test]
    fn modules_and_sources_are_found_where_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(at("ts/src")).unwrap();
        std::fs::create_dir_all(at("wasm")).unwrap();
        std::fs::write(at("ts/src/app.ts"), "").unwrap();
        let entries = ["src/app.ts".to_owned()];
        let found = find(Runtime::Js, at("ts"), "app.handler", &entries, "orders");
        assert_eq!((found.handler.as_deref(), found.todo), (Some("src/app.handler"), None));
        let missing = find(Runtime::Js, at("ts"), "other.handler", &entries, "orders");
        assert_eq!(missing.handler.as_deref(), Some("other.handler"));
        assert!(missing.todo.is_some());

        let missing = find(Runtime::Wasm, at("wasm"), "bootstrap", &[], "orders");
        assert_eq!(missing.path, at("wasm/orders.wasm"));
        assert!(missing.todo.is_some());
        std::fs::write(at("wasm/any.wasm"), "").unwrap();
        assert_eq!(find(Runtime::Wasm, at("wasm"), "bootstrap", &[], "orders").path, at("wasm/any.wasm"));
        std::fs::write(at("wasm/bootstrap.wasm"), "").unwrap();
        assert_eq!(find(Runtime::Wasm, at("wasm"), "bootstrap", &[], "orders").path, at("wasm/bootstrap.wasm"));
    }

    #[test]
    fn paths_start_at_the_configs_folder() {
        for (path, folder, expected) in [
            ("/a/b/src", "/a/b", "src"),
            ("/a/b/./src/", "/a/b", "src"),
            ("/a/src", "/a/b/c", "../../src"),
            ("/a/b", "/a/b", "."),
            ("/x/src", "/a", "/x/src"),
            ("/a/b/../src", "/a", "src"),
        ] {
            assert_eq!(written(Path::new(path), Path::new(folder)), expected, "{path} from {folder}");
        }
    }
}

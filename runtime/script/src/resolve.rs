//! Where a specifier leads, by Node.js's rules with two liberties that bundlers take: an `import` may leave out the
//! extension, and `./x.js` written in TypeScript finds `x.ts`. `paths` of a `tsconfig.json` are followed.

use std::path::{Path, PathBuf};

use oxc_resolver::{ModuleType, ResolveError, ResolveOptions, Resolver, TsconfigDiscovery};

/// How a file says what it needs: the two look at different conditions of a package's `exports`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    Import,
    Require,
}

/// What a specifier leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A module of Node.js's own: the runtime has it, or says that it has not.
    Builtin,
    File(Found),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// By extension or `package.json`'s `type`; none where only the text can tell.
    pub(crate) module: Option<bool>,
}

pub(crate) struct Resolve {
    import: Resolver,
    require: Resolver,
}

impl Resolve {
    pub(crate) fn new() -> Self {
        let import = Resolver::new(options("import"));
        let require = import.clone_with_options(options("require"));
        Self { import, require }
    }

    /// Where `specifier`, written in a file of `folder`, leads; or why nowhere.
    pub(crate) fn target(&self, folder: &Path, specifier: &str, wants: Wants) -> Result<Target, String> {
        let resolver = match wants {
            Wants::Import => &self.import,
            Wants::Require => &self.require,
        };
        // A colon behind a word of two letters or more is a scheme. A data: URL or the like is for the runtime to refuse.
        if specifier.split_once(':').is_some_and(|(scheme, _)| scheme.len() > 1 && scheme != "file") {
            return Ok(Target::Builtin);
        }
        match resolver.resolve(folder, specifier) {
            Ok(resolution) => {
                let module = match resolution.module_type() {
                    Some(ModuleType::Module) => Some(true),
                    Some(ModuleType::CommonJs) => Some(false),
                    _ => None,
                };
                Ok(Target::File(Found { path: resolution.into_path_buf(), module }))
            }
            Err(ResolveError::Builtin { .. }) => Ok(Target::Builtin),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn options(condition: &str) -> ResolveOptions {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    ResolveOptions {
        condition_names: words(&["node", condition, "default"]),
        extensions: words(&[".ts", ".mts", ".cts", ".tsx", ".js", ".mjs", ".cjs", ".jsx", ".json"]),
        extension_alias: vec![
            (".js".to_owned(), words(&[".js", ".ts", ".tsx"])),
            (".mjs".to_owned(), words(&[".mjs", ".mts"])),
            (".cjs".to_owned(), words(&[".cjs", ".cts"])),
        ],
        builtin_modules: true,
        module_type: true,
        tsconfig: Some(TsconfigDiscovery::Auto),
        ..ResolveOptions::default()
    }
}

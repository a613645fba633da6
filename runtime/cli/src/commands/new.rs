//! `wasmill new`: a small project in a language, which builds, runs, and has an event to try it with.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use crate::args::NewArgs;
use crate::commands::build::Language;
use crate::commands::print_line;
use crate::error::CliError;

/// What a project's name is written as in a template.
const NAME: &str = "NAME";
/// What stands for a function's code in the template of a config.
const CODE: &str = "CODE";
/// Longest name of a Lambda function; a queue's may be longer.
const NAME_CHARACTERS_MAX: usize = 64;

const CONFIG: &str = include_str!("../../templates/wasmill.toml");
const EVENT: &str = include_str!("../../templates/event.json");

/// A file of a project: where, and what is in it.
type Template = (&'static str, &'static str);

/// The files of a language, its own source first.
fn files(language: Language) -> &'static [Template] {
    macro_rules! crate_file {
        ($path:literal) => {
            (concat!("wasmill-handler/", $path), include_str!(concat!("../../../../handlers/wasmill-handler/", $path)))
        };
    }
    match language {
        Language::Python => &[("handler.py", include_str!("../../templates/handler.py"))],
        Language::Js => &[("handler.mjs", include_str!("../../templates/handler.mjs"))],
        Language::Ts => &[("handler.ts", include_str!("../../templates/handler.ts"))],
        Language::Go => &[("main.go", include_str!("../../templates/main.go")), ("go.mod", "module NAME\n\ngo 1.24\n")],
        Language::Zig => &[("handler.zig", include_str!("../../templates/handler.zig"))],
        Language::C => &[
            ("handler.c", include_str!("../../templates/handler.c")),
            ("json.h", include_str!("../../../../handlers/c/json.h")),
        ],
        Language::Rust => &[
            ("src/lib.rs", include_str!("../../templates/lib.rs")),
            ("Cargo.toml", include_str!("../../templates/rust.toml")),
            (".cargo/config.toml", include_str!("../../templates/cargo-config.toml")),
            // Versions that are known to go together. cargo takes out what is not needed.
            ("Cargo.lock", include_str!("../../../../handlers/Cargo.lock")),
            crate_file!("Cargo.toml"),
            crate_file!("wit/handler.wit"),
            crate_file!("src/base64.rs"),
            crate_file!("src/batch.rs"),
            crate_file!("src/bindings.rs"),
            crate_file!("src/context.rs"),
            crate_file!("src/error.rs"),
            crate_file!("src/event.rs"),
            crate_file!("src/lambda.rs"),
            crate_file!("src/lib.rs"),
            crate_file!("src/messages.rs"),
        ],
    }
}

/// True for what runs as it is; the others are built first.
const fn is_interpreted(language: Language) -> bool {
    matches!(language, Language::Python | Language::Js | Language::Ts)
}

/// Makes the project, and says what to do with it.
pub(crate) fn new(args: &NewArgs) -> Result<ExitCode, CliError> {
    let NewArgs { lang, name } = args;
    check_name(name)?;
    let folder = Path::new(name);
    if folder.exists() {
        return Err(CliError::usage("is there already: a new project needs a folder of its own")
            .at(folder.display())
            .with_mend("choose another name"));
    }
    write(folder, *lang, name).map_err(|error| {
        CliError::unavailable(format!("the project cannot be written: {error}")).at(folder.display())
    })?;
    let (source, _) = files(*lang)[0];
    print_line(format_args!("made {name}/ with {source}, event.json and wasmill.toml; next:\n"))?;
    print_line(format_args!("  cd {name}"))?;
    let code = code(*lang, name);
    if !is_interpreted(*lang) {
        print_line("  wasmill build")?;
    }
    print_line(format_args!("  wasmill invoke {code} --event event.json   # once, with an event"))?;
    print_line("  wasmill dev   # with its queue, as wasmill.toml says; and from another terminal:")?;
    print_line(format_args!("  wasmill queue send {name} '{{\"id\":\"1\"}}'"))?;
    Ok(ExitCode::SUCCESS)
}

/// What is run: the source, or what is built of it.
fn code(language: Language, name: &str) -> String {
    if is_interpreted(language) { files(language)[0].0.to_owned() } else { format!("{name}.wasm") }
}

fn check_name(name: &str) -> Result<(), CliError> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if begins_well && name.chars().all(is_good) && name.len() <= NAME_CHARACTERS_MAX {
        return Ok(());
    }
    Err(CliError::usage(format!("{name:?} cannot be the name of a function, a queue and a package at once"))
        .with_mend("begin with a letter, and use at most 64 letters, digits, hyphens and underscores"))
}

fn write(folder: &Path, language: Language, name: &str) -> std::io::Result<()> {
    let named = |text: &str| text.replace(NAME, name);
    let config = named(CONFIG).replace(CODE, &code(language, name));
    let own = [("wasmill.toml", config), ("event.json", named(EVENT)), (".gitignore", ignored(language).to_owned())];
    let templates = files(language).iter().map(|(path, text)| {
        // What comes along is another's, and stays as it is.
        (
            *path,
            if path.starts_with("wasmill-handler/") || *path == "json.h" { (*text).to_owned() } else { named(text) },
        )
    });
    for (path, text) in templates.chain(own) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, text)?;
    }
    Ok(())
}

fn ignored(language: Language) -> &'static str {
    match language {
        Language::Rust => ".wasmill/\n*.wasm\ntarget/\n",
        Language::Python => ".wasmill/\n*.wasm\n__pycache__/\n",
        Language::Js | Language::Ts => ".wasmill/\n*.wasm\nnode_modules/\n",
        Language::C | Language::Go | Language::Zig => ".wasmill/\n*.wasm\n",
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;

    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_language_has_a_project_whose_names_are_filled_in() {
        for language in Language::value_variants() {
            let folder = tempfile::tempdir().unwrap();
            let project = folder.path().join("greeter");
            write(&project, *language, "greeter").unwrap();
            let (source, _) = files(*language)[0];
            let text = fs::read_to_string(project.join(source)).unwrap();
            assert!(
                text.contains("greeter") || *language == Language::Rust && text.contains("wasmill_handler"),
                "{source}"
            );
            for file in ["wasmill.toml", "event.json", source] {
                let text = fs::read_to_string(project.join(file)).unwrap();
                assert!(!text.contains("NAME") && !text.contains("CODE"), "{file}: {text}");
            }
        }
    }

    #[test]
    fn the_whole_crate_comes_along() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../handlers/wasmill-handler");
        let mut there = BTreeSet::new();
        for part in ["src", "wit"] {
            for entry in fs::read_dir(root.join(part)).unwrap() {
                there.insert(format!("wasmill-handler/{part}/{}", entry.unwrap().file_name().into_string().unwrap()));
            }
        }
        there.insert("wasmill-handler/Cargo.toml".to_owned());
        let named = files(Language::Rust).iter().map(|(path, _)| (*path).to_owned());
        assert_eq!(named.filter(|path| path.starts_with("wasmill-handler/")).collect::<BTreeSet<_>>(), there);
    }

    #[test]
    fn names_that_would_fail_later_are_refused() {
        for name in ["", "1st", "a b", "../x", "a.b", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name("order-handler_2").is_ok());
    }
}

//! One file: from the user's text to the body of a function, and what it asks for.
//!
//! TypeScript's types are stripped and what QuickJS does not know is rewritten; `import` and `export` become calls
//! (oxc's module-runner transform), so that both of Node.js's module systems are functions to `loader.js`.

use std::path::Path;

use oxc::allocator::{Allocator, ArenaVec};
use oxc::ast::ast::{
    ArrowFunctionExpression, AwaitExpression, CallExpression, Expression, ForOfStatement, Function, ImportDeclaration,
    ImportDeclarationSpecifier, ImportExpression, Program, PropertyDefinition, Statement,
};
use oxc::ast::builder::AstBuilder;

use oxc::ast_visit::{Visit, walk};
use oxc::codegen::{Codegen, CodegenOptions, CommentOptions};
use oxc::diagnostics::{Diagnostics, OxcDiagnostic};
use oxc::parser::{ParseOptions, Parser};
use oxc::semantic::SemanticBuilder;
use oxc::span::{GetSpan, SourceType, Span};
use oxc::syntax::scope::ScopeFlags;
use oxc::transformer::{HelperLoaderMode, TransformOptions, Transformer};
use oxc::transformer_plugins::ModuleRunnerTransform;

use crate::error::{BundleError, BundleErrorKind, position};
use crate::positions::Point;
use crate::resolve::Wants;

/// What the oldest part of QuickJS's users may rely on; newer syntax is rewritten.
const TARGET: &str = "es2022";

/// A specifier that a file asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) specifier: String,
    pub(crate) wants: Wants,
    /// Where it stands, if Node.js would look for it before the file runs: not found is then an error of the bundle, else
    /// one of the call.
    pub(crate) must: Option<(u32, u32)>,
}

/// A file made ready.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) code: String,
    pub(crate) is_module: bool,
    pub(crate) asks: Vec<Ask>,
    pub(crate) points: Vec<Point>,
}

/// Makes `text` ready. `is_module` is none where only the text can tell. `name` is for errors.
pub(crate) fn make(name: &str, path: &Path, text: &str, is_module: Option<bool>) -> Result<Made, BundleError> {
    let file = File { name, text };
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => return file.json(),
        Some(extension @ ("node" | "wasm")) => {
            return Err(file.fault(
                None,
                format!(
                    "a .{extension} file cannot be loaded: the runtime is WebAssembly itself, without native modules"
                ),
                None,
            ));
        }
        _ => {}
    }
    let source_type = SourceType::from_path(path).unwrap_or_else(|_| SourceType::unambiguous());
    let source_type = match is_module {
        Some(true) => source_type.with_module(true),
        Some(false) => source_type.with_commonjs(true),
        None => source_type.with_unambiguous(true),
    };
    file.script(path, source_type)
}

struct File<'t> {
    name: &'t str,
    text: &'t str,
}

impl File<'_> {
    fn json(&self) -> Result<Made, BundleError> {
        let value: serde_json::Value = serde_json::from_str(self.text).map_err(|error| BundleError {
            kind: BundleErrorKind::Syntax,
            file: self.name.to_owned(),
            position: Some((line(error.line()), line(error.column()))),
            what: format!("not JSON: {error}"),
            mend: None,
        })?;
        let code = format!("module.exports = {value};\n");
        Ok(Made { code, is_module: false, asks: Vec::new(), points: Vec::new() })
    }

    fn script(&self, path: &Path, source_type: SourceType) -> Result<Made, BundleError> {
        let allocator = Allocator::default();
        // A CommonJS file is the body of a function.
        let options =
            ParseOptions { allow_return_outside_function: source_type.is_commonjs(), ..ParseOptions::default() };
        let parsed = Parser::new(&allocator, self.text, source_type).with_options(options).parse();
        self.sound(&parsed.diagnostics)?;
        let mut program = parsed.program;
        let is_module = parsed.module_record.has_module_syntax || source_type.is_module();
        split_default_and_namespace(&allocator, &mut program);
        let scoping = {
            let built = SemanticBuilder::new().with_excess_capacity(2.0).with_enum_eval(true).build(&program);
            self.sound(&built.diagnostics)?;
            built.semantic.into_scoping()
        };
        let mut options = TransformOptions::from_target(TARGET).map_err(|error| self.fault(None, error, None))?;
        options.helper_loader.mode = HelperLoaderMode::External;
        options.decorator.legacy = true;
        let transformed = Transformer::new(&allocator, path, &options).build_with_scoping(scoping, &mut program);
        self.sound(&transformed.diagnostics)?;

        let mut asked = Asked { file: self, asks: Vec::new(), depth: 0, top_level_await: None, helper: None };
        asked.visit_program(&program);
        if let Some(span) = asked.top_level_await {
            let mend = "move it into the handler, or into an async function that the handler awaits";
            return Err(self.fault(
                Some(span),
                "await at the top level of a module is not supported".to_owned(),
                Some(mend),
            ));
        }
        if let Some((span, helper)) = asked.helper {
            let what = format!(
                "this syntax needs a helper that the runtime has not ({helper}): decorators and `using` are not supported"
            );
            return Err(self.fault(Some(span), what, Some("compile the file with tsc first, or write it without")));
        }
        let asks = asked.asks;
        if is_module {
            ModuleRunnerTransform::new().transform(&allocator, &mut program, transformed.scoping);
            drop_awaits_of_imports(&mut program);
        }
        program.hashbang = None;
        let options = CodegenOptions {
            comments: CommentOptions::disabled(),
            source_map_path: Some(path.to_path_buf()),
            ..CodegenOptions::default()
        };
        let printed = Codegen::new().with_options(options).build(&program);
        let points = printed.map.iter().flat_map(|map| map.get_tokens()).map(|token| Point {
            text_line: token.get_dst_line(),
            text_column: token.get_dst_col(),
            line: token.get_src_line(),
            column: token.get_src_col(),
        });
        Ok(Made { points: points.collect(), code: printed.code, is_module, asks })
    }

    fn sound(&self, diagnostics: &Diagnostics) -> Result<(), BundleError> {
        diagnostics.errors().next().map_or(Ok(()), |error| Err(self.diagnosed(error)))
    }

    fn diagnosed(&self, error: &OxcDiagnostic) -> BundleError {
        let place = error.labels.iter().next().map(|label| position(self.text, label.offset() as usize));
        BundleError {
            kind: BundleErrorKind::Syntax,
            file: self.name.to_owned(),
            position: place,
            what: error.message.to_string(),
            mend: error.help.as_deref().map(str::to_owned),
        }
    }

    fn fault(&self, span: Option<Span>, what: String, mend: Option<&str>) -> BundleError {
        BundleError {
            kind: BundleErrorKind::Syntax,
            file: self.name.to_owned(),
            position: span.map(|span| position(self.text, span.start as usize)),
            what,
            mend: mend.map(str::to_owned),
        }
    }
}

fn line(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// `import a, * as b from "c"` becomes two imports: the module transform would lose the first.
fn split_default_and_namespace<'a>(allocator: &'a Allocator, program: &mut Program<'a>) {
    let builder = AstBuilder::new(allocator);
    let is_both = |statement: &Statement<'a>| match statement {
        Statement::ImportDeclaration(import) => import.specifiers.as_ref().is_some_and(|names| {
            names.len() > 1 && matches!(names.last(), Some(ImportDeclarationSpecifier::ImportNamespaceSpecifier(_)))
        }),
        _ => false,
    };
    if !program.body.iter().any(is_both) {
        return;
    }
    let mut body = ArenaVec::with_capacity_in(program.body.len() + 1, &builder);
    for mut statement in program.body.drain(..) {
        let mut second = None;
        if is_both(&statement)
            && let Statement::ImportDeclaration(import) = &mut statement
            && let Some(namespace) = import.specifiers.as_mut().and_then(|names| names.pop())
        {
            let ImportDeclaration { span, source, import_kind, .. } = &**import;
            let source = oxc::ast::ast::StringLiteral::new(source.span, source.value, source.raw, &builder);
            let names = ArenaVec::from_value_in(namespace, &builder);
            second =
                Some(Statement::new_import_declaration(*span, Some(names), source, None, None, *import_kind, &builder));
        }
        body.push(statement);
        body.extend(second);
    }
    program.body = body;
}

/// The transform awaits each import; here a module runs at once, as CommonJS does.
fn drop_awaits_of_imports(program: &mut Program<'_>) {
    for statement in &mut program.body {
        let Statement::VariableDeclaration(declaration) = statement else { continue };
        for declarator in &mut declaration.declarations {
            let Some(init) = &mut declarator.init else { continue };
            if !is_awaited_import(init) {
                continue;
            }
            let taken = declarator.init.take();
            declarator.init = match taken {
                Some(Expression::AwaitExpression(awaiting)) => Some(awaiting.unbox().argument),
                other => other,
            };
        }
    }
}

fn is_awaited_import(init: &Expression<'_>) -> bool {
    let Expression::AwaitExpression(awaiting) = init else { return false };
    let Expression::CallExpression(call) = &awaiting.argument else { return false };
    matches!(&call.callee, Expression::Identifier(callee) if callee.name == "__vite_ssr_import__")
}

/// Collects what a file asks for, and finds what it must not have.
struct Asked<'f, 't> {
    file: &'f File<'t>,
    asks: Vec<Ask>,
    /// Functions around the current node.
    depth: u32,
    top_level_await: Option<Span>,
    helper: Option<(Span, String)>,
}

impl Asked<'_, '_> {
    fn ask(&mut self, specifier: &str, wants: Wants, must: Option<Span>) {
        let must = must.map(|span| position(self.file.text, span.start as usize));
        self.asks.push(Ask { specifier: specifier.to_owned(), wants, must });
    }

    fn awaits(&mut self, span: Span) {
        if self.depth == 0 {
            self.top_level_await.get_or_insert(span);
        }
    }
}

impl<'a> Visit<'a> for Asked<'_, '_> {
    fn visit_statement(&mut self, it: &Statement<'a>) {
        let source = match it {
            Statement::ImportDeclaration(import) => Some(&import.source),
            Statement::ExportAllDeclaration(export) => Some(&export.source),
            Statement::ExportFromDeclaration(export) => Some(&export.source),
            _ => None,
        };
        if let Some(source) = source {
            self.ask(&source.value, Wants::Import, Some(source.span));
        }
        walk::walk_statement(self, it);
    }

    fn visit_import_expression(&mut self, it: &ImportExpression<'a>) {
        if let Expression::StringLiteral(source) = &it.source {
            self.ask(&source.value, Wants::Import, None);
        }
        walk::walk_import_expression(self, it);
    }

    fn visit_call_expression(&mut self, it: &CallExpression<'a>) {
        let is_require = match &it.callee {
            Expression::Identifier(callee) => callee.name == "require",
            Expression::StaticMemberExpression(member) => {
                if matches!(&member.object, Expression::Identifier(object) if object.name == "babelHelpers") {
                    self.helper.get_or_insert((it.span, member.property.name.to_string()));
                }
                member.property.name == "resolve"
                    && matches!(&member.object, Expression::Identifier(object) if object.name == "require")
            }
            _ => false,
        };
        if is_require && let Some(oxc::ast::ast::Argument::StringLiteral(name)) = it.arguments.first() {
            self.ask(&name.value, Wants::Require, None);
        }
        walk::walk_call_expression(self, it);
    }

    fn visit_await_expression(&mut self, it: &AwaitExpression<'a>) {
        self.awaits(it.span());
        walk::walk_await_expression(self, it);
    }

    fn visit_for_of_statement(&mut self, it: &ForOfStatement<'a>) {
        if it.r#await {
            self.awaits(it.span);
        }
        walk::walk_for_of_statement(self, it);
    }

    fn visit_function(&mut self, it: &Function<'a>, flags: ScopeFlags) {
        self.depth += 1;
        walk::walk_function(self, it, flags);
        self.depth -= 1;
    }

    fn visit_arrow_function_expression(&mut self, it: &ArrowFunctionExpression<'a>) {
        self.depth += 1;
        walk::walk_arrow_function_expression(self, it);
        self.depth -= 1;
    }

    fn visit_property_definition(&mut self, it: &PropertyDefinition<'a>) {
        self.depth += 1;
        walk::walk_property_definition(self, it);
        self.depth -= 1;
    }
}

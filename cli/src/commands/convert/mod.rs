//! `meshctl convert`: YAML with objects of Istio's first API versions in, the same YAML with today's objects out. What does not live on is named
//! on standard error, with its place.

use std::path::PathBuf;

use mesh_core::convert::{ConvertedText, Input, NotedText, convert_texts};
use mesh_core::diag::{Diagnostic, Level};
use mesh_core::source::SourceMap;
use serde_json::json;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{self, Advice as _};
use crate::{input, output_file};

/// Convert objects of Istio's first API versions to today's
///
/// RouteRule, DestinationPolicy and EgressRule become VirtualService, DestinationRule and ServiceEntry; Policy and MeshPolicy become
/// PeerAuthentication, RequestAuthentication and AuthorizationPolicy; ServiceRole, ServiceRoleBinding, RbacConfig and ClusterRbacConfig become
/// AuthorizationPolicy. All other documents stay as they are, and so do the order and the comments.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  meshctl convert -f samples/bookinfo/kube/route-rule-all-v1.yaml
  kubectl get routerules -o yaml | meshctl convert -f - | kubectl apply -f -
  meshctl convert -f old/ -o new.yaml

All rules of a host become one VirtualService, so convert them together. With the
Services among the files, policies get the Services' selectors. What is lost or
expressed differently is named on stderr. Exit code: 65 when an object is invalid.")]
pub struct Args {
    /// Files, directories, or - for standard input (repeatable)
    #[arg(short, long, value_name = "FILE|DIR|-")]
    filename: Vec<String>,
    /// yaml (the default), json, or a file to write to
    #[arg(short, long, value_name = "yaml|json|FILE")]
    output: Option<String>,
}

/// Runs the command.
pub fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    if args.filename.is_empty() {
        return Err(failure::usage("there is nothing to convert"))
            .hint("name files or directories by -f, or - for standard input");
    }
    let inputs = input::read_all(&args.filename)?;
    let texts: Vec<Input<'_>> = inputs
        .iter()
        .map(|input| Input {
            name: &input.name,
            text: &input.text,
        })
        .collect();
    let namespace = context.namespace().unwrap_or("default");
    let converted = convert_texts(&texts, namespace, context.istio_namespace())
        .map_err(|findings| unreadable(&findings, &texts))?;
    write(&converted, args.output.as_deref(), context)?;
    if converted.legacy == 0 {
        context
            .printer
            .note("nothing to convert: there is no object of an old API version in the input");
    }
    for note in &converted.notes {
        tell(note, context);
    }
    let wrong = |note: &NotedText| note.level == Level::Error;
    Ok(if converted.notes.iter().any(wrong) {
        Exit::Data
    } else {
        Exit::Success
    })
}

fn write(converted: &ConvertedText, output: Option<&str>, context: &Context) -> anyhow::Result<()> {
    let printer = &context.printer;
    match output {
        None | Some("yaml") => printer.raw(converted.text.as_bytes()),
        Some("json") => {
            let list = json!({"apiVersion": "v1", "kind": "List", "items": converted.objects});
            printer.raw(format!("{list:#}\n").as_bytes())
        }
        Some(file) => Ok(output_file::write(
            &PathBuf::from(file),
            converted.text.as_bytes(),
        )?),
    }
}

/// `FILE:LINE:COLUMN: KIND NAMESPACE/NAME: FIELD: MESSAGE`
fn tell(note: &NotedText, context: &Context) {
    let NotedText {
        span,
        object,
        path,
        level,
        message,
    } = note;
    let (file, line, column) = (&span.file, span.line, span.column);
    let path = match path.to_string() {
        path if path.is_empty() => " ".to_owned(),
        path => format!(": {path} "),
    };
    let text = format!("{file}:{line}:{column}: {object}{path}{message}");
    match level {
        Level::Error => context.printer.error(&text),
        Level::Warning => context.printer.warn(&text),
        Level::Info => context.printer.note(&text),
    }
}

fn unreadable(findings: &[Diagnostic], texts: &[Input<'_>]) -> anyhow::Error {
    let mut sources = SourceMap::default();
    for text in texts {
        sources.parse(text.name, text.text);
    }
    let said = findings.iter().map(|finding| {
        let span = sources.locate_finding(finding);
        let file = span.map_or_else(String::new, |span| format!("{}: ", span.file));
        format!("{file}{}", finding.message)
    });
    let said: Vec<String> = said.collect();
    failure::data(format!("nothing was converted: {}", said.join("; ")))
}

//! The commands, one room each. Each has an `Args` (its words) and a `run` (what it does).

mod analyze;
mod authz;
mod completion;
mod confirm;
mod convert;
mod describe;
mod explain;
mod former;
mod install;
mod kube_inject;
mod manifest;
mod objects;
mod profile;
mod proxy_config;
mod proxy_status;
mod route;
mod sandbox;
mod shift;
mod tag;
mod traffic;
mod uninstall;
mod validate;
mod version;
mod whatif;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser, Subcommand};

use crate::args::{Cli, Color};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure;
use crate::printer::Printer;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    Sandbox(sandbox::Args),
    #[command(visible_alias = "apply")]
    Install(install::Args),
    Uninstall(uninstall::Args),
    Manifest(manifest::Args),
    Profile(profile::Args),
    Tag(tag::Args),
    Shift(shift::Args),
    Edges(traffic::edges::Args),
    Stat(traffic::stat::Args),
    Graph(traffic::graph::Args),
    Top(traffic::top::Args),
    Tap(traffic::tap::Args),
    Analyze(analyze::Args),
    Validate(validate::Args),
    Get(objects::get::Args),
    Create(objects::create::Args),
    Replace(objects::replace::Args),
    Delete(objects::delete::Args),
    Explain(explain::Args),
    Describe(describe::Args),
    Whatif(whatif::Args),
    Route(route::Args),
    Authz(authz::Args),
    KubeInject(kube_inject::Args),
    Convert(convert::Args),
    #[command(visible_alias = "ps")]
    ProxyStatus(proxy_status::Args),
    #[command(visible_alias = "pc")]
    ProxyConfig(proxy_config::Args),
    Version(version::Args),
    Completion(completion::Args),
}

impl Command {
    fn run(self, context: &Context) -> anyhow::Result<Exit> {
        match self {
            Self::Sandbox(args) => sandbox::run(args, context),
            Self::Install(args) => install::run(args, context),
            Self::Uninstall(args) => uninstall::run(args, context),
            Self::Manifest(args) => manifest::run(args, context),
            Self::Profile(args) => profile::run(args, context),
            Self::Tag(args) => tag::run(args, context),
            Self::Shift(args) => shift::run(args, context),
            Self::Edges(args) => traffic::edges::run(&args, context),
            Self::Stat(args) => traffic::stat::run(&args, context),
            Self::Graph(args) => traffic::graph::run(&args, context),
            Self::Top(args) => traffic::top::run(&args, context),
            Self::Tap(args) => traffic::tap::run(&args, context),
            Self::Analyze(args) => analyze::run(args, context),
            Self::Validate(args) => validate::run(args, context),
            Self::Get(args) => objects::get::run(args, context),
            Self::Create(args) => objects::create::run(args, context),
            Self::Replace(args) => objects::replace::run(args, context),
            Self::Delete(args) => objects::delete::run(args, context),
            Self::Explain(args) => explain::run(args, context),
            Self::Describe(args) => describe::run(&args, context),
            Self::Whatif(args) => whatif::run(&args, context),
            Self::Route(args) => route::run(&args, context),
            Self::Authz(args) => authz::run(args, context),
            Self::KubeInject(args) => kube_inject::run(args, context),
            Self::Convert(args) => convert::run(args, context),
            Self::ProxyStatus(args) => proxy_status::run(args, context),
            Self::ProxyConfig(args) => proxy_config::run(args, context),
            Self::Version(args) => version::run(args, context),
            Self::Completion(args) => completion::run(args, context),
        }
    }
}

/// Parses the words and runs what they ask for; says what went wrong.
pub fn main(words: impl Iterator<Item = OsString>) -> Exit {
    let words = match former::today(words.collect()) {
        Ok(words) => words,
        Err(error) => return complain(&Printer::new(Color::Auto, 0), &error),
    };
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => return refuse(&likely(error)),
    };
    let printer = Printer::new(cli.globals.color, cli.globals.verbose);
    log(cli.globals.verbose);
    let context = Context {
        globals: cli.globals,
        printer: printer.clone(),
    };
    let outcome = match cli.command {
        Some(command) => command.run(&context),
        None => printer
            .data(&Cli::command().render_help().ansi().to_string())
            .map(|()| Exit::Success),
    };
    outcome.unwrap_or_else(|error| complain(&printer, &error))
}

/// Help and version are data; everything else that the parser says is about wrong usage.
fn refuse(error: &clap::Error) -> Exit {
    let printer = Printer::new(Color::Auto, 0);
    let text = error.render().ansi().to_string();
    if error.use_stderr() {
        printer.talk(&text);
        return Exit::Usage;
    }
    let written = printer.data(&text).map(|()| Exit::Success);
    written.unwrap_or_else(|error| complain(&printer, &error))
}

/// The error with the likeliest of the commands that the parser suggests for one that is mistyped.
fn likely(mut error: clap::Error) -> clap::Error {
    let wrong = error.get(ContextKind::InvalidSubcommand);
    let suggested = error.get(ContextKind::SuggestedSubcommand);
    if let (Some(ContextValue::String(wrong)), Some(ContextValue::Strings(names))) =
        (wrong, suggested)
    {
        let distance = |name: &String| strsim::damerau_levenshtein(name, wrong);
        let nearest = names.iter().map(distance).min();
        let names = names.iter().filter(|name| Some(distance(name)) == nearest);
        let names = names.cloned().collect();
        error.insert(
            ContextKind::SuggestedSubcommand,
            ContextValue::Strings(names),
        );
    }
    error
}

fn complain(printer: &Printer, error: &anyhow::Error) -> Exit {
    if failure::is_closed_output(error) {
        return Exit::Success;
    }
    printer.error(&failure::sentence(error));
    for hint in failure::hints(error) {
        printer.hint(hint);
    }
    failure::exit(error)
}

/// With `-v -v` what libraries log goes to standard error, by `RUST_LOG` when it is set.
fn log(verbosity: u8) {
    if verbosity < 2 {
        return;
    }
    let usual = || {
        tracing_subscriber::EnvFilter::new(
            "info,kube_client=debug,mesh_sandbox=debug,mesh_controller=debug",
        )
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| usual());
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second one in the same process is refused, and the first is as good.
    let _ = logger.try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_commands_is_consistent() {
        Cli::command().debug_assert();
    }
}

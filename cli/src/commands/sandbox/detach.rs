//! `--detach`: the same program in the background, and a wait until it says that all is ready.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};

use super::summary::summary;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{self, Advice as _};

/// How often the background process is looked at.
const POLL: Duration = Duration::from_millis(50);

/// What the background process needs beyond its own limit to give up in an orderly way.
const SPARE: Duration = Duration::from_secs(30);

/// Starts this command line again in the background, and returns once it is ready. What was read from standard input is given to it.
pub fn run(
    name: &str,
    timeout: u64,
    samples: &[String],
    empty: bool,
    input: Option<&str>,
    context: &Context,
) -> anyhow::Result<Exit> {
    let begun = Instant::now();
    let root = mesh_sandbox::root()?;
    let (mut log, output) = mesh_sandbox::background_log(&root, name)?;
    let mut child = start(output, input)?;
    let reporter = context.reporter();
    let step = reporter.step(&format!("starting sandbox {name:?} in the background"));
    let limit = Duration::from_secs(timeout) + SPARE;
    let mut text = String::new();
    let record = loop {
        // A line that is half written now is whole the next time.
        let _ = log.read_to_string(&mut text);
        if let Some(last) = text.lines().rfind(|line| !line.trim().is_empty())
            && reporter.is_live()
        {
            step.say(last);
        }
        if let Some(status) = child
            .try_wait()
            .context("failed to look after the background process")?
        {
            let _ = log.read_to_string(&mut text);
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            return Err(reason(&text, code));
        }
        if let Ok(record) = mesh_sandbox::find(&root, name)
            && record.ready
            && u32::try_from(record.pid).ok() == Some(child.id())
        {
            break record;
        }
        if begun.elapsed() > limit {
            return give_up(&mut child, limit);
        }
        std::thread::sleep(POLL);
    };
    step.done(&format!(
        "sandbox {name:?} runs in the background (log {})",
        record.log().display()
    ));
    context.printer.note("");
    context
        .printer
        .note(&summary(&record, samples, empty, begun.elapsed()));
    context.printer.data(&format!("{}\n", record.ingress.url))?;
    Ok(Exit::Success)
}

/// The same words once more, with one that says where they run.
fn start(output: std::fs::File, input: Option<&str>) -> anyhow::Result<Child> {
    let exe = mesh_sandbox::own_executable()?;
    let errors = output.try_clone().context("failed to open the log")?;
    let mut child = Command::new(exe)
        .args(std::env::args_os().skip(1))
        .arg("--background")
        .stdin(match input {
            Some(_) => Stdio::piped(),
            None => Stdio::null(),
        })
        .stdout(output)
        .stderr(errors)
        .spawn()
        .context("failed to start the background process")?;
    if let (Some(text), Some(mut pipe)) = (input, child.stdin.take()) {
        // One that ends before it has read all says why in its log.
        let _ = pipe.write_all(text.as_bytes());
    }
    Ok(child)
}

fn give_up(child: &mut Child, limit: Duration) -> anyhow::Result<Exit> {
    // Its pods end with it.
    let _ = child.kill();
    let _ = child.wait();
    Err(anyhow!(
        "the sandbox is not ready after {} s",
        limit.as_secs()
    ))
    .hint("run it without --detach to see what it does")
}

/// Why the background process ended, from the errors and hints in its log.
fn reason(log: &str, code: Option<u8>) -> anyhow::Error {
    let with = |prefix: &str| -> Vec<String> {
        let lines = log.lines().filter_map(|line| line.strip_prefix(prefix));
        lines.map(|line| line.trim().to_owned()).collect()
    };
    let errors = with("error:");
    let message = match errors.as_slice() {
        [] => format!(
            "the background process ended: {}",
            log.lines().last().unwrap_or("it said nothing")
        ),
        errors => errors.join("; "),
    };
    let mut error = match code {
        Some(64) => failure::usage(message),
        Some(65) => failure::data(message),
        _ => anyhow!("{message}"),
    };
    for hint in with("hint:") {
        error = failure::advise(error, hint);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_told_as_if_it_had_run_here() {
        let error = reason(
            "- starting\nerror: port taken\nhint: use another\n",
            Some(64),
        );
        assert_eq!(error.to_string(), "port taken");
        assert_eq!(failure::exit(&error), Exit::Usage);
        assert_eq!(failure::hints(&error).collect::<Vec<_>>(), ["use another"]);
        let error = reason("- starting\nkilled\n", None);
        assert_eq!(error.to_string(), "the background process ended: killed");
    }
}

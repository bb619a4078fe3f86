//! Commands that Istio's command line once had and that tutorials still name: those that live on under another name run as that, all
//! others are answered with what replaces them.
//!
//! ```text
//! words -> leading names, flags aside -> row of the table -> run by other words | refuse with what replaces it
//! ```

mod table;

use std::ffi::OsString;

use clap::{ArgAction, CommandFactory};

use self::table::{Former, Now};
use crate::args::Cli;
use crate::failure::{self, Advice as _};

/// The words as today's commands have them; those that name no former command come back as they are.
///
/// # Errors
/// The command is no more; the hint says what replaces it.
pub fn today(words: Vec<OsString>) -> anyhow::Result<Vec<OsString>> {
    let names = names(&words);
    let written: Vec<&str> = names.iter().map(|(_, name)| *name).collect();
    let Some(former) = Former::find(&written) else {
        return Ok(words);
    };
    match former.now {
        Now::Runs(command) => {
            // Flags keep their places; the first of the old names gives way to the new ones.
            let of_command = names.iter().take(former.words.len());
            let positions: Vec<usize> = of_command.map(|(position, _)| *position).collect();
            let mut renamed = Vec::with_capacity(words.len());
            for (position, word) in words.into_iter().enumerate() {
                if Some(&position) == positions.first() {
                    renamed.extend(command.iter().map(OsString::from));
                } else if !positions.contains(&position) {
                    renamed.push(word);
                }
            }
            Ok(renamed)
        }
        Now::Replaced { why, by } => {
            let command = former.words.join(" ");
            let message = format!("there is no `meshctl {command}` any more: {why}");
            Err(failure::usage(message)).hint(by)
        }
    }
}

/// The words that are no flags and no values of global flags, with their positions, up to what may be an argument of anything.
fn names(words: &[OsString]) -> Vec<(usize, &str)> {
    let program = Cli::command();
    let takes_value = |flag: &str| {
        program.get_arguments().any(|argument| {
            let long = argument.get_long_and_visible_aliases().unwrap_or_default();
            let short = argument.get_short();
            let is_it = match flag.strip_prefix("--") {
                Some(name) => long.contains(&name) || argument.get_long() == Some(name),
                None => short.is_some_and(|short| flag == format!("-{short}")),
            };
            is_it && matches!(argument.get_action(), ArgAction::Set | ArgAction::Append)
        })
    };
    let mut found = Vec::new();
    let mut rest = words.iter().enumerate().skip(1);
    while let Some((position, word)) = rest.next() {
        let Some(word) = word.to_str().filter(|word| *word != "--") else {
            break;
        };
        if !word.starts_with('-') {
            found.push((position, word));
        } else if takes_value(word) {
            rest.next();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::table::FORMER;
    use super::*;

    fn today(line: &str) -> Result<String, String> {
        let words = line.split_whitespace().map(OsString::from).collect();
        let words = super::today(words).map_err(|error| error.to_string())?;
        let words: Vec<String> = words
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        Ok(words.join(" "))
    }

    #[test]
    fn flags_and_arguments_keep_their_places() {
        let line = "meshctl -n shop manifest apply --set profile=demo -y";
        let expect = "meshctl -n shop install --set profile=demo -y";
        assert_eq!(today(line).as_deref(), Ok(expect));
        let line = "meshctl experimental -n shop convert-networking-config -f a.yaml";
        let expect = "meshctl convert -n shop -f a.yaml";
        assert_eq!(today(line).as_deref(), Ok(expect));
        assert!(today("meshctl --namespace=x x add-to-mesh service a").is_err());
    }

    #[test]
    fn words_that_are_arguments_name_no_command() {
        for line in [
            "meshctl",
            "meshctl analyze register",
            "meshctl -n register analyze",
            "meshctl manifest generate --set apply",
        ] {
            assert_eq!(today(line).as_deref(), Ok(line));
        }
    }

    #[test]
    fn no_row_hides_a_command_and_each_renamed_one_exists() {
        let mut program = Cli::command();
        program.build();
        let depth = |words: &[&str]| {
            let mut command = &program;
            let known = words.iter().take_while(|word| {
                let next = command.find_subcommand(word);
                next.map(|next| command = next).is_some()
            });
            known.count()
        };
        for former in FORMER {
            assert!(
                depth(former.words) < former.words.len(),
                "{:?}",
                former.words
            );
            if let Now::Runs(words) = former.now {
                assert_eq!(depth(words), words.len(), "{words:?}");
            }
        }
    }
}

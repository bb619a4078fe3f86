//! `meshctl explain IST0101`: what a finding means.

use mesh_core::analyze::{CODES, Code, RETIRED};
use serde_json::json;

use crate::context::{Context, Format};
use crate::exit::Exit;
use crate::failure::{self, Advice as _};

/// How alike a code must be to be suggested.
const SIMILAR: f64 = 0.85;

/// Most codes that are suggested.
const MOST: usize = 3;

/// Prints the pages of codes.
pub fn run(words: &[String], context: &Context) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Log, Format::Json, Format::Yaml])?;
    let codes: Vec<&Code> = words
        .iter()
        .map(|word| find(word))
        .collect::<Result<_, _>>()?;
    match format {
        Format::Log => {
            let pages: Vec<&str> = codes.iter().map(|code| code.page).collect();
            context.printer.data(&pages.join("\n"))?;
        }
        format => {
            let codes: Vec<_> = codes
                .iter()
                .map(|code| {
                    json!({
                        "code": code.code,
                        "name": code.name,
                        "level": code.level(),
                        "documentationUrl": Code::documentation_url(code.code),
                        "page": code.page,
                    })
                })
                .collect();
            context.printer.structured(format, &codes)?;
        }
    }
    Ok(Exit::Success)
}

/// A code by its number or its name, in any case.
fn find(word: &str) -> anyhow::Result<&'static Code> {
    let by_name = || {
        CODES
            .iter()
            .find(|code| code.name.eq_ignore_ascii_case(word))
    };
    if let Some(code) = Code::of(word).or_else(by_name) {
        return Ok(code);
    }
    let retired = RETIRED
        .iter()
        .find(|(code, _)| code.eq_ignore_ascii_case(word));
    if let Some((code, instead)) = retired {
        let error = failure::usage(format!("{code} is a code that Istio no longer uses"));
        return Err(match instead {
            Some(instead) => failure::advise(error, format!("{instead} has taken its place")),
            None => error,
        });
    }
    let upper = word.to_ascii_uppercase();
    let mut near: Vec<(f64, &str)> = CODES
        .iter()
        .map(|code| (strsim::jaro_winkler(code.code, &upper), code.code))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .collect();
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let near: Vec<&str> = near.into_iter().take(MOST).map(|(_, code)| code).collect();
    let hint = if near.is_empty() {
        "`meshctl analyze -L` lists the codes; `meshctl explain request` explains a request"
            .to_owned()
    } else {
        format!("did you mean {}?", near.join(" or "))
    };
    Err(failure::usage(format!(
        "there is nothing to explain called {word:?}"
    )))
    .hint(hint)
}
